package lock

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/stage"
)

// ParseError says what is wrong with a flow.lock, and on which line.
type ParseError struct {
	Line int
	Err  error
	// Conflict says that the line is a mark of an unresolved git merge.
	Conflict bool
	// Future says that a newer flow wrote the file.
	Future bool
}

func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %v", FileName, e.Line, e.Err) }

func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads the text of a lock. All errors are *ParseError.
func Parse(b []byte) (*Lock, error) {
	p := parser{lock: &Lock{read: digest.OfBytes(b)}, seen: map[addr.Address]bool{}}
	for i, line := range strings.Split(string(b), "\n") {
		if err := p.line(strings.TrimSuffix(line, "\r")); err != nil {
			err.Line = i + 1
			return nil, err
		}
	}
	if err := p.end(); err != nil {
		err.Line = p.start
		return nil, err
	}
	if !p.versioned {
		return nil, &ParseError{Line: 1, Err: fmt.Errorf("no version line")}
	}
	return p.lock, nil
}

type parser struct {
	lock      *Lock
	versioned bool
	at        *Stage
	seen      map[addr.Address]bool
	module    *Module
	plugin    *Plugin
	metrics   []key.Leaf
	lines     []string // of the stage, without key and check
	check     string
	n, start  int
}

func (p *parser) line(line string) *ParseError {
	p.n++
	for _, mark := range []string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"} {
		if strings.HasPrefix(line, mark) {
			return &ParseError{Err: fmt.Errorf("unresolved merge conflict"), Conflict: true}
		}
	}
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	verb, rest, _ := strings.Cut(line, " ")
	if !p.versioned {
		return p.version(verb, rest)
	}
	switch {
	case verb == "stage":
		return p.stage(rest)
	case verb == "module":
		return p.beginModule(rest)
	case verb == "plugin" && p.at == nil: // in a stage it is a fact
		return p.beginPlugin(rest)
	case p.module != nil:
		return p.pin(verb, rest)
	case p.plugin != nil:
		return p.pinPlugin(verb, rest)
	case p.at == nil:
		return bad("%q before the first stage", verb)
	}
	if verb == "check" {
		p.check = rest
		return nil
	}
	if verb != "key" {
		p.lines = append(p.lines, line)
	}
	if err := p.fact(verb, rest); err != nil {
		return &ParseError{Err: err}
	}
	return nil
}

func bad(format string, args ...any) *ParseError {
	return &ParseError{Err: fmt.Errorf(format, args...)}
}

func (p *parser) version(verb, rest string) *ParseError {
	v, err := strconv.Atoi(rest)
	if verb != "version" || err != nil {
		return bad("want a version line, got %.60q", verb+" "+rest)
	}
	if v != Version {
		e := bad("format version %d; this flow reads version %d", v, Version)
		e.Future = v > Version
		return e
	}
	p.versioned = true
	return nil
}

func (p *parser) stage(rest string) *ParseError {
	if err := p.end(); err != nil {
		return err
	}
	a, err := addr.Parse(rest)
	if err != nil {
		return &ParseError{Err: err}
	}
	if a.IsModule() {
		return bad("%s is a module, not a stage", a)
	}
	if p.seen[a] {
		return bad("%s stands here a second time", a)
	}
	p.seen[a] = true
	p.at, p.start = &Stage{Addr: a}, p.n
	return nil
}

func (p *parser) beginModule(source string) *ParseError {
	if err := p.end(); err != nil {
		return err
	}
	if source == "" || strings.ContainsAny(source, " \t") {
		return bad("module %q is not a source", source)
	}
	if p.lock.Module(source) != nil {
		return bad("module %s stands here a second time", source)
	}
	p.module, p.start = &Module{Source: source}, p.n
	return nil
}

// pin reads a line of a module.
func (p *parser) pin(verb, rest string) *ParseError {
	var err error
	switch verb {
	case "commit":
		p.module.Commit = rest
	case "content":
		p.module.Content, err = digest.Parse(rest)
	default:
		err = fmt.Errorf("unknown fact %q of a module", verb)
	}
	if err != nil {
		return &ParseError{Err: err}
	}
	return nil
}

// end completes the stage, module or plugin that was being read.
func (p *parser) end() *ParseError {
	if m := p.module; m != nil {
		if m.Commit == "" || m.Content.IsZero() {
			return bad("module %s is not complete", m.Source)
		}
		if p.lock.modules == nil {
			p.lock.modules = map[string]*Module{}
		}
		p.lock.modules[m.Source], p.module = m, nil
	}
	if p.plugin != nil {
		return p.endPlugin()
	}
	if p.at == nil {
		return nil
	}
	if p.at.Key.IsZero() {
		return bad("%s has no key", p.at.Addr)
	}
	if len(p.metrics) > 0 {
		m, err := key.Unflatten(p.metrics)
		if err != nil {
			return bad("metrics of %s: %w", p.at.Addr, err)
		}
		p.at.Metrics = stage.Metrics(m)
	}
	// A stage without outputs, metrics and facts still has an empty body line.
	lines := p.lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	if checkOf(p.at.Addr, p.at.Key, lines) == p.check {
		p.lock.Put(p.at)
	} else {
		p.lock.doubtful = append(p.lock.doubtful, Doubt{Addr: p.at.Addr, Line: p.start})
	}
	p.at, p.metrics, p.lines, p.check = nil, nil, nil, ""
	return nil
}

func (p *parser) fact(verb, rest string) (err error) {
	if verb == "key" {
		p.at.Key, err = key.Parse(rest)
		return err
	}
	name, value, _ := strings.Cut(rest, " ")
	if strings.HasPrefix(name, `"`) {
		if name, err = strconv.Unquote(name); err != nil {
			return fmt.Errorf("bad name %s", rest)
		}
	}
	if quoted, ok := strings.CutPrefix(value, `\`); ok {
		if value, err = strconv.Unquote(quoted); err != nil {
			return fmt.Errorf("bad value %s", value)
		}
	}
	switch verb {
	case "result", "given":
		return p.result(name, value, verb == "given")
	case "metric":
		if !json.Valid([]byte(value)) {
			return fmt.Errorf("metric %s: not JSON: %s", name, value)
		}
		p.metrics = append(p.metrics, key.Leaf{Path: name, Value: value})
		return nil
	}
	k, ok := key.ParseKind(verb)
	if !ok {
		return fmt.Errorf("unknown fact %q", verb)
	}
	p.at.Manifest = append(p.at.Manifest, key.Fact{Kind: k, Name: name, Value: value, Sensitive: value == key.Hidden})
	return nil
}

func (p *parser) result(name, value string, given bool) error {
	n, rest, err := key.ParseNode(value)
	if err != nil {
		return fmt.Errorf("result %s: %w", name, err)
	}
	if quoted, ok := strings.CutPrefix(rest, `\`); ok {
		if rest, err = strconv.Unquote(quoted); err != nil {
			return fmt.Errorf("result %s: bad path %s", name, rest)
		}
	}
	p.at.Results = append(p.at.Results, Result{Name: name, Path: rest, Node: n, Given: given})
	return nil
}
