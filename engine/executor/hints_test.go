package executor_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/executor"
)

// The logs are what the programs really print, R's and Julia's from their
// documentation.
func TestHints(t *testing.T) {
	const dir, root = "/home/ada/ads/.flow/exec/7", "/home/ada/ads"
	files := []string{
		"data/x.csv", "data/my file.csv", "data", "notes", "src/train.py", "src/helpers.py", "src/common/io.py",
		"pkg", "pkg/__init__.py", "pkg/sub.py", "lib/util.js", "reports/metrics.json", "helpers.R", ".git/config", "train", "space", "space/tool.py",
	}
	exists := func(rel string) bool {
		for _, f := range files {
			if f == rel {
				return true
			}
		}
		return false
	}
	tests := []struct {
		name    string
		log     string
		argv    []string
		inputs  []string
		outputs []string
		want    []executor.Hint
	}{
		{name: "dash, redirection", log: "sh: 1: cannot open data/x.csv: No such file\n", want: one("data/x.csv")},
		{name: "bash, redirection", log: "bash: line 1: data/x.csv: No such file or directory\n", want: one("data/x.csv")},
		{name: "dash, script", log: "sh: 0: cannot open src/train.py: No such file\n", want: one("src/train.py")},
		{name: "cat", log: "cat: data/x.csv: No such file or directory\n", want: one("data/x.csv")},
		{name: "cat, bare name", log: "cat: notes: No such file or directory\n", want: one("notes")},
		{name: "cat, name with space", log: "cat: 'data/my file.csv': No such file or directory\n", want: one("data/my file.csv")},
		{name: "wc, busybox, name with space", log: "wc: data/my file.csv: No such file or directory\n", want: one("data/my file.csv")},
		{name: "ls", log: "ls: cannot access 'data': No such file or directory\n", want: one("data")},
		{name: "mawk", log: "mawk: cannot open data/x.csv (No such file or directory)\n", want: one("data/x.csv")},
		{name: "gawk", log: "gawk: warning: command line argument `data/x.csv': cannot open file `data/x.csv' for reading: No such file or directory\n", want: one("data/x.csv")},
		{name: "awk of BSD", log: "awk: can't open file data/x.csv\n source line number 1\n", want: one("data/x.csv")},
		{name: "python, open", log: "Traceback (most recent call last):\n  File \"" + dir + "/src/train.py\", line 1, in <module>\n    open('data/x.csv')\nFileNotFoundError: [Errno 2] No such file or directory: 'data/x.csv'\n", inputs: []string{"src/*.py"}, want: one("data/x.csv")},
		{name: "python, script", log: "python3: can't open file '" + dir + "/src/train.py': [Errno 2] No such file or directory\n", argv: []string{"python3", "src/train.py"}, want: one("src/train.py")},
		{name: "pandas by absolute path", log: "PermissionError: [Errno 13] Permission denied: '/home/ada/ads/data/x.csv'\n", want: []executor.Hint{{Path: "data/x.csv", Input: "data/x.csv", Absolute: true}}},
		{name: "absolute path of an input", log: "PermissionError: [Errno 13] Permission denied: '/home/ada/ads/data/x.csv'\n", inputs: []string{"data/**"}, want: []executor.Hint{{Path: "data/x.csv", Absolute: true}}},
		{name: "up from the directory", log: "cat: ../../../data/x.csv: Permission denied\n", want: []executor.Hint{{Path: "data/x.csv", Input: "data/x.csv", Absolute: true}}},
		{name: "up from the script's directory", log: "cat: ../data/x.csv: No such file or directory\n", inputs: []string{"src/train.py"}, want: one("data/x.csv")},
		{name: "python, module beside the script", log: "ModuleNotFoundError: No module named 'helpers'\n", argv: []string{"python", "src/train.py"}, inputs: []string{"src/train.py"}, want: one("src/helpers.py")},
		{name: "python, package", log: "ModuleNotFoundError: No module named 'pkg'\n", want: []executor.Hint{{Path: "pkg", Input: "pkg/**/*.py"}}},
		{name: "python, module of a package", log: "ModuleNotFoundError: No module named 'pkg.sub'\n", inputs: []string{"pkg/__init__.py"}, want: one("pkg/sub.py")},
		{name: "python, package without __init__", log: "ModuleNotFoundError: No module named 'space'\n", want: []executor.Hint{{Path: "space", Input: "space/**/*.py"}}},
		{name: "python, name of a package", log: "ImportError: cannot import name 'sub' from 'pkg' (" + dir + "/pkg/__init__.py)\n", inputs: []string{"pkg/__init__.py"}, want: one("pkg/sub.py")},
		{name: "python -m", log: "/usr/bin/python3: No module named space.tool\n", argv: []string{"python3", "-m", "space.tool"}, want: one("space/tool.py")},
		{name: "python, library that is not installed", log: "ModuleNotFoundError: No module named 'sklearn'\n"},
		{name: "R", log: "Error in file(file, \"rt\") : cannot open the connection\nCalls: read.csv -> read.table -> file\nIn addition: Warning message:\nIn file(file, \"rt\") :\n  cannot open file 'data/x.csv': No such file or directory\nExecution halted\n", want: one("data/x.csv")},
		{name: "R, source", log: "In file(filename, \"r\", encoding = encoding) :\n  cannot open file 'helpers.R': No such file or directory\n", want: one("helpers.R")},
		{name: "Rscript", log: "Fatal error: cannot open file 'helpers.R': No such file or directory\n", want: one("helpers.R")},
		{name: "readr", log: "Error: 'data/x.csv' does not exist in current working directory ('" + dir + "').\n", want: one("data/x.csv")},
		{name: "node, open", log: "Error: ENOENT: no such file or directory, open 'data/x.csv'\n    at Object.openSync (node:fs:573:18)\n", want: one("data/x.csv")},
		{name: "node, module", log: "Error: Cannot find module './util'\nRequire stack:\n- " + dir + "/lib/main.js\n", argv: []string{"node", "lib/main.js"}, want: one("lib/util.js")},
		{name: "perl", log: "Can't open perl script \"src/train.py\": No such file or directory\n", want: one("src/train.py")},
		{name: "julia", log: "ERROR: SystemError: opening file \"" + dir + "/data/x.csv\": No such file or directory\n", want: one("data/x.csv")},
		{name: "declared input", log: "cat: data/x.csv: No such file or directory\n", inputs: []string{"data/*.csv"}},
		{name: "declared directory", log: "cat: data/x.csv: No such file or directory\n", inputs: []string{"data"}},
		{name: "its own output", log: "FileNotFoundError: [Errno 2] No such file or directory: 'reports/metrics.json'\n", outputs: []string{"reports/metrics.json"}},
		{name: "not in the project", log: "cat: data/y.csv: No such file or directory\ncat: /etc/x.csv: No such file or directory\n"},
		{name: "private files", log: "cat: .git/config: No such file or directory\n"},
		{name: "a word that is a file", log: "sh: 1: train: not found\n", want: one("train")},
		{name: "a word elsewhere in the line", log: "could not open the train socket: connection refused\n"},
		{name: "a line without complaint", log: "reading data/x.csv\n"},
		{name: "argument", log: "usage: ...\n", argv: []string{"tool", "--data=data/x.csv"}, want: one("data/x.csv")},
		{name: "shell command", argv: []string{"sh", "-c", "tool <data/x.csv >reports/metrics.json"}, outputs: []string{"reports/metrics.json"}, want: one("data/x.csv")},
		{name: "the log is more certain than the arguments", log: "cat: notes: No such file or directory\n", argv: []string{"sh", "-c", "cat notes; cat data/x.csv"}, want: []executor.Hint{{Path: "notes", Input: "notes"}, {Path: "data/x.csv", Input: "data/x.csv"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := executor.Hints(executor.Failure{
				Log: []byte(tt.log), Argv: tt.argv, Project: root, Dir: dir,
				Inputs: tt.inputs, Outputs: tt.outputs, Exists: exists,
			})
			for i := range got {
				got[i].Line = ""
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func one(path string) []executor.Hint { return []executor.Hint{{Path: path, Input: path}} }

func TestHintQuotesTheLine(t *testing.T) {
	got := executor.Hints(executor.Failure{
		Log:    []byte("first\n  cat: x.csv: No such file or directory\nlast\n"),
		Exists: func(rel string) bool { return rel == "x.csv" },
	})
	want := []executor.Hint{{Path: "x.csv", Input: "x.csv", Line: "cat: x.csv: No such file or directory"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzHints(f *testing.F) {
	f.Add("cat: 'a b': No such file or directory", "x=../y")
	f.Add("No module named ''", "-m")
	f.Add("cannot import name 'x' from '..'", "[")
	f.Fuzz(func(t *testing.T, log, arg string) {
		hints := executor.Hints(executor.Failure{
			Log: []byte(log), Argv: []string{"sh", arg}, Project: "/p", Dir: "/p/.flow/exec/1",
			Inputs: []string{arg}, Exists: func(string) bool { return true },
		})
		for _, h := range hints {
			if h.Path == "" || h.Path[0] == '/' || h.Path == ".." || len(h.Path) > 2 && h.Path[:3] == "../" {
				t.Errorf("path %q", h.Path)
			}
		}
	})
}
