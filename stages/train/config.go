package train

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
)

// Config is what a train block may contain.
type Config struct {
	Data       stage.Artifact `json:"data" kind:"table" flow:"required" doc:"Table of the rows to train on. Transforms of features are fitted on these rows alone."`
	Validation stage.Artifact `json:"validation" kind:"table" doc:"Table of rows that are predicted after each epoch, for metrics and early stopping."`
	Target     string         `json:"target" doc:"Column to predict."`
	Targets    []string       `json:"targets" doc:"Instead of target: columns of truth values, each of which is a label that a row has or has not. A row has any number of them, and each is predicted for itself."`
	Separator  string         `json:"separator" doc:"What stands between the labels in target, such as |, if a row has any number of them. An empty cell has none."`
	Task       string         `json:"task" oneof:"classification regression" doc:"What the target is. Left out: logistic models classify, linear ones are a regression, and for an mlp or trees the target decides: text and truth values are classes, and so are whole numbers that count from 0 or 1 without a gap to at most 100, or if positive or class_weights is given; other numbers are a regression."`
	Positive   string         `json:"positive" doc:"Class that precision, recall, F1 and AUC are about. Left out: of two classes the last in alphabetical (for numbers, ascending) order; with more classes these metrics are macro averages."`

	Features *Features `json:"features" doc:"Which columns are features, and how they are prepared. Without this block, columns of numbers and truth values are imputed with the median and scaled to mean 0 and deviation 1 (for trees: left as they are), and columns of text are one-hot encoded."`
	Model    Model     `json:"model" flow:"required,choice" doc:"Family of the model."`

	Optimizer    Optimizer       `json:"optimizer" flow:"choice" doc:"How parameters change. Left out: adam with its defaults."`
	Schedule     Schedule        `json:"schedule" flow:"choice" doc:"How the learning rate changes from epoch to epoch. Left out: not at all."`
	ClipGradient *ClipGradient   `json:"clip_gradient" doc:"Limits how far one step can go."`
	Loss         string          `json:"loss" oneof:"cross_entropy squared huber" doc:"What training makes small. Left out: for a classification cross_entropy, its only one, and for a regression squared; huber is less moved by rows far off."`
	ClassWeights json.RawMessage `json:"class_weights" doc:"How much a row counts in the loss by its class: \"balanced\" gives all classes the same weight in sum, a map gives each class its own; classes that are not in it have 1."`

	RowWeight string `json:"row_weight" doc:"Column of numbers that are not negative: how much a row of data counts in the loss, times the weight of its class. It is no feature. Metrics count every row alike."`

	Augment       *Augment       `json:"augment" doc:"Changes the images of the training part at random, anew in each epoch. It is for model cnn, and for layers with a shape, whose features have one scale for all pixels: joint or none."`
	EarlyStopping *EarlyStopping `json:"early_stopping" doc:"Ends training when a metric of the validation part does not get better, and goes back to the best epoch."`

	Calibration string          `json:"calibration" oneof:"sigmoid temperature isotonic" doc:"Makes the probabilities of a classifier mean what they say, by the rows of validation: sigmoid (of two classes; Platt scaling) has a slope and an intercept for the log-odds, temperature one number for the scores of all classes, isotonic (of two classes) any line that does not fall. It is part of the model."`
	Threshold   json.RawMessage `json:"threshold" doc:"From which probability on the positive one of two classes is the answer: a number, or the metric that it makes as large as can be on the rows of validation (accuracy, balanced_accuracy, f1 or mcc). Left out: the more probable class is. It is part of the model."`

	Epochs    int `json:"epochs" default:"50" doc:"How often each row is seen, at most."`
	BatchSize int `json:"batch_size" default:"32" doc:"Rows of a step."`
	// ResumeOver is stage.Job.ResumeOver.
	ResumeOver []string `json:"resume_over" flow:"unkeyed" doc:"[\"epochs\"]: what training saved after its last epoch is kept, and a training over more epochs that differs in nothing else goes on from there instead of from nothing, to the same bits. For models that are trained in epochs. Not part of the key."`
	Seed       int64    `json:"seed" default:"0" doc:"Decides initial parameters, order of rows and dropout. The same seed gives the same model, to the bit."`
}

