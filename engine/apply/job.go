package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/gpu"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// mostRounds bounds how often a stage runs again since the cache was damaged.
const mostRounds = 8

// grace is the time a program has between SIGTERM and SIGKILL.
const grace = 10 * time.Second

// job is one run of a stage: a private directory, also its TMPDIR,
//
//	SCRATCH/train.mlp.small/
//	    work/           the working directory, which looks like the project
//	    spec.json       what `stage-run` is to do        (stage.Spec)
//	    events.jsonl    progress, as it is written       (stage.Progress)
//	    metrics.json    what a Runner found
//	    problem.json    what is wrong with the arguments
//
// It is emptied when all went well, and becomes that of another job (see rooms);
// otherwise it is left for the user to look into until the next apply.
type job struct {
	*apply
	step *plan.Step
	dir  string
	work string
	log  string
	// usage is of the last attempt; nil if nothing was started.
	usage *event.Usage
	loan  *gpu.Loan // the GPUs that it has; may be nil
}

// runJob runs the job of a stage and returns how long that usually takes.
func (a *apply) runJob(ctx context.Context, step *plan.Step, loan *gpu.Loan, before *lock.Stage) (took time.Duration, usage *event.Usage, err error) {
	if r := step.Stage.Resources; r.GPUs > 0 && loan == nil {
		return 0, nil, a.withoutGPUs(step, r)
	}
	j := &job{apply: a, step: step, loan: loan, dir: filepath.Join(a.Scratch, step.Addr.FileName()), log: a.Record.Log(step.Addr.FileName())}
	j.work = filepath.Join(j.dir, workDir)
	if step.Stage.Job.Isolation == stage.None {
		j.work = a.Root
	}
	if step.Stage.Job.Checkpoint != "" && a.forced(step.Addr) != "" {
		if err := a.forgetCheckpoints(step.Addr); err != nil {
			return 0, nil, err
		}
	}
	took, err = j.results(ctx, before)
	// The cache had objects of the results' names, and they were damaged. What
	// was collected is gone into the cache, so it is made again. A damaged
	// listing hides what is damaged below it: once more for each level.
	for round := 0; errors.Is(err, cas.ErrNotFound) && round < mostRounds; round++ {
		if err := a.heal(ctx, step); err != nil {
			return 0, nil, err
		}
		took, err = j.results(ctx, before)
	}
	if err != nil {
		return 0, nil, err
	}
	if step.Stage.Job.Checkpoint != "" {
		if err := j.keepCheckpoint(); err != nil {
			return 0, nil, err
		}
	}
	return took, j.usage, a.rooms.leave(j.dir)
}

// results runs the job and puts what it wrote in place. It returns how long
// that usually takes: the last attempt, and what comes after it, since hashing
// and storing what a program wrote may be most of the time.
func (j *job) results(ctx context.Context, before *lock.Stage) (took time.Duration, err error) {
	if took, err = j.attempts(ctx); err != nil {
		return took, err
	}
	ran := j.Clock()
	if err := j.collect(ctx); err != nil {
		return took, err
	}
	if broken := j.judge(); broken != nil {
		if err := j.record(ctx, j.step, took); err != nil {
			return took, err
		}
		return took, broken
	}
	err = j.restore(ctx, j.step, before)
	return took + j.Clock().Sub(ran), err
}

// attempts runs the job until it succeeds or may not be retried.
func (j *job) attempts(ctx context.Context) (time.Duration, error) {
	retry := j.step.Stage.Retry
	for attempt := 1; ; attempt++ {
		start := j.Clock()
		err := j.attempt(ctx)
		took := j.Clock().Sub(start)
		var f *failure
		if err == nil || !errors.As(err, &f) || ctx.Err() != nil {
			return took, err
		}
		f.event.Elapsed = took.Seconds()
		if attempt >= retry.Attempts || !retryable(retry.On, f.event) {
			return took, err
		}
		why := f.event.Text
		if wait := retry.Wait(attempt); wait > 0 {
			why += fmt.Sprintf("; the next try is in %s", wait)
		}
		j.emit(event.Event{Kind: event.Retrying, Addr: j.step.Addr, Attempt: attempt + 1, Text: why, Elapsed: took.Seconds()})
		select {
		case <-ctx.Done():
			return took, ctx.Err()
		case <-time.After(retry.Wait(attempt)):
		}
	}
}

// retryable reports whether a failure is among the conditions of a retry.
func retryable(on []string, e event.Event) bool {
	if len(e.Diags) > 0 {
		return false // the arguments are wrong, and will be
	}
	if len(on) == 0 {
		return true
	}
	return slices.Contains(on, e.Action) || slices.Contains(on, fmt.Sprintf("exit:%d", e.Exit))
}

