package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"
)

// perDir is how many files are in a directory of the data set.
const perDir = 1000

// data is a data set of many small files, and who keeps versions of it. Each has
// a directory of its own with the same files in it.
type data struct {
	tmp   string
	flow  string
	git   string   // "" if it is not installed
	dvc   []string // nil if it is not installed
	self  string   // this program, for the floors
	round int
}

func newData(tmp, flow string, files int) (*data, error) {
	d := &data{tmp: filepath.Join(tmp, "data"), flow: flow}
	var err error
	if d.self, err = os.Executable(); err != nil {
		return nil, err
	}
	d.git, _ = exec.LookPath("git")
	if python := peer("python"); python != "" {
		d.dvc = []string{python, "-m", "dvc"}
	} else {
		fmt.Fprintln(os.Stderr, "DVC is left out: run bench/setup.sh")
	}
	for _, dir := range d.dirs() {
		if err := makeFiles(filepath.Join(dir, "data"), files); err != nil {
			return nil, err
		}
	}
	pipeline := filepath.Join(d.dir("flow"), "pipeline.hcl")
	return d, os.WriteFile(pipeline, []byte("dataset \"data\" { path = \"data\" }\n"), 0o644)
}

func (d *data) dir(tool string) string { return filepath.Join(d.tmp, tool) }

func (d *data) dirs() []string {
	dirs := []string{d.dir("flow"), d.dir("floor")}
	if d.git != "" {
		dirs = append(dirs, d.dir("git"))
	}
	if d.dvc != nil {
		dirs = append(dirs, d.dir("dvc"))
	}
	return dirs
}

// dataSets are the groups of one data set, which is made for the first of them.
func dataSets(tmp, flow string, files int) []opening {
	made := sync.OnceValues(func() (*data, error) { return newData(tmp, flow, files) })
	var groups []opening
	for _, g := range []struct {
		name string
		open func(*data) []command
	}{
		{"first version", (*data).first},
		{"nothing changed", (*data).noop},
		{"one changed", (*data).change},
		{"checkout", (*data).checkout},
	} {
		groups = append(groups, opening{fmt.Sprintf("%d files, %s", files, g.name), func() ([]command, error) {
			d, err := made()
			if err != nil {
				return nil, err
			}
			return g.open(d), nil
		}})
	}
	return groups
}

// makeFiles makes files of 1 KB that are older than any clock's tick.
func makeFiles(root string, n int) error {
	rng := rand.NewChaCha8([32]byte{1})
	b := make([]byte, 1024)
	old := time.Now().Add(-time.Hour)
	for i := range n {
		dir := filepath.Join(root, fmt.Sprintf("d%04d", i/perDir))
		if i%perDir == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		_, _ = rng.Read(b)
		name := filepath.Join(dir, fmt.Sprintf("file-%06d.bin", i%perDir))
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(name, old, old); err != nil {
			return err
		}
	}
	return nil
}

// aside moves names out of the way: deleting many files makes ext4 slow for a
// while.
func (d *data) aside(tool string, names ...string) error {
	d.round++
	to := filepath.Join(d.tmp, fmt.Sprintf("aside-%d", d.round))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		err := os.Rename(filepath.Join(d.dir(tool), name), filepath.Join(to, name))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// floor is a command of this program's on the floor's own files.
func (d *data) floor(name, what string) command {
	return command{name: name, dir: d.dir("floor"), args: []string{d.self, "-floor", what, "data"}}
}

// byDVC is a command of DVC, nil if it is not installed.
func (d *data) byDVC(args ...string) []string {
	if d.dvc == nil {
		return nil
	}
	return slices.Concat(d.dvc, args)
}

// peer returns a program that bench/setup.sh has installed, "" if it has not.
func peer(name string) string {
	dir := os.Getenv("FLOW_BENCH")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(cache, "flow", "bench")
	}
	path, err := exec.LookPath(filepath.Join(dir, "bin", name))
	if err != nil {
		return ""
	}
	return path
}

// each returns the commands of those that are installed, and the floor.
func (d *data) each(floor command, tools map[string]command) []command {
	var cs []command
	for _, tool := range []string{"flow", "git", "dvc"} {
		if c, ok := tools[tool]; ok && len(c.args) > 0 && c.args[0] != "" {
			c.dir = d.dir(tool)
			cs = append(cs, c)
		}
	}
	return append(cs, floor)
}

// first is the first version of the data set.
func (d *data) first() []command {
	fresh := func(tool string, names []string, init ...string) func() (string, error) {
		return func() (string, error) {
			err := d.aside(tool, names...)
			if err == nil && len(init) > 0 {
				_, err = output(d.dir(tool), init...)
			}
			return d.dir(tool), err
		}
	}
	return d.each(d.floor("read and hash", "read"), map[string]command{
		"flow": {name: "flow apply", args: []string{d.flow, "apply", "--yes"}, reset: fresh("flow", []string{".flow", "flow.lock"})},
		"git":  {name: "git add", args: []string{d.git, "add", "data"}, reset: fresh("git", []string{".git"}, d.git, "init", "-q")},
		"dvc":  {name: "dvc add", args: d.byDVC("add", "-q", "data"), reset: fresh("dvc", []string{".dvc", "data.dvc"}, d.byDVC("init", "-q", "--no-scm")...)},
	})
}

