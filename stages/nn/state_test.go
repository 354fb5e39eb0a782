package nn_test

import (
	"errors"
	"testing"

	"github.com/flow-pipelines/flow/stages/nn"
)

func TestARestoredTrainingGoesOnWithTheSameBits(t *testing.T) {
	for name, c := range map[string]struct {
		options nn.Options
		rows    nn.Examples
	}{"adam": {mlp(), rings(217)}, "batch norm and nesterov": {cnn(), images(70)}} {
		t.Run(name, func(t *testing.T) {
			o := c.options
			o.Schedule = nn.Schedule{Warmup: 1.5, Every: 2, Factor: 0.5}
			o.Clip = nn.Clip{Norm: 1, Value: 0.2}
			whole := train(t, o, c.rows, 6)

			first := train(t, o, c.rows, 2)
			first.Slow(0.5)
			state := first.State()
			other := whole
			whole = train(t, o, c.rows, 2)
			whole.Slow(0.5)
			goOn(t, whole, c.rows, 4)

			// A trainer that has been elsewhere meanwhile.
			if err := other.Restore(state); err != nil {
				t.Fatal(err)
			}
			if other.Epochs() != 2 {
				t.Errorf("%d epochs are done, want 2", other.Epochs())
			}
			goOn(t, other, c.rows, 4)
			if got, want := nn.Digest(other.Parameters()), nn.Digest(whole.Parameters()); got != want {
				t.Errorf("digest %s after a restoration, %s without", got, want)
			}
		})
	}
}

func goOn(t *testing.T, trainer *nn.Trainer, e nn.Examples, epochs int) {
	t.Helper()
	for range epochs {
		if _, err := trainer.Epoch(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADamagedStateIsRefusedAndChangesNothing(t *testing.T) {
	e := rings(60)
	trainer := train(t, mlp(), e, 1)
	state, want := trainer.State(), nn.Digest(trainer.Parameters())
	for name, damaged := range map[string][]byte{
		"empty": nil, "other format": append([]byte("x"), state...), "short": state[:len(state)-5], "long": append(state[:len(state):len(state)], 0),
		"other network": train(t, cnn(), images(20), 1).State(),
	} {
		if err := trainer.Restore(damaged); !errors.Is(err, nn.ErrState) {
			t.Errorf("%s: error %v, want ErrState", name, err)
		}
		if nn.Digest(trainer.Parameters()) != want {
			t.Fatalf("%s: the parameters have changed", name)
		}
	}
}
