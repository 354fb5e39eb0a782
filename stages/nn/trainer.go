package nn

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// Options say what is trained and how. All of them except Threads decide the
// result.
type Options struct {
	Network   Network
	Loss      Loss
	Optimizer Optimizer
	Schedule  Schedule
	Clip      Clip
	Augment   Augment
	// BatchSize is the number of rows of a step; the last step of an epoch
	// takes what is left.
	BatchSize int
	Seed      uint64
	// Threads is how many goroutines share the work of a step; 0 is one.
	Threads int
}

// NonFiniteError says that the loss of a step was not a number or infinite, or
// that the parameters after it were. They are of no use afterwards.
type NonFiniteError struct {
	// Epoch and Step are counted from 1.
	Epoch, Step int
	Loss        float64
	// Feature is the index of a feature of the batch that is not finite, or -1,
	// and Parameter the first parameter that is not, or "".
	Feature   int
	Parameter string
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("train: the loss is %v in step %d of epoch %d", e.Loss, e.Step, e.Epoch)
}

// Trainer holds a network's parameters and trains them. It is not safe for
// concurrent use.
type Trainer struct {
	options    Options
	parameters []Parameter
	optimizer  *optimizer
	// update and limit are the optimizer's, made once: a method value is an
	// allocation.
	update, limit func(from, to int)
	// slower is by what Slow has multiplied the learning rate.
	slower float64
	team   *team
	epoch  int
	// dropoutStep numbers the steps since the beginning, for dropout.
	dropoutStep uint32

	train     *executor
	graph     graph
	y, w      *G.Node
	loss      *G.Node
	gradients G.Nodes
	// x0, y0 and w0 hold the rows of the current step.
	x0, y0, w0 Matrix

	predict      *executor
	predictGraph graph
}

// NewTrainer returns a trainer with initial parameters.
func NewTrainer(o Options) (*Trainer, error) {
	if err := errors.Join(o.Network.Check(), o.Optimizer.check(), o.Schedule.check(), o.Clip.check(), o.Augment.check()); err != nil {
		return nil, err
	}
	if o.BatchSize < 1 {
		return nil, fmt.Errorf("make trainer: batch size %d is not positive", o.BatchSize)
	}
	if !slices.Contains(Losses(), o.Loss) {
		return nil, fmt.Errorf("make trainer: loss %q is unknown", o.Loss)
	}
	t := &Trainer{options: o, slower: 1, team: newTeam(o.Threads)}
	layers := o.Network.initialise(o.Seed)
	for _, l := range layers {
		t.parameters = append(t.parameters, l...)
	}
	t.optimizer = newOptimizer(o.Optimizer, o.Clip, t.parameters)
	t.update, t.limit = t.optimizer.update, t.optimizer.limit
	if err := t.compileTraining(layers); err != nil {
		return nil, err
	}
	return t, t.compilePrediction(layers)
}

func (t *Trainer) compileTraining(layers [][]Parameter) (err error) {
	o := t.options
	t.graph, err = o.Network.build(o.BatchSize, layers, &training{seed: o.Seed, step: &t.dropoutStep})
	if err != nil {
		return err
	}
	t.x0 = NewMatrix(o.BatchSize, o.Network.Input.Size())
	t.y0 = NewMatrix(o.BatchSize, o.Loss.targetCols(o.Network.Outputs()))
	t.w0 = NewMatrix(o.BatchSize, 1)
	t.y = inputLike(t.graph, "y", t.y0)
	t.w = inputLike(t.graph, "w", t.w0)
	if t.loss, err = o.Loss.node(t.graph.outputs, t.y, t.w); err != nil {
		return err
	}
	var by G.Nodes
	for i, n := range t.graph.parameters {
		if !t.parameters[i].Fixed {
			by = append(by, n)
		}
	}
	if t.gradients, err = differentiate(t.loss, by); err != nil {
		return err
	}
	t.train, err = newExecutor(t.team, append(G.Nodes{t.loss}, t.gradients...)...)
	if err != nil {
		return err
	}
	for i, n := range t.graph.parameters {
		t.train.bind(n, t.parameters[i].Matrix)
	}
	return nil
}

