// Training is the part of make bench that trains with flow's own code; torch.py
// beside it does the same with PyTorch. Both print, on their last line, the wall
// and CPU time in milliseconds of what was asked for: a step, the median of many,
// or all of a training until the test set is predicted well enough.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/flow-pipelines/flow/stages/image"
	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

func main() {
	network := flag.String("network", "mlp", "mlp, cnn, mlp-dropout or cnn-dropout")
	threads := flag.Int("threads", 1, "threads")
	steps := flag.Int("steps", 40, "steps to time")
	mnist := flag.String("mnist", "", "directory with the IDX files of MNIST: train until -accuracy instead")
	accuracy := flag.Float64("accuracy", 0.96, "share of the test set")
	flag.Parse()
	var err error
	if *mnist == "" {
		err = timeSteps(*network, *threads, *steps)
	} else {
		err = trainUntil(*network, *threads, *mnist, *accuracy)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// layers are 784-256-10, convolutions of 3×3 with 16 and 32 filters, or those of
// better and slower networks with dropout.
func layers(network string) []nn.Layer {
	answer := nn.Dense{Units: 10, Activation: nn.Identity}
	switch network {
	case "mlp":
		return []nn.Layer{nn.Dense{Units: 256, Activation: nn.ReLU}, answer}
	case "mlp-dropout":
		return []nn.Layer{nn.Dense{Units: 512, Activation: nn.ReLU, Dropout: 0.3}, answer}
	}
	conv := func(filters int) nn.Layer {
		return nn.Convolution{Filters: filters, Size: 3, Stride: 1, Same: true, Activation: nn.ReLU}
	}
	layers := []nn.Layer{conv(16), nn.Pool{Size: 2}, conv(32), nn.Pool{Size: 2}}
	if network == "cnn-dropout" {
		layers = append(layers, nn.Dropout{Rate: 0.4}, nn.Dense{Units: 128, Activation: nn.ReLU, Dropout: 0.4})
	}
	return append(layers, answer)
}

func trainer(network string, threads, batch int) (*nn.Trainer, error) {
	return nn.NewTrainer(nn.Options{
		Network: nn.Network{Input: nn.Shape{Height: 28, Width: 28, Channels: 1}, Layers: layers(network)},
		Loss:    nn.SoftmaxCrossEntropy, Optimizer: nn.Optimizer{Method: nn.Adam, LearningRate: 1e-3},
		BatchSize: batch, Seed: 1, Threads: threads,
	})
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
	t, err := trainer(network, threads, batch)
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

func report(wall, cpu time.Duration) {
	fmt.Printf("%.3f %.3f\n", float64(wall.Microseconds())/1000, float64(cpu.Microseconds())/1000)
}

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

func trainUntil(network string, threads int, dir string, accuracy float64) error {
	e, err := read(dir, "train")
	if err != nil {
		return err
	}
	test, err := read(dir, "t10k")
	if err != nil {
		return err
	}
	start, used := time.Now(), cpuTime()
	t, err := trainer(network, threads, 64)
	if err != nil {
		return err
	}
	for epoch := 1; epoch <= 50; epoch++ {
		if _, err := t.Epoch(context.Background(), e); err != nil {
			return err
		}
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
		share := float64(right) / float64(out.Rows)
		fmt.Fprintf(os.Stderr, "epoch %d: %.4f\n", epoch, share)
		if share >= accuracy {
			report(time.Since(start), cpuTime()-used)
			return nil
		}
	}
	return fmt.Errorf("%s did not reach %v", network, accuracy)
}