func (j *job) attempt(ctx context.Context) error {
	if err := j.rooms.enter(j.dir); err != nil {
		return err
	}
	if err := j.prepare(ctx); err != nil {
		return err
	}
	command, err := j.command()
	if err != nil {
		return err
	}
	res, err := j.execute(ctx, command)
	j.usage = &event.Usage{
		CPU: (res.UserCPU + res.SystemCPU).Seconds(), Memory: res.PeakMemory, Read: res.ReadBytes, Written: res.WrittenBytes,
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var pe *executor.ProgramError
	if errors.As(err, &pe) {
		return &failure{event.Event{Text: pe.Error(), Diags: j.pipeline().Diagnose(j.step.Addr, &stage.Problem{Path: "command[0]", Summary: "The program cannot be started", Detail: pe.Error()})}}
	}
	if err != nil {
		return err
	}
	if !res.OK() {
		return j.failed(res, command)
	}
	return j.unnoticed(command)
}

// unnoticed fails a job that ended well though its log says that it did not
// find a file of the project: a pipe or a try block hid the failure, and the
// result is made from less than the program wanted.
func (j *job) unnoticed(command []string) error {
	if !j.declares() {
		return nil
	}
	log := lastLines(j.log, 40)
	wanted := slices.DeleteFunc(j.wanted(log, command), func(h executor.Hint) bool { return h.Line == "" })
	hints := j.hints(wanted)
	if len(hints) == 0 {
		return nil
	}
	if i := slices.IndexFunc(wanted, func(h executor.Hint) bool { return h.Input != "" }); i >= 0 {
		hints = append(hints, fmt.Sprintf("if the program does without it where it is not there, declare that: an input fileset(\".\", %q) is empty then", wanted[i].Input))
	}
	return &failure{event.Event{
		Text: "it ended well, but did not find what it wanted to read", LogPath: j.rel(j.log), LogTail: log, Hints: hints,
	}}
}

// confined reports whether the job is a program that sees its inputs only: any
// but flow itself.
func (j *job) confined() bool {
	st := j.step.Stage
	return (len(st.Job.Command) > 0 || st.Schema.Plugin != nil) && st.Job.Isolation == stage.Strict
}

// declares reports whether it is a command of the user's, whose inputs he lists.
func (j *job) declares() bool { return j.confined() && len(j.step.Stage.Job.Command) > 0 }

// confinement is what such a program may see besides its inputs. A plugin is
// started by flow, and both may lie in the project.
func (j *job) confinement() *executor.Confinement {
	c := &executor.Confinement{Project: j.Root, Allow: j.envs, Writable: []string{j.dir}}
	if p := j.step.Stage.Schema.Plugin; p != nil {
		c.Allow = slices.Concat(j.envs, j.Self[:1], p.Reads)
	}
	if j.step.Stage.Job.Checkpoint != "" {
		c.Writable = append(c.Writable, j.checkpoints())
	}
	return c
}

// prepare fills the work directory with the declared inputs.
func (j *job) prepare(ctx context.Context) error {
	job := j.step.Stage.Job
	if err := j.rememberTexts(ctx); err != nil {
		return err
	}
	if job.Isolation == stage.None {
		return j.makeOutputDirs()
	}
	inputs := slices.Clone(j.step.Inputs)
	slices.SortStableFunc(inputs, func(a, b plan.Content) int { return strings.Compare(a.Path, b.Path) })
	var last string
	for _, in := range inputs {
		// What lies in a directory that is there as a whole is there too.
		if last != "" && (in.Path == last || strings.HasPrefix(in.Path, last+"/")) {
			continue
		}
		last = in.Path
		if _, err := j.Files.Stage(ctx, in.Path, in.Node, j.work); err != nil {
			var changed *worktree.ChangedError
			if errors.As(err, &changed) {
				return failf("input %s changed since it was hashed; run flow apply again when nothing writes to it", in.Path)
			}
			return fmt.Errorf("lay out input %s: %w", in.Path, err)
		}
	}
	if err := j.makeOutputDirs(); err != nil {
		return err
	}
	return j.linkCheckpoint()
}

// mostTexts is how many files of the project in one directory are kept for
// comparison. More are not programs that somebody edits, but data.
const mostTexts = 1000

// rememberTexts keeps the programs that the job reads, so that a later plan can
// tell how many lines of them have changed. What a secret stands in is not kept.
func (j *job) rememberTexts(ctx context.Context) error {
	var texts []worktree.File
	for _, in := range j.step.Inputs {
		switch {
		case in.From != nil || in.Node.Files > mostTexts:
		case in.Node.Kind != digest.Dir:
			texts = append(texts, worktree.File{Path: in.Path, Node: in.Node})
		default:
			files, err := j.Files.List(ctx, in.Path, worktree.Filter{})
			if err != nil {
				return err
			}
			for _, f := range files {
				f.Path = path.Join(in.Path, f.Path)
				texts = append(texts, f)
			}
		}
	}
	if len(texts) == 0 {
		return nil
	}
	secrets := j.secrets.Load()
	return j.Files.StoreTexts(ctx, texts, func(text []byte) bool { return secrets.Redact(string(text)) == string(text) })
}

func (j *job) makeOutputDirs() error {
	job := j.step.Stage.Job
	for _, o := range job.Outputs {
		p := filepath.Join(j.work, filepath.FromSlash(o.Path))
		if !o.Dir || len(job.Command) == 0 {
			p = filepath.Dir(p)
		}
		if err := os.MkdirAll(p, 0o755); err != nil {
			return err
		}
	}
	for _, m := range job.MetricsFiles {
		if err := os.MkdirAll(filepath.Join(j.work, filepath.FromSlash(path.Dir(m))), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// command is what the executor starts: the user's program, or flow itself.
func (j *job) command() ([]string, error) {
	st := j.step.Stage
	if len(st.Job.Command) > 0 {
		return j.userCommand(st.Job.Command), nil
	}
	args, err := keyed(st)
	if err != nil {
		return nil, err
	}
	spec := stage.Spec{
		Version: stage.SpecVersion, Type: st.Schema.Name, Address: st.Addr.String(), Project: j.Root,
		Args: args, Outputs: map[string]string{}, Inputs: map[string]string{}, CPUs: j.cpus(), Checkpoint: st.Job.Checkpoint, Plugin: st.Schema.Plugin,
	}
	for _, o := range st.Job.Outputs {
		spec.Outputs[o.Name] = o.Path
	}
	for _, in := range j.step.Inputs {
		spec.Inputs[in.Name] = in.Node.Digest.String()
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(j.dir, stage.SpecFile)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	return append(slices.Clone(j.Self), "stage-run", file), nil
}

// keyed are the arguments that are part of the key.
func keyed(st *config.Stage) (json.RawMessage, error) {
	var args map[string]json.RawMessage
	for _, a := range st.Schema.Body.Attributes {
		if !a.Unkeyed {
			continue
		}
		if args == nil {
			if err := json.Unmarshal(st.Args, &args); err != nil {
				return nil, fmt.Errorf("arguments of %s: %w", st.Addr, err)
			}
		}
		delete(args, a.Name)
	}
	if args == nil {
		return st.Args, nil
	}
	return json.Marshal(args)
}

// userCommand finds a program that lies in an environment of the project:
// .venv/bin/python is a tool and not in the work directory.
func (j *job) userCommand(command []string) []string {
	program := command[0]
	if !strings.Contains(program, "/") || filepath.IsAbs(program) {
		return command
	}
	abs := filepath.Join(j.Root, filepath.FromSlash(program))
	for _, env := range j.envs {
		if strings.HasPrefix(abs, env+string(filepath.Separator)) {
			return append([]string{abs}, command[1:]...)
		}
	}
	return command
}

func (j *job) cpus() int {
	if c := j.step.Stage.Resources.CPUs; c > 0 {
		return max(1, int(math.Ceil(c)))
	}
	return max(1, int(j.CPUs))
}

func (j *job) execute(ctx context.Context, command []string) (executor.Result, error) {
	st := j.step.Stage
	events := filepath.Join(j.dir, stage.EventsFile)
	t := executor.Task{
		ID: st.Addr.String(), Dir: j.work, Command: command, Env: j.environment(events), Log: j.log, Secrets: j.secrets.Load(),
		Timeout: st.Timeout, Grace: grace, CPUs: st.Resources.CPUs, Memory: st.Resources.Memory,
	}
	if j.confined() {
		t.Confine = j.confinement()
	}
	stop := make(chan struct{})
	done := make(chan struct{}, 2)
	var logged int64 // by earlier attempts
	if info, err := os.Stat(j.log); err == nil {
		logged = info.Size()
	}
	go func() {
		tail(ctx, events, 0, stop, j.progress, func(int64) {}) // what is newer says more
		done <- struct{}{}
	}()
	go func() {
		show := func(s string) { j.emit(event.Event{Kind: event.Log, Addr: st.Addr, Text: s}) }
		tail(ctx, j.log, logged, stop, show, func(bytes int64) {
			show(fmt.Sprintf("… %s left out here; all of it is in %s", amount(bytes), j.rel(j.log)))
		})
		done <- struct{}{}
	}()
	sampled := j.sample(ctx, stop)
	res, err := j.Executor.Run(ctx, t)
	close(stop)
	<-sampled
	<-done
	<-done
	return res, err
}

func (j *job) environment(events string) []string {
	var env []string
	for _, v := range j.Environ {
		name, _, _ := strings.Cut(v, "=")
		// Variables of the pipeline reach a program as arguments, which are
		// hashed, and not by the back door.
		if !strings.HasPrefix(name, "FLOW_") && name != "PWD" {
			env = append(env, v)
		}
	}
	// A confined program cannot make files directly in the directories above
	// the project, which /tmp may be one of.
	env = append(env, j.devices()...)
	env = append(env, "PWD="+j.work, "TMPDIR="+j.dir, stage.EventsEnv+"="+events)
	names := make([]string, 0, len(j.step.Stage.Job.Env))
	for k := range j.step.Stage.Job.Env {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		env = append(env, k+"="+j.step.Stage.Job.Env[k])
	}
	return env
}

func (j *job) progress(line string) {
	var p stage.Progress
	if json.Unmarshal([]byte(line), &p) != nil {
		return // somebody's half-written or odd line; progress is a courtesy
	}
	j.emit(event.Event{Kind: event.Progress, Addr: j.step.Addr, Step: p.Step, Total: p.Total, Unit: p.Unit, Metrics: p.Metrics, Text: p.Message})
}

// outOfMemory is a kind of failure; see config.Retry.
const outOfMemory = "out_of_memory"

// amount writes bytes as people ask for them.
func amount(bytes int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}} {
		if bytes >= u.bytes {
			return strconv.FormatFloat(math.Round(10*float64(bytes)/float64(u.bytes))/10, 'f', -1, 64) + " " + u.name
		}
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// failed describes a job that ended badly.
func (j *job) failed(res executor.Result, command []string) error {
	st := j.step.Stage
	e := event.Event{Exit: res.Exit, LogPath: j.rel(j.log), LogTail: lastLines(j.log, 40), Usage: j.usage}
	if b, err := os.ReadFile(filepath.Join(j.dir, stage.ProblemFile)); err == nil {
		var ps stage.Problems
		if json.Unmarshal(b, &ps) == nil && len(ps) > 0 {
			e.Text, e.Diags, e.LogTail = ps.Error(), j.pipeline().Diagnose(st.Addr, ps), nil
			return &failure{e}
		}
	}
	ranOut := executor.OutOfMemory(e.LogTail)
	plugin := st.Type.Schema().Plugin
	if plugin != nil && res.Signal == "" && res.Exit > 128 {
		// See stage.ExitError; "" if it is no signal.
		res.Signal = unix.SignalName(syscall.Signal(res.Exit - 128))
	}
	switch {
	case res.OverMemory > 0:
		e.Text = fmt.Sprintf("killed: it used %s of memory, more than the %s that it asked for; raise resources.memory", amount(res.OverMemory), amount(st.Resources.Memory))
		e.Action = outOfMemory
	case res.TimedOut:
		e.Text, e.Action = fmt.Sprintf("timed out after %s", st.Timeout), "timeout"
	case res.Signal != "":
		e.Text = "killed by " + res.Signal
		if res.Signal == "SIGKILL" {
			e.Text += "; the machine may have run out of memory"
			e.Action = outOfMemory
		}
	default:
		e.Text = fmt.Sprintf("exit status %d", res.Exit)
		if ranOut != "" {
			e.Text += "; it ran out of memory: " + ranOut
			e.Action = outOfMemory
		}
	}
	if j.declares() {
		e.Hints = j.hints(j.wanted(e.LogTail, command))
	}
	// Who wrote the block did not write the plugin: he is shown what called it.
	if plugin != nil {
		e.Diags = j.pipeline().Diagnose(st.Addr, stage.Problemf("", fmt.Sprintf("Plugin %s failed", plugin.Name), "It ended: %s. The end of its log may say why.", e.Text))
	}
	return &failure{e}
}

func (j *job) rel(abs string) string {
	if r, err := filepath.Rel(j.Root, abs); err == nil {
		return r
	}
	return abs
}

// environments finds the directories of the project that hold tools rather
// than data or code of the pipeline: Python virtual environments and Node's
// modules. A program may use them without declaring them.
func environments(root string) []string {
	var envs []string
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if _, err := os.Stat(filepath.Join(dir, "pyvenv.cfg")); err == nil || e.Name() == "node_modules" {
			envs = append(envs, dir)
		}
	}
	return envs
}
