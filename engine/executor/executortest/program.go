package executortest

import (
	"errors"
	"testing"

	"github.com/flow-pipelines/flow/engine/executor"
)

// mustNotStart runs a task whose program cannot be started.
func (b *bench) mustNotStart(t *testing.T, task executor.Task, want executor.Reason) *executor.ProgramError {
	t.Helper()
	res, err := b.Run(t.Context(), task)
	var e *executor.ProgramError
	if !errors.As(err, &e) {
		t.Fatalf("Run(%q): got %+v, %v, want a ProgramError", task.Command, res, err)
	}
	if e.Reason != want {
		t.Errorf("Run(%q): reason %d, want %d: %v", task.Command, e.Reason, want, e)
	}
	if e.Error() == "" || e.Hint() == "" {
		t.Errorf("Run(%q): message %q, hint %q", task.Command, e.Error(), e.Hint())
	}
	return e
}

func testMissing(t *testing.T, b *bench) {
	b.mustNotStart(t, b.task("no-such-program-anywhere"), executor.NotFound)
	b.mustNotStart(t, b.task("./missing.sh"), executor.NotFound)
	b.mustNotStart(t, b.task("missing/dir/x.sh"), executor.NotFound)
}

func testMisspelled(t *testing.T, b *bench) {
	b.write(t, "tokenize", "#!/bin/sh\n", 0o755)
	task := b.task("tokenise")
	task.Env = []string{"PATH=" + b.dir}
	for _, program := range []string{"tokenise", "./tokenise"} {
		task.Command = []string{program}
		e := b.mustNotStart(t, task, executor.NotFound)
		want := program[:len(program)-len("tokenise")] + "tokenize"
		if len(e.Similar) != 1 || e.Similar[0] != want {
			t.Errorf("%s: similar: got %q, want %q", program, e.Similar, want)
		}
	}
}

func testNotExecutable(t *testing.T, b *bench) {
	b.write(t, "train.sh", "#!/bin/sh\n", 0o644)
	b.mustNotStart(t, b.task("./train.sh"), executor.NotExecutable)
}

func testDirectory(t *testing.T, b *bench) {
	b.mustNotStart(t, b.task("./"), executor.IsDirectory)
}

func testNoInterpreter(t *testing.T, b *bench) {
	b.write(t, "train", "#!/opt/no such/python3 -u\n", 0o755)
	if e := b.mustNotStart(t, b.task("./train"), executor.NoInterpreter); e.Interpreter != "/opt/no" {
		t.Errorf("interpreter: got %q", e.Interpreter)
	}
	b.write(t, "dos", "#!/bin/sh\r\necho\r\n", 0o755)
	if e := b.mustNotStart(t, b.task("./dos"), executor.NoInterpreter); e.Interpreter != "/bin/sh\r" {
		t.Errorf("interpreter: got %q", e.Interpreter)
	}
}

func testBadFormat(t *testing.T, b *bench) {
	b.write(t, "train", "echo hello\n", 0o755)
	b.mustNotStart(t, b.task("./train"), executor.BadFormat)
}

func testRelative(t *testing.T, b *bench) {
	b.write(t, "run.sh", "#!/bin/sh\necho \"$0 $1\"\n", 0o755)
	if res := b.run(t, b.task("./run.sh", "a b")); !res.OK() {
		t.Errorf("got %+v", res)
	}
	if got := b.read(t, b.log); len(got) < 6 || got[len(got)-5:] != " a b\n" {
		t.Errorf("log: got %q", got)
	}
}
