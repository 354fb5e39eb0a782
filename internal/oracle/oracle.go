// Package oracle gives tests the real packages that flow's own numbers are
// compared with: scikit-learn, numpy, onnx and onnxruntime, in a virtual
// environment that `make oracle` creates outside the tree.
//
// It refuses to install anything itself: a test run must not reach for the
// network. Without the environment a test is skipped on a developer's machine
// and fails where CI is set, so that a comparison cannot silently stop being
// made. Only tests call it.
package oracle

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Missing is what a test says when the environment is not there.
const Missing = "the packages to compare with are not installed: run `make oracle`"

// Python returns the interpreter of the oracle's virtual environment. If it
// does not exist, the test is skipped, or fails if CI is set to anything.
func Python(t testing.TB) string {
	t.Helper()
	dir, err := Dir()
	if err != nil {
		t.Fatalf("locate the oracle: %v", err)
	}
	python := filepath.Join(dir, "bin", "python")
	// The stamp is written last; without it the environment is not complete.
	for _, name := range []string{python, filepath.Join(dir, ".flow-stamp")} {
		if _, err := os.Stat(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(Missing)
			}
			t.Skip(Missing)
		}
	}
	return python
}

// Run executes a Python script in the oracle's environment with stdin as its
// standard input and args as sys.argv[1:], and returns its standard output. A
// script that fails fails the test with its standard error.
func Run(t testing.TB, script string, stdin []byte, args ...string) []byte {
	t.Helper()
	python := Python(t)
	cmd := exec.CommandContext(t.Context(), python, append([]string{"-c", script}, args...)...)
	// One thread: sums of BLAS depend on how many share them, and a machine
	// that runs many test binaries has no cores to spare.
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the oracle's script: %v\n%s", err, stderr.Bytes())
	}
	return out
}

// Dir returns where the environment lives: $FLOW_ORACLE, or flow/oracle in the
// user's cache directory, by the same rule as setup.sh.
func Dir() (string, error) {
	if dir := os.Getenv("FLOW_ORACLE"); dir != "" {
		return dir, nil
	}
	if cache := os.Getenv("XDG_CACHE_HOME"); cache != "" {
		return filepath.Join(cache, "flow", "oracle"), nil
	}
	home := os.Getenv("HOME")
	if home == "" {
		return "", errors.New("neither FLOW_ORACLE, XDG_CACHE_HOME nor HOME is set")
	}
	return filepath.Join(home, ".cache", "flow", "oracle"), nil
}
