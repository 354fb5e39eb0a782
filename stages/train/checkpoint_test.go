package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// fittingOf is a training of some epochs on random rows of two classes.
func fittingOf(t *testing.T, dir string, epochs int, change func(*Config)) (*fitting, *bytes.Buffer) {
	t.Helper()
	c := &Config{Epochs: epochs, BatchSize: 16, Seed: 4, Model: Model{MLP: &MLP{Hidden: []int{8}, Activation: "relu", Dropout: 0.2}}}
	c.EarlyStopping = &EarlyStopping{Metric: "loss", Patience: 50}
	c.Schedule.Plateau = &Plateau{Patience: 2, Factor: 0.5}
	change(c)
	rows := func(n int, index uint32) (x, y nn.Matrix, truth []int) {
		s := philox.New(6, 0, index)
		x, y = nn.NewMatrix(n, 3), nn.NewMatrix(n, 1)
		for i := range n {
			for j := range 3 {
				x.Row(i)[j] = s.Float32() - 0.5
			}
			if x.Row(i)[0]*x.Row(i)[1] > s.Float32()/10 {
				y.Data[i] = 1
			}
			truth = append(truth, int(y.Data[i]))
		}
		return x, y, truth
	}
	x, y, _ := rows(90, 0)
	vx, vy, truth := rows(40, 1)
	network, err := c.network(3, 2)
	if err != nil {
		t.Fatal(err)
	}
	trainer, err := nn.NewTrainer(nn.Options{
		Network: network, Loss: nn.SoftmaxCrossEntropy, Optimizer: nn.Optimizer{Method: nn.Adam, LearningRate: 0.03},
		Schedule: c.schedule(), BatchSize: c.BatchSize, Seed: uint64(c.Seed),
	})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	return &fitting{
		config: c, trainer: trainer, checkpoint: dir, log: log, progress: func(stage.Progress) {},
		target:   &target{task: model.Classification, classes: []string{"a", "b"}, positive: metric.NoPositive},
		examples: nn.Examples{X: x, Y: y}, x: vx, validation: &scored{y: vy, truth: truth},
	}, log
}

func mustFit(t *testing.T, f *fitting) *fitted {
	t.Helper()
	out, err := f.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func asIs(*Config) {}

func same(t *testing.T, got, want *fitted) {
	t.Helper()
	if nn.Digest(got.parameters) != nn.Digest(want.parameters) || got.best != want.best || got.epochs != want.epochs {
		t.Errorf("%d epochs, the best %d, with parameters %s; want %d, %d and %s",
			got.epochs, got.best, nn.Digest(got.parameters), want.epochs, want.best, nn.Digest(want.parameters))
	}
}

// interrupt runs until some epochs are over and then is interrupted.
func interrupt(t *testing.T, f *fitting, epochs int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f.progress = func(p stage.Progress) {
		if p.Step == epochs {
			cancel()
		}
	}
	if _, err := f.run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
}

func TestAnInterruptedTrainingComesToTheSameBits(t *testing.T) {
	whole, _ := fittingOf(t, "", 14, asIs)
	want := mustFit(t, whole)
	dir := t.TempDir()
	for _, epochs := range []int64{3, 4, 9} {
		f, _ := fittingOf(t, dir, 14, asIs)
		interrupt(t, f, epochs)
	}
	last, log := fittingOf(t, dir, 14, asIs)
	same(t, mustFit(t, last), want)
	if !strings.Contains(log.String(), "going on after epoch 9") {
		t.Errorf("log %q does not tell of epoch 9", log)
	}
}

func TestMoreEpochsGoOnFromFewer(t *testing.T) {
	whole, _ := fittingOf(t, "", 20, asIs)
	want := mustFit(t, whole)
	dir := t.TempDir()
	ten, _ := fittingOf(t, dir, 10, asIs)
	mustFit(t, ten)
	twenty, log := fittingOf(t, dir, 20, asIs)
	same(t, mustFit(t, twenty), want)
	if !strings.Contains(log.String(), "going on after epoch 10") {
		t.Errorf("log %q does not tell of epoch 10", log)
	}
	again, _ := fittingOf(t, dir, 20, asIs) // nothing is left to do
	same(t, mustFit(t, again), want)
	fewer, log := fittingOf(t, dir, 10, asIs)
	first, _ := fittingOf(t, "", 10, asIs)
	same(t, mustFit(t, fewer), mustFit(t, first))
	if !strings.Contains(log.String(), "from nothing") {
		t.Errorf("log %q does not say that it starts from nothing", log)
	}
}

func TestATrainingThatHasStoppedEarlyDoesNotGoOn(t *testing.T) {
	soon := func(c *Config) { c.EarlyStopping.Patience = 2 }
	whole, _ := fittingOf(t, "", 40, soon)
	want := mustFit(t, whole)
	if want.epochs == 40 {
		t.Fatal("it did not stop early")
	}
	dir := t.TempDir()
	f, _ := fittingOf(t, dir, 40, soon)
	mustFit(t, f)
	more, _ := fittingOf(t, dir, 60, soon)
	same(t, mustFit(t, more), want)
}

func TestACheckpointOfAnotherTrainingIsLeftOut(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"seed":    func(c *Config) { c.Seed++ },
		"network": func(c *Config) { c.Model.MLP.Hidden = []int{9} },
		"cosine":  func(c *Config) { c.Schedule = Schedule{Cosine: &Cosine{}} }, // depends on epochs
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := asIs
			if name == "cosine" {
				first = change
			}
			f, _ := fittingOf(t, dir, 4, first)
			mustFit(t, f)
			other, log := fittingOf(t, dir, 6, change)
			whole, _ := fittingOf(t, "", 6, change)
			same(t, mustFit(t, other), mustFit(t, whole))
			if !strings.Contains(log.String(), "another training") {
				t.Errorf("log %q does not tell", log)
			}
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, checkpointFile), []byte("half a f"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, _ := fittingOf(t, dir, 3, asIs)
	whole, _ := fittingOf(t, "", 3, asIs)
	same(t, mustFit(t, f), mustFit(t, whole))
}
