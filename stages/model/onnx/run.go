package onnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
	"github.com/flow-pipelines/flow/stages/portable"
)

// Value is a matrix, or with Cols 1 a vector over the batch. One of the slices
// holds Rows×Cols elements in row-major order.
type Value struct {
	Rows, Cols int
	Floats     []float32
	Ints       []int64
	Strings    []string
	bools      []bool
	// image is the shape of a row that is one; see image.go.
	image image
}

// Session runs a model. It is safe for concurrent use.
type Session struct {
	model     *Model
	constants map[string]Value
	// runs are the nodes' functions, in order.
	runs []runFunc
}

// NewSession checks that Run knows every operation of the model, in an order in
// which inputs come first.
func NewSession(m *Model) (*Session, error) {
	s := &Session{model: m, constants: map[string]Value{}}
	known := map[string]bool{}
	for _, p := range m.Graph.Inputs {
		known[p.Name] = true
	}
	for _, t := range m.Graph.Initializers {
		v, err := constant(t)
		if err != nil {
			return nil, err
		}
		s.constants[t.Name] = v
		known[t.Name] = true
	}
	for _, n := range m.Graph.Nodes {
		op, ok := operations[n.Domain+"."+n.Op]
		switch {
		case !ok:
			return nil, fmt.Errorf("load onnx model: operation %q of domain %q is not supported", n.Op, n.Domain)
		case len(n.Outputs) != 1 || op.inputs >= 0 && len(n.Inputs) != op.inputs:
			return nil, fmt.Errorf("load onnx model: %s %q has %d inputs and %d outputs", n.Op, n.Name, len(n.Inputs), len(n.Outputs))
		}
		for _, in := range n.Inputs {
			if !known[in] {
				return nil, fmt.Errorf("load onnx model: %s %q reads %q before it is there", n.Op, n.Name, in)
			}
		}
		known[n.Outputs[0]] = true
		run := op.run
		if op.prepare != nil {
			var err error
			if run, err = op.prepare(n); err != nil {
				return nil, fmt.Errorf("load onnx model: %s %q: %w", n.Op, n.Name, err)
			}
		}
		s.runs = append(s.runs, run)
	}
	for _, p := range m.Graph.Outputs {
		if !known[p.Name] {
			return nil, fmt.Errorf("load onnx model: nothing computes output %q", p.Name)
		}
	}
	return s, nil
}

// constant gives an initializer as a value: a vector is one row.
func constant(t Tensor) (Value, error) {
	v := Value{Rows: 1, Cols: 1, Floats: t.Floats, Ints: t.Ints}
	switch len(t.Dims) {
	case 0:
	case 1:
		v.Cols = int(t.Dims[0])
	case 2:
		v.Rows, v.Cols = int(t.Dims[0]), int(t.Dims[1])
	case 4:
		if t.Type != Float {
			return v, fmt.Errorf("load onnx model: constant %q has dimensions %v and no floats", t.Name, t.Dims)
		}
		return filters(t), nil
	default:
		return v, fmt.Errorf("load onnx model: constant %q has dimensions %v", t.Name, t.Dims)
	}
	return v, nil
}

// Run computes all outputs for the inputs, which must have the same number of
// rows each.
func (s *Session) Run(inputs map[string]Value) (map[string]Value, error) {
	values := make(map[string]Value, len(s.model.Graph.Nodes)+len(inputs))
	for _, p := range s.model.Graph.Inputs {
		v, ok := inputs[p.Name]
		if !ok {
			return nil, fmt.Errorf("run onnx model: input %q is missing", p.Name)
		}
		if n := len(p.Dims); n > 0 && p.Dims[n-1].Name == "" && p.Dims[n-1].Length != int64(v.Cols) {
			return nil, fmt.Errorf("run onnx model: input %q has %d columns, want %d", p.Name, v.Cols, p.Dims[n-1].Length)
		}
		values[p.Name] = v
	}
	args := make([]Value, 0, 4)
	for i, n := range s.model.Graph.Nodes {
		args = args[:0]
		for _, name := range n.Inputs {
			v, ok := values[name]
			if !ok {
				v = s.constants[name]
			}
			args = append(args, v)
		}
		out, err := s.runs[i](n, args)
		if err != nil {
			return nil, fmt.Errorf("run onnx model: %s %q: %w", n.Op, n.Name, err)
		}
		values[n.Outputs[0]] = out
	}
	outputs := make(map[string]Value, len(s.model.Graph.Outputs))
	for _, p := range s.model.Graph.Outputs {
		outputs[p.Name] = values[p.Name]
	}
	return outputs, nil
}

