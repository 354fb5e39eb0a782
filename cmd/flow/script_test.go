package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be flow: a script's flow, and what that flow
// starts itself, is this binary under the name flow.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"flow": func() { os.Exit(run()) },
	})
}

// TestScripts runs whole commands. A script is named after the behaviour that
// it shows; UPDATE=1 rewrites what it expects.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, ".home")
			e.Setenv("HOME", home)
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				e.Setenv("GIT_"+who+"_NAME", "Ada")
				e.Setenv("GIT_"+who+"_EMAIL", "ada@example.org")
			}
			e.Setenv("NO_COLOR", "1")
			return os.Mkdir(home, 0o755)
		},
	})
}
