package key

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Subject is what a manifest is made from: a job, what it is made of, and the
// content of what it reads.
type Subject struct {
	Schema *stage.Schema
	// Args are the arguments that differ from their defaults, as a JSON
	// object in which no path of an artifact stands.
	Args json.RawMessage
	// Sensitive are the paths of what is not to be written down: arguments, or
	// entries of them. What holds one, or is in one, is not written either.
	Sensitive []string
	// Unknown names the top-level arguments not known yet. A manifest with
	// unknown arguments or inputs has no meaningful key, but differences.
	Unknown []string
	Job     *stage.Job
	// Inputs is the content that was found for Job.Inputs.
	Inputs []Content
}

// Content is an input with what it holds.
type Content struct {
	// Name is the role, or for files of the project that a glob names, the
	// path: adding a file to a glob's matches is one new input.
	Name string
	// Path is where the job finds it.
	Path string
	Node digest.Node
}

// Program reports whether the job is a program of the user's, whose command may
// not be known yet. It sees paths: they are part of its key, and the names of
// its inputs are their paths.
func (s Subject) Program() bool {
	return len(s.Job.Command) > 0 || slices.Contains(s.Unknown, "command")
}

// ManifestOf lists the facts that the result of s depends on.
func ManifestOf(s Subject) (Manifest, error) {
	m := Manifest{{Kind: TypeFact, Name: s.Schema.Name, Value: strconv.Itoa(s.Schema.Version)}}
	m.addPlugin(s.Schema.Plugin)
	// A program sees the paths in its arguments; a job that flow runs itself
	// sees at most a file's extension, which tells the format.
	seen := func(p string) string { return p }
	if !s.Program() && !s.Job.Given {
		seen = path.Ext
	}
	hidden := pathsOf(s.Sensitive)
	if err := m.addArguments(s, hidden); err != nil {
		return nil, err
	}
	if len(s.Job.Command) > 0 {
		m = append(m, Fact{Kind: Command, Value: encode(s.Job.Command), Sensitive: hidden.covers("command")})
	}
	for _, in := range s.Inputs {
		m = append(m, Fact{Kind: Input, Name: in.Name, Value: FormatInput(in.Node, seen(in.Path))})
	}
	for k, v := range s.Job.Env {
		m = append(m, Fact{Kind: Environment, Name: k, Value: encode(v), Sensitive: hidden.covers(step("env", k))})
	}
	for _, o := range s.Job.Outputs {
		m = append(m, Fact{Kind: Output, Name: o.Name, Value: outputValue(o, seen(o.Path))})
	}
	for i, f := range s.Job.MetricsFiles {
		m = append(m, Fact{Kind: MetricsFile, Name: strconv.Itoa(i), Value: f})
	}
	if s.Job.Isolation != stage.Strict {
		m = append(m, Fact{Kind: IsolationFact, Value: string(s.Job.Isolation)})
	}
	m.sort()
	return m, nil
}

// addPlugin lists the plugin, and behind a dot each engine that it computes with.
func (m *Manifest) addPlugin(p *stage.Plugin) {
	if p == nil {
		return
	}
	*m = append(*m, Fact{Kind: PluginFact, Name: p.Name, Value: p.Text()})
	for engine, version := range p.Versions {
		*m = append(*m, Fact{Kind: PluginFact, Name: p.Name + "." + engine, Value: version})
	}
}

func (m *Manifest) addArguments(s Subject, hidden paths) error {
	// What became the command, inputs, outputs or environment of a program
	// is hashed as such, and not a second time as it was written.
	if s.Program() || len(s.Args) == 0 {
		return nil
	}
	leaves, err := Flatten(s.Args)
	if err != nil {
		return fmt.Errorf("arguments of %s: %w", s.Schema.Name, err)
	}
	for _, l := range leaves {
		// An artifact stands in Args as {"input": ROLE}. Where the role is the
		// argument's own path, the input of that name says it all.
		if role, ok := strings.CutSuffix(l.Path, ".input"); ok && l.Value == encode(role) {
			continue
		}
		*m = append(*m, Fact{Kind: Argument, Name: l.Path, Value: l.Value, Sensitive: hidden.covers(l.Path)})
	}
	return nil
}

// paths are paths of arguments, taken apart.
type paths [][]name

// pathsOf takes paths apart. Of one that cannot be, the argument is meant.
func pathsOf(texts []string) paths {
	var ps paths
	for _, t := range texts {
		names, err := split(t)
		if err != nil {
			top, _, _ := strings.Cut(t, "[")
			top, _, _ = strings.Cut(top, ".")
			names = []name{{text: top}}
		}
		ps = append(ps, names)
	}
	return ps
}

// covers reports whether what is at the path is one of these, in one, or holds one.
func (ps paths) covers(path string) bool {
	if len(ps) == 0 {
		return false
	}
	at, err := split(path)
	return err != nil || slices.ContainsFunc(ps, func(p []name) bool {
		n := min(len(p), len(at))
		return slices.Equal(p[:n], at[:n])
	})
}

func outputValue(o stage.Output, seen string) string {
	kind := "file"
	if o.Dir {
		kind = "directory"
	}
	if len(o.Include)+len(o.Ignore) > 0 {
		seen += " " + encode(map[string]any{"include": o.Include, "ignore": o.Ignore})
	}
	return followed(kind, seen)
}

// followed appends what the job sees of a path, unless it sees nothing of it: a
// value does not end with a space, since flow.lock is text that people read.
func followed(value, seen string) string {
	if seen == "" {
		return value
	}
	return value + " " + seen
}

// FormatInput writes the value of an input: digest, kind, bytes, files, and
// what the job sees of its path.
func FormatInput(n digest.Node, seen string) string {
	return followed(FormatNode(n), seen)
}

// ParseInput reads what FormatInput wrote.
func ParseInput(s string) (n digest.Node, seen string, err error) {
	return ParseNode(s)
}

// FormatNode writes a node as four words.
func FormatNode(n digest.Node) string {
	return fmt.Sprintf("%s %c %d %d", n.Digest, n.Kind, n.Size, n.Files)
}

// ParseNode reads what FormatNode wrote and returns what follows it.
func ParseNode(s string) (n digest.Node, rest string, err error) {
	w := strings.SplitN(s, " ", 5)
	if len(w) < 4 || len(w[1]) != 1 || !strings.Contains("fxld", w[1]) {
		return n, "", fmt.Errorf("want DIGEST KIND SIZE FILES, got %q", s)
	}
	n.Kind = digest.Kind(w[1][0])
	if n.Digest, err = digest.Parse(w[0]); err != nil {
		return n, "", err
	}
	if n.Size, err = strconv.ParseInt(w[2], 10, 64); err != nil {
		return n, "", fmt.Errorf("size: %w", err)
	}
	if n.Files, err = strconv.ParseInt(w[3], 10, 64); err != nil {
		return n, "", fmt.Errorf("files: %w", err)
	}
	if len(w) == 5 {
		rest = w[4]
	}
	return n, rest, nil
}