// Features is the block features.
type Features struct {
	Numeric     []Numeric     `json:"numeric" doc:"Columns of numbers and truth values whose names match the label, in which * stands for any characters. They are taken as 32-bit floats, with about seven digits: of a time in seconds, subtract its start before. A column that several blocks match belongs to the one with the longest label."`
	Categorical []Categorical `json:"categorical" doc:"Columns to encode as categories. A missing value is a category of its own if one was missing in the training part."`
	Date        []Date        `json:"date" doc:"Columns of dates or times of ISO 8601, such as 2026-03-01 or 2026-03-01T09:30:00Z, to take as numbers: one for each of parts, imputed and scaled as columns of numbers are by default. Of a time with a zone, the clock's reading there counts. ONNX cannot read dates: the model takes the numbers, as columns such as sold.month."`
	Text        []Text        `json:"text" doc:"Columns of text to take as bags of n-grams of words and characters, weighted by TF-IDF. A missing text has no terms."`
	Ignore      []string      `json:"ignore" doc:"Columns, by name or pattern, that are no features though a block matches them."`
}

// Numeric is a block numeric.
type Numeric struct {
	Columns string  `json:"columns" flow:"label"`
	Impute  string  `json:"impute" oneof:"mean median constant none" doc:"What stands for a missing value. Left out: median, and for trees none, which leaves it missing."`
	Fill    float64 `json:"fill" default:"0" doc:"The number for impute = \"constant\"."`
	Scale   string  `json:"scale" oneof:"standard minmax robust joint none" doc:"standard: mean 0, deviation 1; minmax: 0 to 1; robust: median 0, quartiles 1 apart, which values far off do not move; joint: 0 to 1 over all columns that have it, which is for the pixels of an image. Left out: standard, and for trees none, to which it makes no difference."`
	Bins    int     `json:"bins" default:"0" doc:"Instead of the number, a feature for each of so many bins with as many rows of data each (quantiles), 1 for the one that the number is in; 0 is the number itself. With impute = \"none\", a missing number is in no bin. So a linear model can learn any curve."`
	Degree  int     `json:"degree" default:"1" doc:"2 adds the products of all columns that have it, each with itself and with each other, as they are after scaling (polynomial features with interactions)."`
}

// Categorical is a block categorical.
type Categorical struct {
	Columns       string   `json:"columns" flow:"label"`
	Encoding      string   `json:"encoding" oneof:"one_hot ordinal target" doc:"Left out: one_hot. one_hot: a feature for each category; one that is not in the training part is all zeros. ordinal: one feature from 0 for the first category to 1 for the last. target: the mean of the target over the rows of the category, for a regression in deviations from the mean of all, for classes a feature for each (of two for the second); each row of the training part has what the other rows teach (five folds by seed), so that no row sees its own answer. With ordinal and target, a category that is not in the training part counts as their mean."`
	Order         []string `json:"order" doc:"Categories from first to last, for ordinal. Left out: in alphabetical order."`
	Smoothing     *float64 `json:"smoothing" doc:"How many rows with the mean of all are added to each category, for target: rare categories say little. Left out: 10."`
	MaxCategories int      `json:"max_categories" default:"1000" doc:"More distinct values than this are an error: the column is most likely an identifier."`
}

// Date is a block date.
type Date struct {
	Columns string   `json:"columns" flow:"label"`
	Parts   []string `json:"parts" default:"[\"year\", \"month\", \"day\", \"weekday\"]" doc:"Of year, quarter, month, day, yearday, weekday (1 is Monday), hour, minute and days (since 1970, the time of the day as fraction)."`
}

// Text is a block text.
type Text struct {
	Columns    string `json:"columns" flow:"label"`
	Words      []int  `json:"words" default:"[1, 2]" doc:"Shortest and longest n-grams of words; [] for none. Text is lower-cased; a word is a run of letters, digits and _."`
	Characters []int  `json:"characters" default:"[]" doc:"Shortest and longest n-grams of characters within words, such as [2, 4]; [] for none."`
	MinRows    int    `json:"min_rows" default:"2" doc:"In how many rows of the training part a term must be."`
	MaxTerms   int    `json:"max_terms" default:"100000" doc:"Keeps the most frequent terms, of words and of characters, each."`
	Buckets    int    `json:"buckets" default:"0" doc:"Instead of a vocabulary, the hash of a term modulo this is its feature (hashing): memory does not grow with the text."`
	Sublinear  bool   `json:"sublinear" default:"true" doc:"Counts 1 + ln of how often a term occurs in a row instead of how often."`
}