// noop asks what has changed when nothing has.
func (d *data) noop() []command {
	return d.each(d.floor("stat walk", "stat"), map[string]command{
		"flow": {name: "flow plan", args: []string{d.flow, "plan"}},
		"git":  {name: "git status", args: []string{d.git, "status", "--porcelain", "-uno"}},
		"dvc":  {name: "dvc status", args: d.byDVC("status", "-q")},
	})
}

// change takes in one changed file.
func (d *data) change() []command {
	change := func(tool string) func() (string, error) {
		return func() (string, error) {
			d.round++
			name := filepath.Join(d.dir(tool), "data/d0000/file-000000.bin")
			return d.dir(tool), os.WriteFile(name, fmt.Append(nil, "change ", d.round), 0o644)
		}
	}
	return d.each(d.floor("stat walk", "stat"), map[string]command{
		"flow": {name: "flow apply", args: []string{d.flow, "apply", "--yes"}, reset: change("flow")},
		"git":  {name: "git add", args: []string{d.git, "add", "data"}, reset: change("git")},
		"dvc":  {name: "dvc add", args: d.byDVC("add", "-q", "data"), reset: change("dvc")},
	})
}

// checkout lays out the data set where it is not.
func (d *data) checkout() []command {
	gone := func(tool string) func() (string, error) {
		return func() (string, error) { return d.dir(tool), d.aside(tool, "data") }
	}
	link := command{name: "cp -al", dir: d.dir("floor"), args: []string{"cp", "-al", "data", "copy"}}
	link.reset = func() (string, error) { return d.dir("floor"), d.aside("floor", "copy") }
	// What a copy cannot cost less than.
	write := d.floor("make and write", "write")
	write.reset = func() (string, error) { return d.dir("floor"), d.aside("floor", "data.written") }
	cs := d.each(link, map[string]command{
		"flow": {name: "flow checkout", args: []string{d.flow, "checkout"}, reset: gone("flow")},
		"git":  {name: "git checkout", args: []string{d.git, "checkout", "-q", "--", "data"}, reset: gone("git")},
		"dvc":  {name: "dvc checkout", args: d.byDVC("checkout", "-q"), reset: gone("dvc")},
	})
	return slices.Insert(cs, len(cs)-1, write)
}

// largeFile hashes one large file that is in the page cache, and keeps a version
// of it.
func largeFile(tmp, flow string, size int64) ([]command, error) {
	dir := filepath.Join(tmp, "large")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{2}), size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "pipeline.hcl"), []byte("dataset \"data\" { path = \"data\" }\n"), 0o644)
	}
	if err != nil {
		return nil, err
	}
	fresh := func() (string, error) {
		if err := os.RemoveAll(filepath.Join(dir, "flow.lock")); err != nil {
			return "", err
		}
		return dir, os.RemoveAll(filepath.Join(dir, ".flow"))
	}
	cs := []command{
		{name: "flow apply", dir: dir, args: []string{flow, "apply", "--yes"}, reset: fresh},
		{name: "flow plan", dir: dir, args: []string{flow, "plan"}, reset: fresh},
	}
	for _, tool := range []string{"sha256sum", "b3sum"} {
		path := peer(tool)
		if path == "" {
			path, err = exec.LookPath(tool)
		}
		if err == nil {
			cs = append(cs, command{name: tool, dir: dir, args: []string{path, "data"}})
		}
	}
	return cs, nil
}

// floor does what cannot be done without, by two goroutines: names and stats of
// all files, or reading and hashing them too, or making as many others.
func floor(what, root string) error {
	dirs, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	names := make(chan string, len(dirs))
	for _, d := range dirs {
		names <- filepath.Join(root, d.Name())
	}
	close(names)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() {
			for dir := range names {
				if errs[i] = floorDir(what, dir); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func floorDir(what, dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	each := func(name string) error { // "stat"
		info, err := os.Lstat(name)
		if err == nil && info.IsDir() {
			err = floorDir(what, name)
		}
		return err
	}
	switch what {
	case "read":
		each = func(name string) error {
			b, err := os.ReadFile(name)
			_ = blake3.Sum256(b)
			return err
		}
	case "write":
		to := filepath.Join("data.written", filepath.Base(dir))
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		content := make([]byte, 1024)
		each = func(name string) error {
			return os.WriteFile(filepath.Join(to, filepath.Base(name)), content, 0o644)
		}
	}
	for _, name := range names {
		if err := each(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