// operation is what Run knows of an operation; inputs is -1 for any number.
type operation struct {
	inputs int
	run    runFunc
	// prepare, if not nil, makes the function of a node once: for attributes
	// that would have to be read into another form at each run.
	prepare func(Node) (runFunc, error)
}

type runFunc func(n Node, in []Value) (Value, error)

// operations are by domain and name. It is never changed.
var operations = map[string]operation{
	".IsNaN":                            {inputs: 1, run: isNaN},
	".Where":                            {inputs: 3, run: where},
	".GreaterOrEqual":                   {inputs: 2, run: greaterOrEqual},
	".Sub":                              {inputs: 2, run: broadcast(func(a, b float32) float32 { return a - b })},
	".Add":                              {inputs: 2, run: broadcast(func(a, b float32) float32 { return a + b })},
	".Mul":                              {inputs: 2, run: broadcast(func(a, b float32) float32 { return a * b })},
	".Relu":                             {inputs: 1, run: each(func(v float32) float32 { return max(v, 0) })},
	".Tanh":                             {inputs: 1, run: each(kernel.Tanh)},
	".Sigmoid":                          {inputs: 1, run: each(kernel.Sigmoid)},
	".HardSigmoid":                      {inputs: 1, run: hardSigmoid},
	".Log":                              {inputs: 1, run: each(func(v float32) float32 { return float32(portable.Log(float64(v))) })},
	".Softmax":                          {inputs: 1, run: softmax},
	".Gemm":                             {inputs: 3, run: gemm},
	".Reshape":                          {inputs: 2, run: reshape},
	".Transpose":                        {inputs: 1, run: transpose},
	".Conv":                             {inputs: 3, run: convolve},
	".MaxPool":                          {inputs: 1, run: pool(kernel.Window.MaxPool)},
	".AveragePool":                      {inputs: 1, run: pool(kernel.Window.AveragePool)},
	".BatchNormalization":               {inputs: 5, run: normalise},
	".Concat":                           {inputs: -1, run: concat},
	".Gather":                           {inputs: 2, run: gather},
	".Unsqueeze":                        {inputs: 2, run: reshaped},
	".Squeeze":                          {inputs: 2, run: reshaped},
	".MatMul":                           {inputs: 2, run: weightedSum},
	".ArgMax":                           {inputs: 1, run: argMax},
	DomainML + ".OneHotEncoder":         {inputs: 1, prepare: oneHot},
	DomainML + ".LabelEncoder":          {inputs: 1, prepare: labelEncoder},
	DomainML + ".TreeEnsembleRegressor": {inputs: 1, prepare: treeEnsemble},
}

func attribute(n Node, name string) Attribute {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a
		}
	}
	return Attribute{}
}

func floats(rows, cols int) Value {
	return Value{Rows: rows, Cols: cols, Floats: make([]float32, rows*cols)}
}

func isNaN(_ Node, in []Value) (Value, error) {
	out := Value{Rows: in[0].Rows, Cols: in[0].Cols, bools: make([]bool, len(in[0].Floats))}
	for i, v := range in[0].Floats {
		out.bools[i] = v != v
	}
	return out, nil
}

// at returns element i of a value of shape (rows, cols) or of one row that is
// the same for all, or of one element.
func (v Value) at(i, cols int) float32 {
	switch len(v.Floats) {
	case 1:
		return v.Floats[0]
	case cols:
		return v.Floats[i%cols]
	}
	return v.Floats[i]
}

