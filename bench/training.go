package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// trainings are trainings by flow's own code beside those of others: steps of a
// network, and whole trainings that say how good the model is. Those on data that
// the project does not hold take part if FLOW_MNIST names the directory of MNIST's
// IDX files, and FLOW_MODERATION the table of labelled tweets of Davidson et al.
func trainings(tmp string) []opening {
	var groups []opening
	add := func(name string, r rival, args ...string) {
		groups = append(groups, opening{name, func() ([]command, error) { return training(tmp, r, args) }})
	}
	for _, network := range []string{"mlp", "cnn"} {
		for _, threads := range []string{"1", "2"} {
			add("training step, "+network+", threads "+threads, pyTorch, "-work", "steps", "-network", network, "-threads", threads)
		}
	}
	for _, threads := range []string{"1", "2"} {
		add("trees, housing, threads "+threads, lightGBM, "-work", "trees", "-data", "examples/housing/data/housing.csv", "-threads", threads)
	}
	add("linear regression, housing", scikitLearn, "-work", "linear", "-data", "examples/housing/data/housing.csv")
	add("logistic regression, digits", scikitLearn, "-work", "logistic", "-data", "examples/digits/data/digits.csv.gz")
	if table := os.Getenv("FLOW_MODERATION"); table != "" {
		add("text, plain", scikitLearn, "-work", "text", "-data", table)
		add("text, balanced", scikitLearn, "-work", "text", "-data", table, "-balanced")
	}
	if mnist := os.Getenv("FLOW_MNIST"); mnist != "" {
		add("MNIST, mlp", pyTorch, "-work", "mnist", "-network", "mlp", "-data", mnist)
		add("MNIST, cnn", pyTorch, "-work", "mnist", "-network", "cnn", "-data", mnist)
	}
	return groups
}

// rival is a program that does what bench/training does.
type rival struct {
	name, script string
	// env is the variable that says where its Python is, and dir where it is else,
	// in the user's cache.
	env, dir string
}

var (
	pyTorch     = rival{"PyTorch", "pytorch.py", "FLOW_TORCH", "torch"}
	lightGBM    = rival{"LightGBM", "tables.py", "FLOW_RIVALS", "rivals"}
	scikitLearn = rival{"scikit-learn", "tables.py", "FLOW_RIVALS", "rivals"}
)

// training is flow and its rival, where bench/training/setup.sh has been run.
func training(tmp string, r rival, args []string) ([]command, error) {
	program := filepath.Join(tmp, "training")
	if _, err := os.Stat(program); err != nil {
		if out, err := output(".", "go", "build", "-o", program, "./bench/training"); err != nil {
			return nil, fmt.Errorf("build bench/training: %w\n%s", err, out)
		}
	}
	commands := []command{{name: "flow", args: append([]string{program}, args...), reported: true}}
	python, err := r.python()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(python); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, r.name+" is left out: run bench/training/setup.sh")
		return commands, nil
	}
	return append(commands, command{
		name: r.name, args: append([]string{python, filepath.Join("bench", "training", r.script)}, args...), reported: true,
	}), nil
}

func (r rival) python() (string, error) {
	dir := os.Getenv(r.env)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "flow", r.dir)
	}
	return filepath.Join(dir, "bin", "python"), nil
}

// reported reads the last line that a program prints: the wall and CPU time of the
// work alone, without its start, in milliseconds, and what it came to.
func reported(out string) (wall, cpu time.Duration, result string, err error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	fields := strings.Fields(last)
	var times [2]time.Duration
	if len(fields) < len(times) {
		return 0, 0, "", fmt.Errorf("it reports %q", last)
	}
	for i := range times {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return 0, 0, "", fmt.Errorf("it reports %q", last)
		}
		times[i] = time.Duration(v * float64(time.Millisecond))
	}
	return times[0], times[1], strings.Join(fields[len(times):], " "), nil
}
