package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// scanJSONColumns reads all files to learn the columns: the keys of all
// objects in order of first appearance, each with the narrowest type that
// holds all its values. A key that a line lacks is a missing value there.
func scanJSONColumns(files []string) ([]Column, error) {
	k := &keys{index: map[string]int{}}
	for _, file := range files {
		if err := k.scan(file); err != nil {
			return nil, err
		}
	}
	columns := make([]Column, len(k.names))
	for i, name := range k.names {
		columns[i] = Column{Name: name, Type: k.types[i].columnType()}
	}
	if err := checkNames(columns); err != nil {
		return nil, fmt.Errorf("%s: %w", files[0], err)
	}
	return columns, nil
}

// keys are the keys seen so far.
type keys struct {
	index map[string]int
	names []string
	types []inference
}

func (k *keys) scan(file string) (err error) {
	s, err := openSource(file, Options{}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r := s.(*jsonReader)
	for {
		switch err := r.object(k.add); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (k *keys) add(key []byte, v Value) error {
	i, ok := k.index[string(key)]
	if !ok {
		i = len(k.names)
		name := string(key)
		k.index[name] = i
		k.names = append(k.names, name)
		k.types = append(k.types, inference{})
	}
	k.types[i].add(v)
	return nil
}

// jsonReader reads one object a line.
type jsonReader struct {
	name   string
	in     *lines
	inErr  error
	stream io.Closer
	cols   []Column
	index  map[string]int
	// set[i] is the line at which column i last had a value, to notice keys
	// that one object has twice.
	set   []int64
	plain []byte // an unescaped key
}

func newJSONReader(name string, stream *stream, columns []Column) *jsonReader {
	in, err := newLines(name, stream)
	r := &jsonReader{name: name, in: in, inErr: err, stream: stream, cols: columns, index: make(map[string]int, len(columns)), set: make([]int64, len(columns))}
	for i, c := range columns {
		r.index[c.Name] = i
	}
	return r
}

func (r *jsonReader) columns() []Column { return r.cols }
func (r *jsonReader) close() error      { return r.stream.Close() }

func (r *jsonReader) position() int64 {
	if r.in == nil {
		return 0
	}
	return r.in.n
}

func (r *jsonReader) read(row []Value) error {
	clear(row)
	return r.object(func(key []byte, v Value) error {
		i, ok := r.index[string(key)]
		if !ok {
			return fmt.Errorf("key %q appeared while the file was read", key)
		}
		if r.set[i] == r.in.n {
			return fmt.Errorf("key %q appears twice", key)
		}
		r.set[i] = r.in.n
		converted, ok := v.Convert(r.cols[i].Type)
		if !ok {
			return fmt.Errorf("key %q changed its type while the file was read", key)
		}
		row[i] = converted
		return nil
	})
}

// object reads the next line that is not empty and calls visit for each of the
// object's pairs.
func (r *jsonReader) object(visit func(key []byte, v Value) error) error {
	if r.inErr != nil {
		return r.inErr
	}
	for {
		line, err := r.in.next()
		if err != nil {
			return err
		}
		p := jsonLine{b: line, plain: r.plain[:0]}
		if p.blank(); p.at == len(line) {
			continue
		}
		if !utf8.Valid(line) {
			return fmt.Errorf("%s:%d: bytes that are not UTF-8", r.name, r.in.n)
		}
		err = p.object(visit)
		r.plain = p.plain
		if err != nil {
			return fmt.Errorf("%s:%d: %w", r.name, r.in.n, err)
		}
		return nil
	}
}

// jsonLine parses one flat object. What is nested is checked by encoding/json
// and kept as it stands.
type jsonLine struct {
	b     []byte
	at    int
	plain []byte
}

func (p *jsonLine) blank() {
	for p.at < len(p.b) && (p.b[p.at] == ' ' || p.b[p.at] == '\t' || p.b[p.at] == '\r') {
		p.at++
	}
}

// take moves over c and the blanks before it, if c is what comes next.
func (p *jsonLine) take(c byte) bool {
	p.blank()
	if p.at < len(p.b) && p.b[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *jsonLine) object(visit func(key []byte, v Value) error) error {
	if !p.take('{') {
		return fmt.Errorf("want one JSON object a line")
	}
	if !p.take('}') {
		for {
			if err := p.pair(visit); err != nil {
				return err
			}
			if p.take('}') {
				break
			}
			if !p.take(',') {
				return fmt.Errorf("column %d: want , or } after a value", p.at+1)
			}
		}
	}
	if p.blank(); p.at != len(p.b) {
		return fmt.Errorf("column %d: text after the object", p.at+1)
	}
	return nil
}

func (p *jsonLine) pair(visit func(key []byte, v Value) error) error {
	p.blank()
	key, err := p.quoted()
	if err != nil {
		return err
	}
	if !p.take(':') {
		return fmt.Errorf("column %d: want : after a key", p.at+1)
	}
	// The value may be a string that is unescaped into the same buffer.
	keep := len(p.plain)
	v, err := p.value()
	if err != nil {
		return err
	}
	p.plain = p.plain[:keep]
	err = visit(key, v)
	p.plain = p.plain[:0]
	return err
}

func (p *jsonLine) value() (Value, error) {
	p.blank()
	if p.at == len(p.b) {
		return Value{}, fmt.Errorf("column %d: the line ends where a value should be", p.at+1)
	}
	switch c := p.b[p.at]; {
	case c == '"':
		s, err := p.quoted()
		return StringValue(string(s)), err
	case c == '{' || c == '[':
		return p.nested()
	case c == '-' || (c >= '0' && c <= '9'):
		return p.number()
	}
	for _, word := range [...]struct {
		text string
		v    Value
	}{{"null", Value{}}, {"true", BoolValue(true)}, {"false", BoolValue(false)}} {
		if len(p.b)-p.at >= len(word.text) && string(p.b[p.at:p.at+len(word.text)]) == word.text {
			p.at += len(word.text)
			return word.v, nil
		}
	}
	return Value{}, fmt.Errorf("column %d: not a JSON value", p.at+1)
}

// number reads an integer of 64 bits, else a float, else (a longer integer)
// keeps the digits, since a float would lose the last of them.
func (p *jsonLine) number() (Value, error) {
	start, whole := p.at, true
	for p.at < len(p.b) {
		c := p.b[p.at]
		if c == '.' || c == 'e' || c == 'E' {
			whole = false
		} else if (c < '0' || c > '9') && c != '-' && c != '+' {
			break
		}
		p.at++
	}
	text := p.b[start:p.at]
	if !json.Valid(text) {
		return Value{}, fmt.Errorf("column %d: not a JSON number", start+1)
	}
	// Neither parser keeps its argument.
	s := unsafe.String(unsafe.SliceData(text), len(text))
	if whole {
		if i, ok := ParseInt(s); ok {
			return IntValue(i), nil
		}
		return JSONValue(string(text)), nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return FloatValue(f), nil
	}
	return JSONValue(string(text)), nil
}

// nested reads an array or an object as source text.
func (p *jsonLine) nested() (Value, error) {
	start, depth := p.at, 0
	for p.at < len(p.b) {
		switch p.b[p.at] {
		case '"':
			if err := p.skipQuoted(); err != nil {
				return Value{}, err
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		p.at++
		if depth == 0 {
			break
		}
	}
	text := p.b[start:p.at]
	if !json.Valid(text) {
		return Value{}, fmt.Errorf("column %d: not a JSON value", start+1)
	}
	return JSONValue(string(text)), nil
}

// skipQuoted moves over a string, whose opening quote comes next.
func (p *jsonLine) skipQuoted() error {
	start := p.at
	for p.at++; p.at < len(p.b); p.at++ {
		switch p.b[p.at] {
		case '\\':
			p.at++
		case '"':
			p.at++
			return nil
		}
	}
	p.at = len(p.b)
	return fmt.Errorf("column %d: a string is never closed", start+1)
}

// quoted reads a string. The result is part of the line, or of p.plain if it
// had escapes.
func (p *jsonLine) quoted() ([]byte, error) {
	start := p.at
	if start == len(p.b) || p.b[start] != '"' {
		return nil, fmt.Errorf("column %d: want a string", start+1)
	}
	if err := p.skipQuoted(); err != nil {
		return nil, err
	}
	body := p.b[start+1 : p.at-1]
	escaped := false
	for _, c := range body {
		if c < ' ' {
			return nil, fmt.Errorf("column %d: a control character in a string", start+1)
		}
		escaped = escaped || c == '\\'
	}
	if !escaped {
		return body, nil
	}
	from := len(p.plain)
	var ok bool
	if p.plain, ok = appendUnescaped(p.plain, body); !ok {
		return nil, fmt.Errorf("column %d: a bad escape in a string", start+1)
	}
	return p.plain[from:], nil
}

func appendUnescaped(dst, s []byte) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		if i++; i == len(s) {
			return dst, false
		}
		switch s[i] {
		case '"', '\\', '/':
			dst = append(dst, s[i])
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(s[i+1:])
			if !ok {
				return dst, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				// A lone half becomes the replacement character.
				second, ok := rune(0), len(s)-i > 6 && s[i+1] == '\\' && s[i+2] == 'u'
				if ok {
					second, ok = hex4(s[i+3:])
				}
				if r = utf16.DecodeRune(r, second); ok && r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, false
		}
	}
	return dst, true
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

var (
	_ source = (*jsonReader)(nil)
	_ source = (*csvReader)(nil)
)
