// Training is the part of make bench that trains with flow's own code; pytorch.py
// and tables.py beside it do the same with PyTorch, LightGBM and scikit-learn. All of
// them print, on their last line, the wall and CPU time in milliseconds of the
// training alone, and then, as NAME=VALUE, how good the model is on rows that it has
// not seen.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flow-pipelines/flow/stages/image"
	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

func main() {
	work := flag.String("work", "steps", "steps, mnist, trees, linear, logistic or text")
	network := flag.String("network", "mlp", "mlp or cnn, for steps and mnist")
	data := flag.String("data", "", "file to train on, for mnist the directory of its IDX files")
	threads := flag.Int("threads", 1, "threads")
	steps := flag.Int("steps", 40, "steps to time")
	balanced := flag.Bool("balanced", false, "for text: give all classes the same weight")
	flag.Parse()
	var err error
	switch *work {
	case "steps":
		err = timeSteps(*network, *threads, *steps)
	case "mnist":
		err = trainMNIST(*network, *threads, *data)
	case "trees":
		err = trainTrees(*threads, *data)
	case "linear":
		err = trainLinear(*threads, *data)
	case "logistic":
		err = trainLogistic(*threads, *data)
	case "text":
		err = trainText(*threads, *data, *balanced)
	default:
		err = fmt.Errorf("there is no work %q", *work)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// layers are 784-256-10, or convolutions of 3×3 with 16 and 32 filters.
func layers(network string) []nn.Layer {
	if network == "mlp" {
		return []nn.Layer{dense(256, 0), answer}
	}
	return []nn.Layer{conv(16), nn.Pool{Size: 2}, conv(32), nn.Pool{Size: 2}, answer}
}

var answer = nn.Dense{Units: 10, Activation: nn.Identity}

func dense(units int, dropout float64) nn.Layer {
	return nn.Dense{Units: units, Activation: nn.ReLU, Dropout: dropout}
}

func conv(filters int) nn.Layer {
	return nn.Convolution{Filters: filters, Size: 3, Stride: 1, Same: true, Activation: nn.ReLU}
}

func trainer(layers []nn.Layer, o nn.Options) (*nn.Trainer, error) {
	o.Network = nn.Network{Input: nn.Shape{Height: 28, Width: 28, Channels: 1}, Layers: layers}
	o.Loss, o.Seed = nn.SoftmaxCrossEntropy, 1
	return nn.NewTrainer(o)
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// timeSteps times epochs of eight steps, which is what a trainer does at least.
func timeSteps(network string, threads, steps int) error {
	const batch, each = 128, 8
	t, err := trainer(layers(network), nn.Options{Optimizer: nn.Optimizer{Method: nn.Adam, LearningRate: 1e-3}, BatchSize: batch, Threads: threads})
	if err != nil {
		return err
	}
	s := philox.New(1, 0, 0)
	e := nn.Examples{X: nn.NewMatrix(batch*each, 784), Y: nn.NewMatrix(batch*each, 1)}
	for i := range e.X.Data {
		e.X.Data[i] = s.Float32()
	}
	for i := range e.Y.Data {
		e.Y.Data[i] = float32(i % 10)
	}
	var wall, cpu []time.Duration
	for i := 0; i <= steps; i += each {
		start, used := time.Now(), cpuTime()
		if _, err := t.Epoch(context.Background(), e); err != nil {
			return err
		}
		if i > 0 {
			wall, cpu = append(wall, time.Since(start)/each), append(cpu, (cpuTime()-used)/each)
		}
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	report(wall[len(wall)/2], cpu[len(cpu)/2])
	return nil
}

// report prints the times of a training and what it came to.
func report(wall, cpu time.Duration, results ...string) {
	times := fmt.Sprintf("%.3f %.3f", float64(wall.Microseconds())/1000, float64(cpu.Microseconds())/1000)
	fmt.Println(strings.Join(append([]string{times}, results...), " "))
}

func result(name string, value float64) string { return fmt.Sprintf("%s=%.4f", name, value) }

// stopwatch takes the time of a training, which may have several parts.
type stopwatch struct {
	wall, cpu time.Duration
	start     time.Time
	used      time.Duration
}

func (s *stopwatch) run()  { s.start, s.used = time.Now(), cpuTime() }
func (s *stopwatch) halt() { s.wall, s.cpu = s.wall+time.Since(s.start), s.cpu+cpuTime()-s.used }

// read reads images, scaled to 0…1, and labels.
func read(dir, part string) (nn.Examples, error) {
	var files [2]*image.IDX
	for i, name := range []string{part + "-images-idx3-ubyte.gz", part + "-labels-idx1-ubyte.gz"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nn.Examples{}, err
		}
		files[i], err = image.ReadIDX(f)
		if err != nil {
			return nn.Examples{}, fmt.Errorf("%s: %w", name, err)
		}
		if err := f.Close(); err != nil {
			return nn.Examples{}, err
		}
	}
	rows := files[0].Dims[0]
	e := nn.Examples{X: nn.NewMatrix(rows, len(files[0].Data)/rows), Y: nn.NewMatrix(rows, 1)}
	for i, v := range files[0].Data {
		e.X.Data[i] = float32(v) / 255
	}
	for i, v := range files[1].Data {
		e.Y.Data[i] = float32(v)
	}
	return e, nil
}

// trainMNIST trains a network with the settings that did best on a fifth of the
// training images (see docs/performance.md), and measures it on the test set once,
// at the end.
func trainMNIST(network string, threads int, dir string) error {
	e, err := read(dir, "train")
	if err != nil {
		return err
	}
	test, err := read(dir, "t10k")
	if err != nil {
		return err
	}
	epochs, o := 30, nn.Options{Optimizer: nn.Optimizer{Method: nn.Adam, LearningRate: 2e-3}, BatchSize: 64, Threads: threads}
	stack := []nn.Layer{dense(512, 0.3), dense(256, 0.3), answer}
	if network == "cnn" {
		epochs, o.Augment = 20, nn.Augment{Shift: 2}
		stack = []nn.Layer{conv(16), nn.Pool{Size: 2}, conv(32), nn.Pool{Size: 2}, nn.Dropout{Rate: 0.4}, dense(128, 0.4), answer}
	}
	o.Schedule = nn.Schedule{Warmup: 1, Cosine: epochs}
	var s stopwatch
	s.run()
	t, err := trainer(stack, o)
	if err != nil {
		return err
	}
	for range epochs {
		if _, err := t.Epoch(context.Background(), e); err != nil {
			return err
		}
	}
	s.halt()
	out, err := t.Outputs(test.X)
	if err != nil {
		return err
	}
	right := 0
	for i := range out.Rows {
		row := out.Row(i)
		if slices.Index(row, slices.Max(row)) == int(test.Y.Data[i]) {
			right++
		}
	}
	report(s.wall, s.cpu, result("accuracy", float64(right)/float64(out.Rows)))
	return nil
}
