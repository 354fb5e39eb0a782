package onnx

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protocol buffer being written, field by field. The numbers are
// those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
type message []byte

func (m *message) varint(field protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v))
}

func (m *message) text(field protowire.Number, v string) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendString(*m, v)
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, v)
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendTag(*m, field, protowire.Fixed32Type)
	*m = protowire.AppendFixed32(*m, math.Float32bits(v))
}

// Marshal returns the model's file.
func Marshal(model *Model) []byte {
	var m message
	m.varint(1, IRVersion)
	m.text(2, model.Producer)
	m.bytes(7, graphMessage(&model.Graph))
	m.bytes(8, opsetMessage("", Opset))
	for _, n := range model.Graph.Nodes {
		if n.Domain == DomainML {
			m.bytes(8, opsetMessage(DomainML, OpsetML))
			break
		}
	}
	for _, p := range model.Metadata {
		var entry message
		entry.text(1, p.Key)
		entry.text(2, p.Value)
		m.bytes(14, entry)
	}
	return m
}

func opsetMessage(domain string, version int64) (m message) {
	m.text(1, domain)
	m.varint(2, version)
	return m
}

func graphMessage(g *Graph) (m message) {
	for _, n := range g.Nodes {
		m.bytes(1, nodeMessage(n))
	}
	m.text(2, g.Name)
	for _, t := range g.Initializers {
		m.bytes(5, tensorMessage(t))
	}
	for _, p := range g.Inputs {
		m.bytes(11, portMessage(p))
	}
	for _, p := range g.Outputs {
		m.bytes(12, portMessage(p))
	}
	return m
}

func nodeMessage(n Node) (m message) {
	for _, name := range n.Inputs {
		m.text(1, name)
	}
	for _, name := range n.Outputs {
		m.text(2, name)
	}
	m.text(3, n.Name)
	m.text(4, n.Op)
	for _, a := range n.Attributes {
		m.bytes(5, attributeMessage(a))
	}
	if n.Domain != "" {
		m.text(7, n.Domain)
	}
	return m
}

func attributeMessage(a Attribute) (m message) {
	m.text(1, a.Name)
	switch a.Type {
	case AttributeFloat:
		m.float(2, a.Float)
	case AttributeInt:
		m.varint(3, a.Int)
	case AttributeString:
		m.text(4, a.Strings[0])
	case AttributeFloats:
		for _, v := range a.Floats {
			m.float(7, v)
		}
	case AttributeInts:
		for _, v := range a.Ints {
			m.varint(8, v)
		}
	case AttributeStrings:
		for _, v := range a.Strings {
			m.text(9, v)
		}
	}
	m.varint(20, int64(a.Type))
	return m
}

func tensorMessage(t Tensor) (m message) {
	for _, d := range t.Dims {
		m.varint(1, d)
	}
	m.varint(2, int64(t.Type))
	m.text(8, t.Name)
	var raw []byte
	for _, v := range t.Floats {
		raw = protowire.AppendFixed32(raw, math.Float32bits(v))
	}
	for _, v := range t.Ints {
		raw = protowire.AppendFixed64(raw, uint64(v))
	}
	m.bytes(9, raw)
	return m
}

func portMessage(p Port) (m message) {
	var shape message
	for _, d := range p.Dims {
		var dim message
		if d.Name != "" {
			dim.text(2, d.Name)
		} else {
			dim.varint(1, d.Length)
		}
		shape.bytes(1, dim)
	}
	var tensor, typ message
	tensor.varint(1, int64(p.Type))
	tensor.bytes(2, shape)
	typ.bytes(1, tensor)
	m.text(1, p.Name)
	m.bytes(2, typ)
	return m
}
