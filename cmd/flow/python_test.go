package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flow-pipelines/flow/internal/oracle"
)

// TestPythonPrograms runs unmodified programs with scikit-learn as stages.
func TestPythonPrograms(t *testing.T) {
	python := oracle.Python(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/python",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PYTHON", python)
			e.Setenv("NO_COLOR", "1")
			return nil
		},
	})
}