func (t *Trainer) compilePrediction(layers [][]Parameter) (err error) {
	o := t.options
	t.predictGraph, err = o.Network.build(o.BatchSize, layers, nil)
	if err != nil {
		return err
	}
	if t.predict, err = newExecutor(t.team, t.predictGraph.outputs); err != nil {
		return err
	}
	for i, n := range t.predictGraph.parameters {
		t.predict.bind(n, t.parameters[i].Matrix)
	}
	return nil
}

func inputLike(g graph, name string, m Matrix) *G.Node {
	return G.NewMatrix(g.x.Graph(), G.Float32, G.WithShape(m.Rows, m.Cols), G.WithName(name))
}

// differentiate returns the gradient of a scalar by each node. It is G.Grad
// with a constant 1 of its own: the one that Grad uses is a package variable of
// Gorgonia's, which two trainers in two goroutines would both change.
func differentiate(loss *G.Node, by G.Nodes) (G.Nodes, error) {
	one := loss.Graph().AddNode(G.NewConstant(float32(1)))
	gradients, err := G.Backpropagate(G.Nodes{loss}, G.Nodes{one}, by)
	if err != nil {
		return nil, fmt.Errorf("differentiate the loss: %w", err)
	}
	return gradients, nil
}

// Epoch trains on all rows once, in an order drawn from the seed and the number
// of the epoch, and returns the mean loss of the steps, each by its rows'
// weight. A *NonFiniteError ends training.
func (t *Trainer) Epoch(ctx context.Context, e Examples) (float64, error) {
	if err := e.check(t.options); err != nil {
		return 0, err
	}
	t.epoch++
	order := make([]int, e.X.Rows)
	for i := range order {
		order[i] = i
	}
	s := philox.New(t.options.Seed, purposeShuffle, uint32(t.epoch))
	s.Shuffle(order)

	steps := (len(order) + t.options.BatchSize - 1) / t.options.BatchSize
	var sum, weight float64
	for from, step := 0, 1; from < len(order); from, step = from+t.options.BatchSize, step+1 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		batch := order[from:min(from+t.options.BatchSize, len(order))]
		w := t.gather(e, batch)
		share := t.slower * t.options.Schedule.share(t.epoch, step-1, steps)
		loss := t.step(len(batch), share)
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return 0, t.nonFinite(step, loss)
		}
		sum += float64(loss * w)
		weight += w
	}
	if weight == 0 {
		return 0, errors.New("train: every row has weight zero")
	}
	// The last step's change has not been through a loss yet.
	if t.brokenParameter() != "" {
		return 0, t.nonFinite(steps, math.NaN())
	}
	return sum / weight, nil
}

// nonFinite says where the loss of the current batch broke.
func (t *Trainer) nonFinite(step int, loss float64) error {
	e := &NonFiniteError{Epoch: t.epoch, Step: step, Loss: loss, Feature: -1, Parameter: t.brokenParameter()}
	if i := brokenAt(t.x0.Data); i >= 0 {
		e.Feature = i % t.x0.Cols
	}
	return e
}

func (t *Trainer) brokenParameter() string {
	for _, p := range t.parameters {
		if brokenAt(p.Data) >= 0 {
			return p.Name
		}
	}
	return ""
}

// brokenAt is the index of the first number that is infinite or not one, or -1.
func brokenAt(x []float32) int {
	for i, v := range x {
		if d := v - v; d != 0 {
			return i
		}
	}
	return -1
}

// Slow multiplies the learning rate of all further steps, as when the loss no
// longer falls. The factor is above 0 and at most 1.
func (t *Trainer) Slow(factor float64) { t.slower *= factor }

