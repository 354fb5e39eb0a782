// Package conformance is the suite that any plugin must pass, in whichever
// language it is written: `flow plugin test`, and tests of plugins in Go:
//
//	for _, c := range conformance.Checks(program, os.Environ()) {
//		t.Run(c.Name, func(t *testing.T) {
//			if err := c.Run(t.Context()); err != nil {
//				t.Error(err)
//			}
//		})
//	}
//
// It starts the plugin as flow does (plugins/host) and looks at what comes of it.
// What the stage types compute is for their trials to show: a trial that
// succeeds is run twice, and must give the same bytes.
package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/host"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

// Check is one thing that holds of every plugin.
type Check struct {
	Name string
	// Run returns why it does not hold.
	Run func(context.Context) error
}

// patience is how long a plugin may take for what is not a trial.
const patience = 30 * time.Second

// suite is a plugin under test.
type suite struct {
	program string
	env     []string
	loaded  *host.Loaded
}

// Checks lists what is checked of a plugin. If it does not say what it is, that
// is all there is to check.
func Checks(program string, env []string) []Check {
	s := &suite{program: program, env: env}
	described := s.load()
	checks := []Check{{"describes itself", func(context.Context) error { return described }}}
	if described != nil {
		return checks
	}
	checks = append(checks,
		Check{"describes itself the same every time", s.sameEveryTime},
		Check{"documents what it takes", s.documented},
		Check{"refuses a word that it does not know", s.unknownWord},
		Check{"refuses another version of the protocol", s.otherProtocol},
		Check{"refuses a stage type that it does not have", s.unknownType},
	)
	if s.loaded.Description.Check {
		checks = append(checks, Check{"ends when there is nothing more to check", s.endsWithItsInput})
	}
	for i := range s.loaded.Description.Types {
		t := &s.loaded.Description.Types[i]
		checks = append(checks, Check{t.Name + " has a trial that succeeds", func(context.Context) error { return hasTrial(t) }})
		for _, trial := range t.Trials {
			checks = append(checks, Check{t.Name + ": " + trial.Name, func(ctx context.Context) error { return s.trial(ctx, t, trial) }})
			if in, ok := s.loaded.Types[i].(stage.Attendant); ok && trial.Problem == nil {
				checks = append(checks, Check{t.Name + ": " + trial.Name + ", checked beforehand", func(context.Context) error { return checked(in, t, trial) }})
			}
		}
	}
	return checks
}

// load asks the plugin what it is, without what is remembered of it.
func (s *suite) load() error {
	program, err := filepath.Abs(s.program)
	if err != nil {
		return err
	}
	name, ok := strings.CutPrefix(filepath.Base(program), protocol.Prefix)
	if !ok {
		return fmt.Errorf("%s: the program of a plugin is called %sNAME", s.program, protocol.Prefix)
	}
	s.program = program
	// Without a home there is no cache to remember it in.
	env := slices.DeleteFunc(slices.Clone(s.env), func(v string) bool {
		return strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "XDG_CACHE_HOME=")
	})
	h := &host.Host{Environ: env}
	s.loaded, err = h.Load(host.Installed{Name: name, Program: program, Place: host.InPath})
	return err
}

// ask starts the plugin with a question, or none, and returns how it ended and
// what it answered.
func (s *suite) ask(ctx context.Context, word string, question any) (status int, out []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var in []byte
	if question != nil {
		if in, err = json.Marshal(question); err != nil {
			return 0, nil, err
		}
	}
	dir, err := os.MkdirTemp("", "flow-plugin-test-")
	if err != nil {
		return 0, nil, err
	}
	defer os.RemoveAll(dir)
	c := exec.CommandContext(ctx, s.program, word)
	c.Dir, c.Env, c.Stdin, c.WaitDelay = dir, s.env, bytes.NewReader(in), time.Second
	out, err = c.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, nil, fmt.Errorf("%s took longer than %s", word, patience)
	case errors.As(err, &exit):
		return exit.ExitCode(), out, nil
	}
	return 0, out, err
}