// Model is the block model; its label picks the family.
type Model struct {
	Logistic *Logistic `json:"logistic" doc:"Logistic regression, binary or multinomial. Its minimum is found directly (L-BFGS), without epochs, unless there is an optimizer, schedule, clip_gradient or early_stopping block. With a text block it is the usual classifier of text."`
	Linear   *Linear   `json:"linear" doc:"Linear regression. Its minimum is found directly (conjugate gradients), without epochs, unless the loss is huber or there is an optimizer, schedule, clip_gradient or early_stopping block."`
	MLP      *MLP      `json:"mlp" doc:"Multilayer perceptron."`
	GBDT     *GBDT     `json:"gbdt" doc:"Gradient-boosted decision trees by histograms: most often the best for tables. Instead of optimizer, epochs and batch_size it has rounds. Missing numbers need not be imputed."`
	CNN      *CNN      `json:"cnn" doc:"Convolutional network for images: for each number of filters a convolution and a pool, then hidden layers. Its features are the pixels of an image, row by row, the channels of a pixel side by side."`
	Layers   *Stack    `json:"layers" doc:"Any stack of layers: blocks dense, conv, pool, batch_norm, dropout, flatten and activation in their order. The last layer, which gives the answer, is added."`
}

// MLP is the block model "mlp".
type MLP struct {
	Hidden     []int   `json:"hidden" default:"[64]" doc:"Units of each hidden layer, from the features on."`
	Activation string  `json:"activation" default:"relu" oneof:"relu tanh sigmoid" doc:"Activation of the hidden layers."`
	Dropout    float64 `json:"dropout" default:"0" doc:"Share of hidden activations that a step of training sets to zero."`
}

// Optimizer is the block optimizer; its label picks the method.
type Optimizer struct {
	Adam  *Adam `json:"adam" doc:"Adam (Kingma and Ba, 2015)."`
	AdamW *Adam `json:"adamw" doc:"Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."`
	SGD   *SGD  `json:"sgd" doc:"Stochastic gradient descent with momentum, Nesterov's on request."`
}

// Adam is the block optimizer "adam" or "adamw".
type Adam struct {
	LearningRate float64 `json:"learning_rate" default:"0.001" doc:"Size of a step."`
	Beta1        float64 `json:"beta1" default:"0.9" doc:"How long gradients are remembered."`
	Beta2        float64 `json:"beta2" default:"0.999" doc:"How long their squares are."`
	Epsilon      float64 `json:"epsilon" default:"1e-8" doc:"Keeps the divisor from zero."`
	WeightDecay  float64 `json:"weight_decay" default:"0" doc:"Pulls weights, not biases, to zero (L2 regularisation)."`
}

// SGD is the block optimizer "sgd".
type SGD struct {
	LearningRate float64 `json:"learning_rate" default:"0.01" doc:"Size of a step."`
	Momentum     float64 `json:"momentum" default:"0.9" doc:"Share of the last step that is added to the next."`
	Nesterov     bool    `json:"nesterov" default:"false" doc:"Look ahead: take the gradient's step from where the momentum leads (Sutskever et al., 2013)."`
	WeightDecay  float64 `json:"weight_decay" default:"0" doc:"Pulls weights, not biases, to zero (L2 regularisation)."`
}

// Schedule is the block schedule; its label picks the kind.
type Schedule struct {
	Constant *Constant `json:"constant" doc:"The same rate, after a warm-up."`
	Step     *Step     `json:"step" doc:"A smaller rate every few epochs."`
	Cosine   *Cosine   `json:"cosine" doc:"Falls along half a cosine (Loshchilov and Hutter, 2017)."`
	Plateau  *Plateau  `json:"plateau" doc:"A smaller rate when the loss of the validation part no longer falls."`
}

// WarmUp is what every schedule begins with.
type WarmUp struct {
	Warmup float64 `json:"warmup" default:"0" doc:"Epochs in which the rate grows from near zero."`
}

// Constant is the block schedule "constant".
type Constant struct {
	WarmUp
}

// Step is the block schedule "step".
type Step struct {
	WarmUp
	Every  int     `json:"every" default:"10" doc:"Epochs after which the rate is multiplied by factor, again and again."`
	Factor float64 `json:"factor" default:"0.1" doc:"What the rate is multiplied by."`
}