// fits reports whether at may be asked for elements of a matrix.
func (v Value) fits(rows, cols int) bool {
	n := len(v.Floats)
	return n == 1 || n == cols && v.Rows == 1 || n == rows*cols && v.Cols == cols
}

// where chooses between numbers, or between two whole numbers.
func where(_ Node, in []Value) (Value, error) {
	if yes, no := in[1].Ints, in[2].Ints; len(yes) == 1 && len(no) == 1 {
		out := Value{Rows: in[0].Rows, Cols: in[0].Cols, Ints: make([]int64, len(in[0].bools))}
		for i, is := range in[0].bools {
			out.Ints[i] = no[0]
			if is {
				out.Ints[i] = yes[0]
			}
		}
		return out, nil
	}
	out := floats(in[0].Rows, in[0].Cols)
	if len(in[0].bools) != len(out.Floats) || !in[1].fits(out.Rows, out.Cols) || !in[2].fits(out.Rows, out.Cols) {
		return out, fmt.Errorf("shapes do not match")
	}
	for i, yes := range in[0].bools {
		if yes {
			out.Floats[i] = in[1].at(i, out.Cols)
		} else {
			out.Floats[i] = in[2].at(i, out.Cols)
		}
	}
	return out, nil
}

// greaterOrEqual compares with a matrix, a row or a number.
func greaterOrEqual(_ Node, in []Value) (Value, error) {
	out := Value{Rows: in[0].Rows, Cols: in[0].Cols, bools: make([]bool, len(in[0].Floats))}
	if len(out.bools) != out.Rows*out.Cols || !in[1].fits(out.Rows, out.Cols) {
		return out, fmt.Errorf("shapes %d×%d and %d×%d do not match", in[0].Rows, in[0].Cols, in[1].Rows, in[1].Cols)
	}
	for i, v := range in[0].Floats {
		out.bools[i] = v >= in[1].at(i, out.Cols)
	}
	return out, nil
}

// broadcast is an operation on a matrix and a matrix, row or number.
func broadcast(f func(a, b float32) float32) func(Node, []Value) (Value, error) {
	return func(_ Node, in []Value) (Value, error) {
		out := floats(in[0].Rows, in[0].Cols)
		if len(in[0].Floats) != len(out.Floats) || !in[1].fits(out.Rows, out.Cols) {
			return out, fmt.Errorf("shapes %d×%d and %d×%d do not match", in[0].Rows, in[0].Cols, in[1].Rows, in[1].Cols)
		}
		for i, a := range in[0].Floats {
			out.Floats[i] = f(a, in[1].at(i, out.Cols))
		}
		return out, nil
	}
}

func each(f func(float32) float32) func(Node, []Value) (Value, error) {
	return func(_ Node, in []Value) (Value, error) {
		out := floats(in[0].Rows, in[0].Cols)
		out.image = in[0].image
		for i, v := range in[0].Floats {
			out.Floats[i] = f(v)
		}
		return out, nil
	}
}

// hardSigmoid is a line with the slope alpha between 0 and 1.
func hardSigmoid(n Node, in []Value) (Value, error) {
	alpha, beta := attribute(n, "alpha"), attribute(n, "beta")
	if alpha.Type != AttributeFloat || beta.Type != AttributeFloat {
		return Value{}, fmt.Errorf("it has no alpha or beta")
	}
	return each(func(v float32) float32 { return max(0, min(1, float32(alpha.Float*v)+beta.Float)) })(n, in)
}

func softmax(_ Node, in []Value) (Value, error) {
	out := floats(in[0].Rows, in[0].Cols)
	if len(in[0].Floats) != len(out.Floats) || out.Cols == 0 {
		return out, fmt.Errorf("its input is not a matrix of numbers")
	}
	for i := range out.Rows {
		kernel.Softmax(out.Floats[i*out.Cols:(i+1)*out.Cols], in[0].Floats[i*out.Cols:(i+1)*out.Cols])
	}
	return out, nil
}

