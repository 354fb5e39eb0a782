package config

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Look is a question about the world that was asked while a pipeline was loaded
// and evaluated, with the answer. All that the files and functions of a pipeline
// depend on, besides its options and the results of stages, is among its looks:
// if SameLooks, the pipeline is the same.
type Look struct {
	Kind    LookKind      `json:"kind"`
	Name    string        `json:"name"`
	Pattern string        `json:"pattern,omitempty"`
	Answer  digest.Digest `json:"answer"`
}

// LookKind says what a question is about.
type LookKind string

// The kinds of questions. Names are absolute paths for the first three.
const (
	lookText      LookKind = "text"      // the content of a file of the pipeline
	lookFolder    LookKind = "folder"    // the names of the files of the pipeline in a directory
	lookVariables LookKind = "variables" // the names of the files of variables that are read unasked
	lookFile      LookKind = "file"      // the content of a file that a function reads
	lookDigest    LookKind = "digest"    // the same, for a function that tells the digest alone
	lookExists    LookKind = "exists"    // whether there is a file
	lookSet       LookKind = "set"       // the files that match a pattern below a directory
	lookEnv       LookKind = "env"       // a variable of the environment
	lookPlugin    LookKind = "plugin"    // what a plugin is
)

// looks collects questions and their answers. It is safe for concurrent use.
type looks struct {
	mu   sync.Mutex
	all  map[Look]digest.Digest // by the question; without Answer
	torn bool                   // one had two answers: the world changed meanwhile
}

func newLooks() *looks { return &looks{all: map[Look]digest.Digest{}} }

// note remembers an answer.
func (l *looks) note(kind LookKind, name, pattern string, answer digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := Look{Kind: kind, Name: name, Pattern: pattern}
	if before, ok := l.all[q]; ok && before != answer {
		l.torn = true
	}
	l.all[q] = answer
}

// read reads a file of the pipeline.
func (l *looks) read(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	l.note(lookText, name, "", answered(b, err))
	return b, err
}

// folder returns the names of the files of the pipeline in a directory, sorted.
func (l *looks) folder(dir string) ([]string, error) {
	names, err := pipelineFiles(dir)
	l.note(lookFolder, dir, "", listed(names, err))
	return names, err
}

// variables returns the paths of the files of variables in a directory that are
// read unasked, sorted.
func (l *looks) variables(dir string) []string {
	files := variableFiles(dir)
	l.note(lookVariables, dir, "", listed(files, nil))
	return files
}

// answered makes an answer of what a reader returned. An error is an answer
// too: try goes on without the file.
func answered(content []byte, err error) digest.Digest {
	if err != nil {
		return digest.OfBytes([]byte("error\n" + err.Error()))
	}
	h := digest.NewHasher()
	_, _ = h.Write([]byte("content\n"))
	_, _ = h.Write(content)
	return h.Sum()
}

// answerOf makes an answer of a yes or no.
func answerOf(yes bool) digest.Digest {
	return answered(strconv.AppendBool(nil, yes), nil)
}

// listed makes an answer of names.
func listed(names []string, err error) digest.Digest {
	return answered([]byte(strings.Join(names, "\x00")), err)
}

// pluginAnswer makes an answer of a plugin that was found.
func pluginAnswer(found *stage.Plugin, err error) digest.Digest {
	if err != nil {
		return answered(nil, err)
	}
	return answered(json.Marshal(found))
}

// Looks returns what has been looked at so far, which after Stages, Outputs and
// Checks is all; sorted. False: something changed while that went on, so that
// what was evaluated may be true of no moment.
func (p *Pipeline) Looks() ([]Look, bool) {
	p.looks.mu.Lock()
	defer p.looks.mu.Unlock()
	all := make([]Look, 0, len(p.looks.all))
	for q, answer := range p.looks.all {
		q.Answer = answer
		all = append(all, q)
	}
	slices.SortFunc(all, func(a, b Look) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Pattern, b.Pattern))
	})
	return all, !p.looks.torn
}

// SameLooks reports whether looking again, in the project and the environment
// of the options, gives the same answers.
func SameLooks(opts Options, before []Look) bool {
	env := newEnvironment(opts.Environ, newLooks())
	files := newProjectFiles(opts.Dir, newLooks())
	return !slices.ContainsFunc(before, func(q Look) bool { return ask(q, env, files, opts.Plugins) != q.Answer })
}

// ask asks again.
func ask(q Look, env *environment, files *projectFiles, plugins Plugins) digest.Digest {
	switch q.Kind {
	case lookText:
		return answered(os.ReadFile(q.Name))
	case lookFolder:
		return listed(pipelineFiles(q.Name))
	case lookVariables:
		return listed(variableFiles(q.Name), nil)
	case lookFile:
		return answered(files.load(q.Name))
	case lookDigest:
		d, err := files.hash(q.Name)
		return answered([]byte(d), err)
	case lookExists:
		return answerOf(files.there(q.Name))
	case lookSet:
		return listed(files.glob(q.Name, q.Pattern))
	case lookEnv:
		return env.answer(q.Name)
	case lookPlugin:
		if plugins != nil {
			found, _, err := plugins.Find(q.Name)
			return pluginAnswer(found, err)
		}
	}
	return digest.Digest{} // of a later flow
}

func pipelineFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && isPipelineFile(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func variableFiles(dir string) []string {
	files, err := filepath.Glob(filepath.Join(globEscape(dir), "*"+variableSuffix+"*"))
	if err != nil {
		panic("BUG: " + err.Error()) // the pattern is wrong
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		return !strings.HasSuffix(f, variableSuffix) && !strings.HasSuffix(f, variableSuffix+".json")
	})
	slices.Sort(files)
	return files
}
