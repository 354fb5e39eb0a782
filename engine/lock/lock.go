// Package lock reads and writes flow.lock, the file in git that says exactly
// what each stage was made from and what came out, so that any commit brings
// back its data, models and metrics.
//
// The format is made for git: stages sorted by address, one fact a line, a
// blank line between stages, nothing that differs from machine to machine (no
// time, host or duration). Two branches that change different stages, or
// different facts of one, merge as text.
//
//	# flow.lock …
//	version 1
//
//	module git::https://example.org/lib.git?ref=v1.2
//	commit 8f3e…
//	content blake3:02d1…
//
//	plugin duckdb
//	version 1.0.0
//	content linux/amd64 blake3:77c9…
//
//	stage train.mlp["small"]
//	key k1:5a0e…
//	check 9f31c2a08be1d7e4
//	type train 1
//	argument epochs 60
//	input data blake3:7be0… f 71234 1 .csv
//	output model directory .
//	result model blake3:99ab… d 21034 4 out/train/mlp/small/model
//	metric validation.f1 0.971
//
// Modules from git come first: the commit that a revision was, and the digest
// of its files. Then the plugins that are no files of the project: their version,
// and for each platform on which flow get was run the digest of what they are
// made of. In a stage, the lines from type to isolation are the stage's manifest (engine/key). A
// result is an output as it came out; `given` marks the user's own files, which
// flow restores but never cleans up. Sensitive values are written as
// (sensitive).
//
// check is a hash of the stage's lines. Git merges by lines, so it could put
// the result of one branch beside the manifest of another without a conflict;
// with the check it always conflicts where both branches changed a stage, and
// what an editor made of that is believed only if it is one of the two. A stage
// whose lines do not fit together counts as not recorded: see Doubtful.
//
// Reading is strict: a file that Write did not write is an error with its line.
// The package does not decide what to do about it.
package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/replace"
	"github.com/flow-pipelines/flow/engine/stage"
)

// FileName is the lock's name in the project directory.
const FileName = "flow.lock"

// Version is the version of the format.
const Version = 1

// Result is one output as it came out.
type Result struct {
	Name string
	Path string
	Node digest.Node
	// Given says that the file is the user's own.
	Given bool
}

// Stage is what is recorded of one stage.
type Stage struct {
	Addr     addr.Address
	Key      key.Key
	Manifest key.Manifest
	Results  []Result
	Metrics  stage.Metrics
}

// Result returns the named output.
func (s *Stage) Result(name string) (Result, bool) {
	i := slices.IndexFunc(s.Results, func(r Result) bool { return r.Name == name })
	if i < 0 {
		return Result{}, false
	}
	return s.Results[i], true
}

// Lock is the content of a flow.lock. The zero Lock is that of a project in
// which nothing has run.
type Lock struct {
	stages   map[addr.Address]*Stage
	modules  map[string]*Module // by source
	plugins  map[string]*Plugin // by name
	doubtful []Doubt
	read     digest.Digest
}

// Read names the text that Parse made the lock of; zero if it comes from none.
func (l *Lock) Read() digest.Digest { return l.read }

// Module is the pin of a module that comes from elsewhere.
type Module struct {
	Source  string // without spaces
	Commit  string
	Content digest.Digest
}

// Module returns the pin of a source, nil if there is none.
func (l *Lock) Module(source string) *Module { return l.modules[source] }

// Modules returns all pins, sorted by source.
func (l *Lock) Modules() []*Module {
	all := make([]*Module, 0, len(l.modules))
	for _, m := range l.modules {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *Module) int { return strings.Compare(a.Source, b.Source) })
	return all
}

// SetModules replaces all pins.
func (l *Lock) SetModules(pins []Module) {
	l.modules = make(map[string]*Module, len(pins))
	for _, m := range pins {
		l.modules[m.Source] = &m
	}
}

// Doubt is a stage whose lines do not fit together.
type Doubt struct {
	Addr addr.Address
	Line int // of its beginning
}

// Doubtful returns the stages that Parse left out since their lines do not fit
// together, as after a merge by hand.
func (l *Lock) Doubtful() []Doubt { return l.doubtful }

// Get returns what is recorded of a stage, nil if nothing is. The caller does
// not change it.
func (l *Lock) Get(a addr.Address) *Stage { return l.stages[a] }

// Put records a stage in place of what was recorded before.
func (l *Lock) Put(s *Stage) {
	if l.stages == nil {
		l.stages = map[addr.Address]*Stage{}
	}
	l.stages[s.Addr] = s
}