// gemm is x·w + b, the sums in the order of nn.
func gemm(n Node, in []Value) (Value, error) {
	x, w, b := in[0], in[1], in[2]
	for _, a := range n.Attributes {
		return Value{}, fmt.Errorf("attribute %q is not supported", a.Name)
	}
	if x.image != (image{}) || len(x.Floats) != x.Rows*x.Cols || x.Cols != w.Rows || len(w.Floats) != w.Rows*w.Cols || len(b.Floats) != w.Cols {
		return Value{}, fmt.Errorf("shapes %d×%d, %d×%d and %d do not match", x.Rows, x.Cols, w.Rows, w.Cols, len(b.Floats))
	}
	out := floats(x.Rows, w.Cols)
	p := kernel.Product{
		A: kernel.Rows(x.Floats, x.Cols), B: kernel.Rows(w.Floats, w.Cols), C: out.Floats,
		M: x.Rows, N: w.Cols, K: x.Cols, Bias: b.Floats,
	}
	p.Run()
	return out, nil
}

func concat(n Node, in []Value) (Value, error) {
	if attribute(n, "axis").Int != 1 || len(in) == 0 {
		return Value{}, fmt.Errorf("only columns can be joined")
	}
	cols := 0
	for _, v := range in {
		if v.Rows != in[0].Rows || len(v.Floats) != v.Rows*v.Cols {
			return Value{}, fmt.Errorf("its inputs are not matrices with the same rows")
		}
		cols += v.Cols
	}
	out := floats(in[0].Rows, cols)
	for i := range out.Rows {
		row := out.Floats[i*cols : (i+1)*cols]
		for _, v := range in {
			row = row[copy(row, v.Floats[i*v.Cols:(i+1)*v.Cols]):]
		}
	}
	return out, nil
}

// gather takes columns of a matrix, one of strings, or rows of a matrix of numbers: those of a
// row of indices one after the other.
func gather(n Node, in []Value) (Value, error) {
	table, index := in[0], in[1]
	if attribute(n, "axis").Int == 0 && len(table.Floats) == table.Rows*table.Cols {
		return gatherRows(table, index)
	}
	if attribute(n, "axis").Int != 1 || max(len(table.Strings), len(table.Floats)) != table.Rows*table.Cols || len(index.Ints) == 0 {
		return Value{}, fmt.Errorf("only columns of a matrix can be taken")
	}
	for _, col := range index.Ints {
		if col < 0 || col >= int64(table.Cols) {
			return Value{}, fmt.Errorf("there is no column %d", col)
		}
	}
	return Value{
		Rows: table.Rows, Cols: len(index.Ints),
		Strings: columnsOf(table.Strings, index.Ints, table.Cols), Floats: columnsOf(table.Floats, index.Ints, table.Cols),
	}, nil
}

// columnsOf takes the elements of some columns; of no elements none.
func columnsOf[T any](elements []T, columns []int64, cols int) []T {
	out := make([]T, 0, len(elements)/cols*len(columns))
	for row := 0; row < len(elements); row += cols {
		for _, col := range columns {
			out = append(out, elements[row+int(col)])
		}
	}
	return out
}

func gatherRows(table, index Value) (Value, error) {
	out := Value{Rows: index.Rows, Cols: index.Cols * table.Cols, Floats: make([]float32, 0, len(index.Ints)*table.Cols)}
	for _, i := range index.Ints {
		if i < 0 || i >= int64(table.Rows) {
			return Value{}, fmt.Errorf("there is no row %d", i)
		}
		out.Floats = append(out.Floats, table.Floats[int(i)*table.Cols:int(i+1)*table.Cols]...)
	}
	return out, nil
}

// reshaped is Unsqueeze and Squeeze along axis 1, to and from a batch of
// matrices of one row: a Value is a row for each of the batch either way.
func reshaped(_ Node, in []Value) (Value, error) {
	if len(in[1].Ints) != 1 || in[1].Ints[0] != 1 {
		return Value{}, fmt.Errorf("only axis 1 can be added or removed")
	}
	return in[0], nil
}