// Cosine is the block schedule "cosine".
type Cosine struct {
	WarmUp
	Over    int     `json:"over" default:"0" doc:"Epochs until the rate is at its minimum; 0 is all epochs."`
	Minimum float64 `json:"minimum" default:"0" doc:"Share of the learning rate that is left at the end."`
}

// Plateau is the block schedule "plateau".
type Plateau struct {
	WarmUp
	Patience int     `json:"patience" default:"5" doc:"Epochs without a smaller loss after which the rate is multiplied by factor."`
	Factor   float64 `json:"factor" default:"0.1" doc:"What the rate is multiplied by."`
}

// ClipGradient is the block clip_gradient.
type ClipGradient struct {
	Norm  float64 `json:"norm" default:"0" doc:"Largest length of the gradients of all parameters, as one vector; 0 is any."`
	Value float64 `json:"value" default:"0" doc:"Largest magnitude of a number of them; 0 is any."`
}

// Augment is the block augment.
type Augment struct {
	Flip  bool `json:"flip" default:"false" doc:"Mirror every other image, left to right."`
	Shift int  `json:"shift" default:"0" doc:"Move an image by up to so many pixels up, down and to the sides; its edge is repeated. That is a crop of the image with so large a border."`
}

// EarlyStopping is the block early_stopping.
type EarlyStopping struct {
	Metric   string  `json:"metric" default:"loss" doc:"Metric of the validation part: loss or any that train reports."`
	Mode     string  `json:"mode" oneof:"min max" doc:"Whether the metric is to be small or large. Left out: known from its name."`
	Patience int     `json:"patience" default:"10" doc:"Epochs, or rounds of trees, without a better metric after which training ends."`
	MinDelta float64 `json:"min_delta" default:"0" doc:"Smallest change that counts as better."`
}

// The families, as labels of the block model.
const (
	familyLogistic = "logistic"
	familyLinear   = "linear"
	familyMLP      = "mlp"
	familyGBDT     = "gbdt"
	familyCNN      = "cnn"
	familyLayers   = "layers"
)

func (c *Config) family() string {
	switch {
	case c.Model.Logistic != nil:
		return familyLogistic
	case c.Model.Linear != nil:
		return familyLinear
	case c.Model.GBDT != nil:
		return familyGBDT
	case c.Model.CNN != nil:
		return familyCNN
	case c.Model.Layers != nil:
		return familyLayers
	}
	return familyMLP
}

// numericDefaults are what the family does with numbers.
func (c *Config) numericDefaults() (model.Impute, model.Scale) {
	if c.Model.GBDT != nil {
		return model.ImputeNone, model.ScaleNone
	}
	return model.ImputeMedian, model.ScaleStandard
}

// settle fills in what the family decides about features.
func (c *Config) settle(f *Features) {
	impute, scale := c.numericDefaults()
	for i := range f.Numeric {
		n := &f.Numeric[i]
		if n.Impute == "" {
			n.Impute = string(impute)
		}
		if n.Scale == "" {
			n.Scale = string(scale)
		}
		if n.Bins > 0 {
			n.Scale = string(model.ScaleNone)
		}
	}
}

// metric is the name without the part it is always about.
func (e EarlyStopping) metric() string { return strings.TrimPrefix(e.Metric, "validation.") }

func (e EarlyStopping) direction() metric.Direction {
	switch e.Mode {
	case "min":
		return metric.Min
	case "max":
		return metric.Max
	}
	return metric.DirectionOf(e.metric())
}

// isGiven reports whether an argument that may take several forms is there.
func isGiven(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// classWeights is the argument class_weights.
type classWeights struct {
	balanced bool
	byClass  map[string]float64
}

func parseClassWeights(raw json.RawMessage) (classWeights, error) {
	var text string
	var w classWeights
	switch {
	case !isGiven(raw):
		return w, nil
	case json.Unmarshal(raw, &text) == nil:
		if text != "balanced" {
			return w, fmt.Errorf("%q is neither", text)
		}
		w.balanced = true
		return w, nil
	}
	if err := json.Unmarshal(raw, &w.byClass); err != nil {
		return w, fmt.Errorf("%s is neither", raw)
	}
	for class, v := range w.byClass {
		if !(v >= 0) || math.IsInf(v, 0) {
			return w, fmt.Errorf("the weight of %q is %v", class, v)
		}
	}
	return w, nil
}
