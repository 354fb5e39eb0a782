// Package onnx reads, writes and runs the part of ONNX that flow's models are
// made of: one graph of operations over matrices and images, IR version 8, opset 17
// and ai.onnx.ml 3 (https://github.com/onnx/onnx/blob/main/docs/IR.md).
//
// Marshal gives the same bytes for the same Model. Unmarshal reads what Marshal
// wrote and models of others that keep to the same operations; Run executes
// them with the arithmetic of nn/kernel, so that a prediction has the bits that
// training saw. It refuses everything else by name: subgraphs, external data,
// element types and operations that are not in the list of run.go.
//
// stages/model is the only caller.
package onnx

// The versions that Marshal writes. Runtimes of the last years read them.
const (
	IRVersion = 8
	Opset     = 17
	OpsetML   = 3
	// DomainML is the domain of the operations for classical machine learning.
	DomainML = "ai.onnx.ml"
)

// Model is a graph with what is said about it.
type Model struct {
	Producer string
	Graph    Graph
	// Metadata is kept in order.
	Metadata []Property
}

// Property is one entry of a model's metadata.
type Property struct{ Key, Value string }

// Property returns the value of a key of the metadata.
func (m *Model) Property(key string) (string, bool) {
	for _, p := range m.Metadata {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// Graph is a list of nodes, each after those whose outputs it reads.
type Graph struct {
	Name         string
	Nodes        []Node
	Initializers []Tensor
	Inputs       []Port
	Outputs      []Port
}

// Add appends a node that has one output, and returns the output's name.
func (g *Graph) Add(op, output string, inputs []string, attributes ...Attribute) string {
	g.Nodes = append(g.Nodes, Node{Op: op, Name: output, Inputs: inputs, Outputs: []string{output}, Attributes: attributes})
	return output
}

// AddML is Add for an operation of DomainML.
func (g *Graph) AddML(op, output string, inputs []string, attributes ...Attribute) string {
	g.Add(op, output, inputs, attributes...)
	g.Nodes[len(g.Nodes)-1].Domain = DomainML
	return output
}

// Floats adds an initializer and returns its name.
func (g *Graph) Floats(name string, values []float32, dims ...int64) string {
	g.Initializers = append(g.Initializers, Tensor{Name: name, Type: Float, Dims: dims, Floats: values})
	return name
}

// Ints adds an initializer and returns its name.
func (g *Graph) Ints(name string, values []int64, dims ...int64) string {
	g.Initializers = append(g.Initializers, Tensor{Name: name, Type: Int64, Dims: dims, Ints: values})
	return name
}

// Node is one operation. Name is the name of its first output.
type Node struct {
	Op, Domain, Name string
	Inputs, Outputs  []string
	Attributes       []Attribute
}

// Attribute is a constant of a node; which field counts is said by Type.
type Attribute struct {
	Name    string
	Type    AttributeType
	Int     int64
	Float   float32
	Floats  []float32
	Ints    []int64
	Strings []string
}

// AttributeType is the number of AttributeProto.AttributeType.
type AttributeType int

// The types of attributes that are used.
const (
	AttributeFloat   AttributeType = 1
	AttributeInt     AttributeType = 2
	AttributeString  AttributeType = 3
	AttributeFloats  AttributeType = 6
	AttributeInts    AttributeType = 7
	AttributeStrings AttributeType = 8
)

// IntAttribute returns an attribute that is an integer.
func IntAttribute(name string, v int64) Attribute {
	return Attribute{Name: name, Type: AttributeInt, Int: v}
}

// FloatAttribute returns an attribute that is a number.
func FloatAttribute(name string, v float32) Attribute {
	return Attribute{Name: name, Type: AttributeFloat, Float: v}
}

// FloatsAttribute returns an attribute that is a list of numbers.
func FloatsAttribute(name string, v []float32) Attribute {
	return Attribute{Name: name, Type: AttributeFloats, Floats: v}
}

// StringAttribute returns an attribute that is a string.
func StringAttribute(name, v string) Attribute {
	return Attribute{Name: name, Type: AttributeString, Strings: []string{v}}
}

// IntsAttribute returns an attribute that is a list of integers.
func IntsAttribute(name string, v []int64) Attribute {
	return Attribute{Name: name, Type: AttributeInts, Ints: v}
}

// StringsAttribute returns an attribute that is a list of strings.
func StringsAttribute(name string, v []string) Attribute {
	return Attribute{Name: name, Type: AttributeStrings, Strings: v}
}

// ElementType is the number of TensorProto.DataType.
type ElementType int

// The element types that are used.
const (
	Float  ElementType = 1
	Int64  ElementType = 7
	String ElementType = 8
)

// Tensor is a constant; which of Floats and Ints counts is said by Type.
type Tensor struct {
	Name   string
	Type   ElementType
	Dims   []int64
	Floats []float32
	Ints   []int64
}

// Port is an input or an output of a graph.
type Port struct {
	Name string
	Type ElementType
	// Dims are lengths; one that has a Name is free, such as the batch.
	Dims []Dim
}

// Dim is a length, or the name of one that is not fixed.
type Dim struct {
	Name   string
	Length int64
}