// Delete forgets a stage.
func (l *Lock) Delete(a addr.Address) { delete(l.stages, a) }

// Len returns the number of stages.
func (l *Lock) Len() int { return len(l.stages) }

// All yields all stages, in no order.
func (l *Lock) All() iter.Seq[*Stage] { return maps.Values(l.stages) }

// Stages returns all stages, sorted by address.
func (l *Lock) Stages() []*Stage {
	return slices.SortedFunc(l.All(), func(a, b *Stage) int { return addr.Compare(a.Addr, b.Addr) })
}

// Clone returns a copy that can be changed without changing l.
func (l *Lock) Clone() *Lock {
	c := &Lock{stages: make(map[addr.Address]*Stage, len(l.stages)), modules: maps.Clone(l.modules), plugins: maps.Clone(l.plugins)}
	for a, s := range l.stages {
		c.stages[a] = s
	}
	return c
}

// ReadFile reads the lock of a project; a missing file is the zero Lock.
func ReadFile(dir string) (*Lock, error) {
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if os.IsNotExist(err) {
		return &Lock{}, nil
	}
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// WriteFile writes the lock of a project, atomically and only if it changed.
func WriteFile(dir string, l *Lock) error {
	b, err := l.Format()
	if err != nil {
		return fmt.Errorf("write %s: %w", FileName, err)
	}
	path := filepath.Join(dir, FileName)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err := replace.Durably(path, b, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", FileName, err)
	}
	return nil
}

const header = `# flow.lock: what each stage was made from and what came out.
# Written by flow, to be committed to git; do not edit.
version 1
`

// Format returns the text of the lock.
func (l *Lock) Format() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header)
	for _, m := range l.Modules() {
		fmt.Fprintf(&b, "\nmodule %s\ncommit %s\ncontent %s\n", m.Source, m.Commit, m.Content)
	}
	for _, p := range l.Plugins() {
		fmt.Fprintf(&b, "\nplugin %s\nversion %s\n", p.Name, p.Version)
		for _, platform := range slices.Sorted(maps.Keys(p.Content)) {
			fmt.Fprintf(&b, "content %s %s\n", platform, p.Content[platform])
		}
	}
	for _, s := range l.Stages() {
		if err := s.format(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Addr, err)
		}
	}
	return b.Bytes(), nil
}

func (s *Stage) format(b *bytes.Buffer) error {
	var facts bytes.Buffer
	if err := s.formatFacts(&facts); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(facts.String(), "\n"), "\n")
	fmt.Fprintf(b, "\nstage %s\nkey %s\ncheck %s\n", s.Addr, s.Key, checkOf(s.Addr, s.Key, lines))
	b.Write(facts.Bytes())
	return nil
}

// checkOf hashes the lines of a stage. Eight bytes are plenty against accidents,
// which is what it is there for.
func checkOf(a addr.Address, k key.Key, lines []string) string {
	// A hasher of its own for each stage would be 8 KB each.
	b := make([]byte, 0, 1024)
	add := func(s string) {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(append(append(b, ' '), s...), '\n')
	}
	add(a.String())
	add(k.String())
	for _, s := range lines {
		add(s)
	}
	return digest.OfBytes(b).Hex()[:16]
}

func (s *Stage) formatFacts(b *bytes.Buffer) error {
	for _, f := range s.Manifest.Redacted() {
		fmt.Fprintf(b, "%s %s %s\n", f.Kind, word(f.Name), word2(f.Value))
	}
	for _, r := range s.Results {
		verb := "result"
		if r.Given {
			verb = "given"
		}
		fmt.Fprintf(b, "%s %s %s %s\n", verb, word(r.Name), key.FormatNode(r.Node), word2(r.Path))
	}
	if len(s.Metrics) == 0 {
		return nil
	}
	doc, err := json.Marshal(s.Metrics)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	leaves, err := key.Flatten(doc)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, m := range leaves {
		fmt.Fprintf(b, "metric %s %s\n", m.Path, m.Value)
	}
	return nil
}

// word writes a name so that it is one word: as it is, or quoted.
func word(s string) string {
	if s != "" && !strings.ContainsAny(s, " \"\\\t\r\n") && strconv.CanBackquote(s) {
		return s
	}
	return strings.ReplaceAll(strconv.Quote(s), " ", `\x20`)
}

// word2 writes the rest of a line: as it is, unless it would break the line or
// look quoted itself.
func word2(s string) string {
	if s == strings.TrimSpace(s) && !strings.ContainsAny(s, "\r\n") && !strings.HasPrefix(s, `\`) {
		return s
	}
	return `\` + strconv.Quote(s)
}