// weightedSum is MatMul of one row and what gatherRows gave, for each of the
// batch: added up in float64 in the order of the terms.
func weightedSum(_ Node, in []Value) (Value, error) {
	weights, each := in[0], in[1]
	if weights.Cols == 0 || weights.Rows != each.Rows || each.Cols%weights.Cols != 0 {
		return Value{}, fmt.Errorf("shapes %d×%d and %d×%d do not match", weights.Rows, weights.Cols, each.Rows, each.Cols)
	}
	out := floats(weights.Rows, each.Cols/weights.Cols)
	sums := make([]float64, out.Cols)
	for i := range out.Rows {
		clear(sums)
		for j, w := range weights.Floats[i*weights.Cols : (i+1)*weights.Cols] {
			if w == 0 {
				continue
			}
			row := each.Floats[i*each.Cols+j*out.Cols:][:out.Cols]
			for k, v := range row {
				sums[k] += float64(float64(w) * float64(v))
			}
		}
		for k, v := range sums {
			out.Floats[i*out.Cols+k] = float32(v)
		}
	}
	return out, nil
}

// oneHot gives a string that is no category a row of zeros.
func oneHot(n Node) (runFunc, error) {
	categories := attribute(n, "cats_strings").Strings
	if attribute(n, "zeros").Int != 1 {
		return nil, fmt.Errorf("unknown categories are not zeros")
	}
	index := make(map[string]int, len(categories))
	for i, c := range categories {
		index[c] = i
	}
	return func(_ Node, in []Value) (Value, error) {
		if in[0].Cols != 1 {
			return Value{}, fmt.Errorf("its input is not one column")
		}
		out := floats(in[0].Rows, len(categories))
		for i, s := range in[0].Strings {
			if j, ok := index[s]; ok {
				out.Floats[i*out.Cols+j] = 1
			}
		}
		return out, nil
	}, nil
}

// argMax takes the first of equals.
func argMax(n Node, in []Value) (Value, error) {
	if attribute(n, "axis").Int != 1 || in[0].Cols == 0 || len(in[0].Floats) != in[0].Rows*in[0].Cols {
		return Value{}, fmt.Errorf("only the columns of a row can be compared")
	}
	out := Value{Rows: in[0].Rows, Cols: 1, Ints: make([]int64, in[0].Rows)}
	for i := range out.Ints {
		row := in[0].Floats[i*in[0].Cols : (i+1)*in[0].Cols]
		best := float32(math.Inf(-1))
		for j, v := range row {
			if v > best {
				best, out.Ints[i] = v, int64(j)
			}
		}
	}
	return out, nil
}

// labelEncoder looks strings up for numbers, with one for all others, or whole
// numbers for strings.
func labelEncoder(n Node) (runFunc, error) {
	if attribute(n, "keys_strings").Type == 0 {
		return labels, nil
	}
	keys, values, other := attribute(n, "keys_strings").Strings, attribute(n, "values_floats").Floats, attribute(n, "default_float")
	if len(keys) != len(values) || other.Type != AttributeFloat {
		return nil, fmt.Errorf("it has %d keys and %d values", len(keys), len(values))
	}
	index := make(map[string]float32, len(keys))
	for i, k := range keys {
		index[k] = values[i]
	}
	return func(_ Node, in []Value) (Value, error) {
		out := floats(in[0].Rows, in[0].Cols)
		if len(in[0].Strings) != len(out.Floats) {
			return out, fmt.Errorf("its input is not a matrix of strings")
		}
		for i, s := range in[0].Strings {
			v, ok := index[s]
			if !ok {
				v = other.Float
			}
			out.Floats[i] = v
		}
		return out, nil
	}, nil
}

func labels(n Node, in []Value) (Value, error) {
	keys, values := attribute(n, "keys_int64s").Ints, attribute(n, "values_strings").Strings
	if len(keys) != len(values) {
		return Value{}, fmt.Errorf("it has %d keys and %d values", len(keys), len(values))
	}
	out := Value{Rows: in[0].Rows, Cols: in[0].Cols, Strings: make([]string, len(in[0].Ints))}
	for i, v := range in[0].Ints {
		j := slices.Index(keys, v)
		if j < 0 {
			return out, fmt.Errorf("there is no key %d", v)
		}
		out.Strings[i] = values[j]
	}
	return out, nil
}
