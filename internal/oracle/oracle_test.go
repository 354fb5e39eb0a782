package oracle_test

import (
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
)

func TestTheInstalledPackagesAreTheOnesThatAreNamed(t *testing.T) {
	const script = `
import sys, numpy, sklearn, onnx, onnxruntime
print(sys.argv[1], sys.stdin.read(), sklearn.__version__, onnx.__version__, end="")
`
	got := string(oracle.Run(t, script, []byte("in"), "arg"))
	if want := "arg in 1.6.1 1.18.0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAMissingEnvironmentIsSkippedOutsideCI(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("FLOW_ORACLE", t.TempDir())
	skipped := false
	t.Run("inner", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		oracle.Python(t)
	})
	if !skipped {
		t.Error("the test was not skipped")
	}
}

// fatal records that a test would have failed, without failing this one.
type fatal struct {
	testing.TB
	message string
}

func (f *fatal) Helper() {}

func (f *fatal) Fatal(args ...any) {
	f.message, _ = args[0].(string)
	panic(f)
}

func TestAMissingEnvironmentFailsInCI(t *testing.T) {
	t.Setenv("CI", "1")
	t.Setenv("FLOW_ORACLE", t.TempDir())
	recorder := &fatal{TB: t}
	func() {
		defer func() { _ = recover() }()
		oracle.Python(recorder)
	}()
	if got, want := recorder.message, oracle.Missing; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
