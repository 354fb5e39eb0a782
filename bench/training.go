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

// trainings are steps of flow's trainer beside PyTorch's, on one thread and two,
// and, if FLOW_MNIST names a directory with the IDX files of MNIST, whole
// trainings until the test set is predicted well enough.
func trainings(tmp string) []opening {
	var groups []opening
	add := func(name string, args ...string) {
		groups = append(groups, opening{name, func() ([]command, error) { return training(tmp, args) }})
	}
	for _, network := range []string{"mlp", "cnn"} {
		for _, threads := range []string{"1", "2"} {
			add("training step, "+network+", threads "+threads, "-network", network, "-threads", threads)
		}
	}
	if mnist := os.Getenv("FLOW_MNIST"); mnist != "" {
		add("training to 96 %, mlp", "-network", "mlp-dropout", "-mnist", mnist, "-accuracy", "0.96")
		add("training to 98.3 %, cnn", "-network", "cnn-dropout", "-mnist", mnist, "-accuracy", "0.983")
	}
	return groups
}

// training is flow and PyTorch, where bench/training/setup.sh has been run.
func training(tmp string, args []string) ([]command, error) {
	program := filepath.Join(tmp, "training")
	if _, err := os.Stat(program); err != nil {
		if out, err := output(".", "go", "build", "-o", program, "./bench/training"); err != nil {
			return nil, fmt.Errorf("build bench/training: %w\n%s", err, out)
		}
	}
	commands := []command{{name: "flow", args: append([]string{program}, args...), reported: true}}
	python, err := torchPython()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(python); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "PyTorch is left out: run bench/training/setup.sh")
		return commands, nil
	}
	return append(commands, command{
		name: "PyTorch", args: append([]string{python, "bench/training/pytorch.py"}, args...), reported: true,
	}), nil
}

func torchPython() (string, error) {
	dir := os.Getenv("FLOW_TORCH")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "flow", "torch")
	}
	return filepath.Join(dir, "bin", "python"), nil
}

// reported reads the wall and CPU time that a program prints on its last line, in
// milliseconds: of the work alone, without its start.
func reported(out string) (wall, cpu time.Duration, err error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	fields := strings.Fields(last)
	var times [2]time.Duration
	if len(fields) != len(times) {
		return 0, 0, fmt.Errorf("it reports %q", last)
	}
	for i, f := range fields {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("it reports %q", last)
		}
		times[i] = time.Duration(v * float64(time.Millisecond))
	}
	return times[0], times[1], nil
}