// gather copies the rows of a batch together and returns their weight.
func (t *Trainer) gather(e Examples, batch []int) float64 {
	for i, row := range batch {
		t.options.Augment.apply(t.x0.Row(i), e.X.Row(row), t.options.Network.Input, t.options.Seed, t.epoch, row)
		copy(t.y0.Row(i), e.Y.Row(row))
		t.w0.Data[i] = 1
		if e.Weight != nil {
			t.w0.Data[i] = e.Weight[row]
		}
	}
	return totalWeight(t.w0.Slice(0, len(batch)))
}

func (t *Trainer) step(rows int, share float64) float64 {
	t.dropoutStep++
	t.train.bind(t.graph.x, t.x0.Slice(0, rows))
	t.train.bind(t.y, t.y0.Slice(0, rows))
	t.train.bind(t.w, t.w0.Slice(0, rows))
	t.train.run()
	loss := float64(t.train.value(t.loss).Data[0])
	for i, n := range t.gradients {
		t.optimizer.gradients[i] = t.train.value(n).Data
	}
	blocks, factor := len(t.optimizer.blocks), float32(1)
	if t.options.Clip != (Clip{}) {
		t.team.share(blocks, blocks*blockSize, t.limit)
		factor = t.optimizer.shorten()
	}
	t.optimizer.begin(share, factor)
	t.team.share(blocks, blocks*blockSize, t.update)
	return loss
}

// Outputs returns what the network says about each row of x: logits for
// SoftmaxCrossEntropy and BinaryCrossEntropy, predictions for the others. It works in batches, so
// that its memory does not grow with the rows, and does not change the trainer.
func (t *Trainer) Outputs(x Matrix) (Matrix, error) {
	if x.Cols != t.options.Network.Input.Size() {
		return Matrix{}, fmt.Errorf("predict: rows have %d features and the network takes %d", x.Cols, t.options.Network.Input.Size())
	}
	out := NewMatrix(x.Rows, t.options.Network.Outputs())
	for from := 0; from < x.Rows; from += t.options.BatchSize {
		to := min(from+t.options.BatchSize, x.Rows)
		t.predict.bind(t.predictGraph.x, x.Slice(from, to))
		t.predict.run()
		copy(out.Slice(from, to).Data, t.predict.value(t.predictGraph.outputs).Data)
	}
	return out, nil
}

// Parameters returns a copy of the parameters, layer by layer.
func (t *Trainer) Parameters() []Parameter {
	out := make([]Parameter, len(t.parameters))
	for i, p := range t.parameters {
		out[i] = Parameter{p.Name, p.Fixed, Matrix{p.Rows, p.Cols, append([]float32(nil), p.Data...)}}
	}
	return out
}

// SetParameters replaces the parameters with earlier ones of the same network,
// such as those of the best epoch.
func (t *Trainer) SetParameters(parameters []Parameter) error {
	if len(parameters) != len(t.parameters) {
		return fmt.Errorf("set parameters: got %d, want %d", len(parameters), len(t.parameters))
	}
	for i, p := range parameters {
		own := t.parameters[i]
		if p.Name != own.Name || p.Rows != own.Rows || p.Cols != own.Cols || len(p.Data) != len(own.Data) {
			return fmt.Errorf("set parameters: got %s of %d×%d, want %s of %d×%d", p.Name, p.Rows, p.Cols, own.Name, own.Rows, own.Cols)
		}
	}
	for i, p := range parameters {
		copy(t.parameters[i].Data, p.Data)
	}
	return nil
}

// Digest identifies parameters by their bits: SHA-256, in hexadecimal, over
// names, shapes and little-endian floats, each with its length.
func Digest(parameters []Parameter) string {
	h := sha256.New()
	var b []byte
	for _, p := range parameters {
		b = binary.LittleEndian.AppendUint64(b[:0], uint64(len(p.Name)))
		b = append(b, p.Name...)
		b = binary.LittleEndian.AppendUint64(b, uint64(p.Rows))
		b = binary.LittleEndian.AppendUint64(b, uint64(p.Cols))
		for _, v := range p.Data {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}