func (s *suite) sameEveryTime(ctx context.Context) error {
	var first []byte
	for range 2 {
		_, out, err := s.ask(ctx, protocol.Describe, nil)
		if err != nil {
			return err
		}
		if first != nil && !bytes.Equal(first, out) {
			return errors.New("two answers to describe differ; they may not hold times, paths of temporary files or sets in no order")
		}
		first = out
	}
	return nil
}

func (s *suite) documented(context.Context) error {
	var missing []string
	var body func(path string, b protocol.Body)
	body = func(path string, b protocol.Body) {
		for _, a := range b.Arguments {
			if a.Doc == "" {
				missing = append(missing, path+"."+a.Name)
			}
		}
		for _, blk := range b.Blocks {
			if blk.Doc == "" {
				missing = append(missing, path+"."+blk.Name)
			}
			body(path+"."+blk.Name, blk.Body)
			for _, v := range blk.Variants {
				body(path+"."+blk.Name+"."+v.Name, v.Body)
			}
		}
	}
	for _, t := range s.loaded.Description.Types {
		body(t.Name, t.Body)
		for _, o := range t.Outputs {
			if o.Doc == "" {
				missing = append(missing, t.Name+"'s output "+o.Name)
			}
		}
		if t.Example == "" {
			missing = append(missing, t.Name+"'s example")
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("nothing says what these are: %s", strings.Join(missing, ", "))
	}
	return nil
}

func (s *suite) unknownWord(ctx context.Context) error {
	status, _, err := s.ask(ctx, "sing", nil)
	if err == nil && status == 0 {
		err = errors.New(`it ends well when it is started with the word "sing"`)
	}
	return err
}

func (s *suite) otherProtocol(ctx context.Context) error {
	status, _, err := s.ask(ctx, protocol.RunJob, protocol.Spec{Protocol: protocol.Version + 98, Type: s.loaded.Description.Types[0].Name, Args: json.RawMessage("{}"), Outputs: map[string]string{}})
	if err == nil && status == 0 {
		err = fmt.Errorf("it ends well when it is given a spec of version %d", protocol.Version+98)
	}
	return err
}

func (s *suite) unknownType(ctx context.Context) error {
	status, _, err := s.ask(ctx, protocol.RunJob, protocol.Spec{Protocol: protocol.Version, Type: "no-such-type", Args: json.RawMessage("{}"), Outputs: map[string]string{}})
	if err == nil && status == 0 {
		err = errors.New("it ends well when it is asked for a stage type that it does not have")
	}
	return err
}

func (s *suite) endsWithItsInput(ctx context.Context) error {
	status, out, err := s.ask(ctx, protocol.CheckJob, nil)
	switch {
	case err != nil:
		return err
	case status != protocol.ExitDone:
		return fmt.Errorf("check of nothing ends with status %d", status)
	case len(out) > 0:
		return fmt.Errorf("check answers %q, and was asked nothing", out)
	}
	return nil
}

func hasTrial(t *protocol.Type) error {
	for _, trial := range t.Trials {
		if trial.Problem == nil {
			return nil
		}
	}
	return errors.New("a trial in the description shows that the stage type works, and is run here")
}

// trial runs a trial, twice if it is to succeed.
func (s *suite) trial(ctx context.Context, t *protocol.Type, trial protocol.Trial) error {
	if trial.Problem != nil {
		_, _, err := s.once(ctx, t, trial)
		return wrongProblem(err, *trial.Problem)
	}
	files, metrics, err := s.once(ctx, t, trial)
	if err != nil {
		return err
	}
	again, metrics2, err := s.once(ctx, t, trial)
	if err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name] != again[name] {
			return fmt.Errorf("two runs write different bytes to %s; a result must follow from arguments and inputs alone", name)
		}
	}
	if len(files) != len(again) {
		return errors.New("two runs write different files")
	}
	if !reflect.DeepEqual(metrics, metrics2) {
		return fmt.Errorf("two runs have different metrics: %v and %v", metrics, metrics2)
	}
	return nil
}

func wrongProblem(err error, path string) error {
	ps := stage.ProblemsIn(err)
	switch {
	case err == nil:
		return fmt.Errorf("it succeeds, and should complain about %q", path)
	case len(ps) == 0:
		return fmt.Errorf("it fails, and should complain about %q: %w", path, err)
	}
	var said []string
	for _, p := range ps {
		if p.Path == path {
			return nil
		}
		said = append(said, p.Error())
	}
	return fmt.Errorf("it should complain about %q and says: %s", path, strings.Join(said, "; "))
}

