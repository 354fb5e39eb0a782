package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/executor/local/guard"
	"github.com/flow-pipelines/flow/internal/command"
	"github.com/flow-pipelines/flow/internal/view"
	"github.com/flow-pipelines/flow/stages/builtin"
)

// release is the version that this code becomes, or was.
const release = "0.1.0"

// version is what `git describe` said when this was built. The linker sets it
// (see the Makefile), and nothing else does.
var version string

// newShell is the process's surroundings.
func newShell() (*command.Shell, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	environ := os.Environ()
	return &command.Shell{
		Streams: view.StandardStreams(environ),
		Dir:     dir,
		Environ: environ,
		Self:    []string{self},
		Types:   builtin.Types,
		Clock:   time.Now,
		Version: thisVersion(),
		Guard:   guard.Main,
	}, nil
}

func thisVersion() command.Version {
	v := command.Version{Version: release, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	// Without a tag, git describe says the commit alone.
	if strings.Count(version, ".") >= 2 {
		v.Version = strings.TrimPrefix(version, "v")
	} else {
		v.Commit = version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value[:min(len(s.Value), 12)]
		}
	}
	return v
}
