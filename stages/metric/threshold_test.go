package metric_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/stages/metric"
)

// No threshold is better: all that tell the rows apart in another way are tried.
func TestAThresholdIsTheBestOfAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 30).Draw(t, "rows")
		positive := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "positive")
		steps := rapid.SampledFrom([]int{3, 10, 1 << 20}).Draw(t, "steps")
		score := make([]float64, n)
		for i := range score {
			score[i] = float64(float32(rapid.IntRange(0, steps).Draw(t, "score")) / float32(steps))
		}
		name := rapid.SampledFrom(metric.ThresholdNames()).Draw(t, "metric")
		value := func(at float64) float64 {
			truth, predicted := make([]int, n), make([]int, n)
			for i := range truth {
				if positive[i] {
					truth[i] = 1
				}
				if score[i] >= at {
					predicted[i] = 1
				}
			}
			return metric.Classification{Classes: []string{"no", "yes"}, Truth: truth, Predicted: predicted, Positive: 1}.Headline()[name]
		}
		got := metric.Threshold(name, positive, score)
		if !(got > 0 && got < 1) {
			t.Fatalf("threshold %v", got)
		}
		best := value(float64(got))
		for _, at := range append(score, 0.5) {
			for _, at := range []float32{float32(at), math.Nextafter32(float32(at), 2)} {
				if at > 0 && at < 1 && value(float64(at)) > best {
					t.Fatalf("threshold %v gives %v, %v gives %v", got, best, at, value(float64(at)))
				}
			}
		}
	})
}

func TestAThresholdIsHalfwayBetweenScores(t *testing.T) {
	for _, c := range []struct {
		positive []bool
		score    []float64
		want     float32
	}{
		{[]bool{true, false}, []float64{0.75, 0.25}, 0.5},
		{[]bool{true, true, false}, []float64{0.5, 0.25, 0.125}, 0.1875},
		// Equally good: none positive but the first, or all.
		{[]bool{true, false}, []float64{0.25, 0.25}, 0.125},
		// Neighbours in float32 have nothing between them.
		{[]bool{true, false}, []float64{0.25, float64(math.Nextafter32(0.25, 0))}, 0.25},
		{[]bool{true, false}, []float64{1, 0}, 0.5},
	} {
		if got := metric.Threshold("f1", c.positive, c.score); got != c.want {
			t.Errorf("%v of %v: threshold %v, want %v", c.score, c.positive, got, c.want)
		}
	}
}