// once runs a trial in a new directory and returns what lies in the outputs.
func (s *suite) once(ctx context.Context, t *protocol.Type, trial protocol.Trial) (map[string]digest.Digest, stage.Metrics, error) {
	dir, err := os.MkdirTemp("", "flow-plugin-test-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	if err := layOut(dir, trial); err != nil {
		return nil, nil, err
	}
	before, err := contents(dir, slices.Collect(maps.Keys(trial.Files)))
	if err != nil {
		return nil, nil, err
	}
	var log bytes.Buffer
	run := &stage.Run{Log: &log}
	run.Spec = stage.Spec{Type: t.Name, Address: t.Name + ".trial", Args: trial.Args, Outputs: trial.Outputs, CPUs: 2, Plugin: s.loaded.Plugin}
	metrics, err := host.RunIn(ctx, dir, run)
	if err != nil {
		if text := strings.TrimSpace(log.String()); text != "" && len(stage.ProblemsIn(err)) == 0 {
			err = fmt.Errorf("%w\n%s", err, text)
		}
		return nil, nil, err
	}
	after, err := contents(dir, slices.Collect(maps.Keys(trial.Files)))
	if err != nil || !maps.Equal(before, after) {
		return nil, nil, errors.Join(err, errors.New("it changes its inputs"))
	}
	files, err := contents(dir, slices.Collect(maps.Values(trial.Outputs)))
	return files, metrics, err
}

func layOut(dir string, trial protocol.Trial) error {
	for name, text := range trial.Files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	for _, o := range trial.Outputs {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, filepath.FromSlash(o))), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// contents hashes files, and those in directories.
func contents(dir string, names []string) (map[string]digest.Digest, error) {
	all := map[string]digest.Digest{}
	for _, name := range names {
		err := filepath.WalkDir(filepath.Join(dir, filepath.FromSlash(name)), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			rel, _ := filepath.Rel(dir, p)
			all[rel] = digest.OfBytes(b)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// checked asks the plugin to judge the arguments of a trial that succeeds, twice
// in one process.
func checked(in stage.Attendant, t *protocol.Type, trial protocol.Trial) error {
	dir, err := os.MkdirTemp("", "flow-plugin-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := layOut(dir, trial); err != nil {
		return err
	}
	defer in.Dismiss()
	q := &stage.Inspection{Args: trial.Args, Inputs: inputs(dir, t, trial)}
	first, err := in.Inspect(q)
	if err != nil {
		return fmt.Errorf("check complains about what works: %w", err)
	}
	again, err := in.Inspect(q)
	switch {
	case err != nil:
		return fmt.Errorf("check complains about what works, the second time: %w", err)
	case !reflect.DeepEqual(first, again):
		return fmt.Errorf("two answers of check differ: columns %v and %v", first, again)
	}
	return nil
}

// inputs are the files of a trial that its arguments name, as flow knows of them.
// Those in nested blocks are left out.
func inputs(dir string, t *protocol.Type, trial protocol.Trial) map[string]stage.InspectedInput {
	all := map[string]stage.InspectedInput{}
	add := func(role string, value any) {
		path, _ := value.(string)
		if file := filepath.Join(dir, filepath.FromSlash(path)); path != "" {
			in := stage.InspectedInput{Path: path}
			if _, err := os.Stat(file); err == nil {
				in.Head.File = file
			}
			all[role] = in
		}
	}
	var args map[string]any
	_ = json.Unmarshal(trial.Args, &args) // what is no object names no files
	for _, a := range t.Body.Arguments {
		if !strings.Contains(a.Type, "artifact") {
			continue
		}
		switch v := args[a.Name].(type) {
		case []any:
			for i, e := range v {
				add(fmt.Sprintf("%s[%d]", a.Name, i), e)
			}
		case map[string]any:
			for k, e := range v {
				add(a.Name+"."+k, e)
			}
		default:
			add(a.Name, v)
		}
	}
	return all
}
