package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Unmarshal reads a model's file. The result shares no memory with data.
func Unmarshal(data []byte) (*Model, error) {
	m := &Model{}
	var ir int64
	err := fields(data, func(f field) error {
		switch f.number {
		case 1:
			ir = f.int()
		case 2:
			m.Producer = f.text()
		case 7:
			return readGraph(f.bytes, &m.Graph)
		case 8:
			return checkOpset(f.bytes)
		case 14:
			var p Property
			err := fields(f.bytes, func(f field) error {
				switch f.number {
				case 1:
					p.Key = f.text()
				case 2:
					p.Value = f.text()
				}
				return nil
			})
			m.Metadata = append(m.Metadata, p)
			return err
		}
		return nil
	})
	if err == nil && ir == 0 {
		err = errors.New("it has no IR version")
	}
	if err != nil {
		return nil, fmt.Errorf("read onnx model: %w", err)
	}
	return m, nil
}

func checkOpset(data []byte) error {
	var domain string
	var version int64
	err := fields(data, func(f field) error {
		switch f.number {
		case 1:
			domain = f.text()
		case 2:
			version = f.int()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if domain == "" && (version < 13 || version > Opset) || domain == DomainML && version > OpsetML {
		return fmt.Errorf("version %d of the operations in domain %q is not supported", version, domain)
	}
	return nil
}

func readGraph(data []byte, g *Graph) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			n, err := readNode(f.bytes)
			g.Nodes = append(g.Nodes, n)
			return err
		case 2:
			g.Name = f.text()
		case 5:
			t, err := readTensor(f.bytes)
			g.Initializers = append(g.Initializers, t)
			return err
		case 11:
			p, err := readPort(f.bytes)
			g.Inputs = append(g.Inputs, p)
			return err
		case 12:
			p, err := readPort(f.bytes)
			g.Outputs = append(g.Outputs, p)
			return err
		}
		return nil
	})
}

func readNode(data []byte) (n Node, err error) {
	err = fields(data, func(f field) error {
		switch f.number {
		case 1:
			n.Inputs = append(n.Inputs, f.text())
		case 2:
			n.Outputs = append(n.Outputs, f.text())
		case 3:
			n.Name = f.text()
		case 4:
			n.Op = f.text()
		case 5:
			a, err := readAttribute(f.bytes)
			n.Attributes = append(n.Attributes, a)
			return err
		case 7:
			n.Domain = f.text()
		}
		return nil
	})
	return n, err
}

func readAttribute(data []byte) (a Attribute, err error) {
	err = fields(data, func(f field) error {
		switch f.number {
		case 1:
			a.Name = f.text()
		case 2:
			a.Float = math.Float32frombits(uint32(f.value))
		case 3:
			a.Int = f.int()
		case 4:
			a.Strings = append(a.Strings, f.text())
		case 7:
			v, err := f.floats()
			a.Floats = append(a.Floats, v...)
			return err
		case 8:
			v, err := f.ints()
			a.Ints = append(a.Ints, v...)
			return err
		case 9:
			a.Strings = append(a.Strings, f.text())
		case 20:
			a.Type = AttributeType(f.int())
		}
		return nil
	})
	return a, err
}

func readTensor(data []byte) (t Tensor, err error) {
	var raw []byte
	err = fields(data, func(f field) error {
		switch f.number {
		case 1:
			v, err := f.ints()
			t.Dims = append(t.Dims, v...)
			return err
		case 2:
			t.Type = ElementType(f.int())
		case 8:
			t.Name = f.text()
		case 9:
			raw = f.bytes
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	count := int64(1)
	for _, d := range t.Dims {
		if d < 0 || d > math.MaxInt32 || count*d > math.MaxInt32 {
			return t, fmt.Errorf("tensor %q has dimensions %v", t.Name, t.Dims)
		}
		count *= d
	}
	switch size := int64(len(raw)); {
	case t.Type == Float && size == 4*count:
		t.Floats = make([]float32, count)
		for i := range t.Floats {
			t.Floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case t.Type == Int64 && size == 8*count:
		t.Ints = make([]int64, count)
		for i := range t.Ints {
			t.Ints[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	default:
		return t, fmt.Errorf("tensor %q of element type %d and dimensions %v has %d raw bytes", t.Name, t.Type, t.Dims, size)
	}
	return t, nil
}

func readPort(data []byte) (p Port, err error) {
	dim := func(f field) error {
		if f.number != 1 {
			return nil
		}
		var d Dim
		err := fields(f.bytes, func(f field) error {
			switch f.number {
			case 1:
				d.Length = f.int()
			case 2:
				d.Name = f.text()
			}
			return nil
		})
		p.Dims = append(p.Dims, d)
		return err
	}
	tensor := func(f field) error {
		switch f.number {
		case 1:
			p.Type = ElementType(f.int())
		case 2:
			return fields(f.bytes, dim)
		}
		return nil
	}
	err = fields(data, func(f field) error {
		switch f.number {
		case 1:
			p.Name = f.text()
		case 2:
			return fields(f.bytes, func(f field) error {
				if f.number != 1 {
					return fmt.Errorf("%q is not a tensor", p.Name)
				}
				return fields(f.bytes, tensor)
			})
		}
		return nil
	})
	return p, err
}

// field is one field of a message: a number in value, or bytes.
type field struct {
	number int32
	value  uint64
	bytes  []byte
	packed bool
}

func (f field) int() int64   { return int64(f.value) }
func (f field) text() string { return string(f.bytes) }

// floats reads a repeated float, which may come one at a time or packed.
func (f field) floats() ([]float32, error) {
	if !f.packed {
		return []float32{math.Float32frombits(uint32(f.value))}, nil
	}
	if len(f.bytes)%4 != 0 {
		return nil, fmt.Errorf("field %d has %d bytes of floats", f.number, len(f.bytes))
	}
	out := make([]float32, len(f.bytes)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(f.bytes[4*i:]))
	}
	return out, nil
}

// ints reads a repeated integer, which may come one at a time or packed.
func (f field) ints() ([]int64, error) {
	if !f.packed {
		return []int64{f.int()}, nil
	}
	var out []int64
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		out = append(out, int64(v))
		b = b[n:]
	}
	return out, nil
}

// fields calls each for every field of a message.
func fields(b []byte, each func(field) error) error {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		f := field{number: int32(number)}
		switch typ {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.value = uint64(v)
		case protowire.Fixed64Type:
			f.value, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
			f.packed = true
		case protowire.StartGroupType, protowire.EndGroupType:
			n = protowire.ConsumeFieldValue(number, typ, b)
		default:
			return fmt.Errorf("field %d has wire type %d", number, typ)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}
