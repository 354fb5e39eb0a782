package nn

import (
	"math"
	"testing"
)

func TestSchedulesHaveTheValuesOfTheirFormulas(t *testing.T) {
	for name, row := range map[string]struct {
		s        Schedule
		epoch, i int
		want     float64
	}{
		"constant":           {Schedule{}, 9, 3, 1},
		"warm-up, first":     {Schedule{Warmup: 2}, 1, 0, 0.125},
		"warm-up, middle":    {Schedule{Warmup: 2}, 2, 1, 0.75},
		"warm-up, over":      {Schedule{Warmup: 2}, 3, 0, 1},
		"step, before":       {Schedule{Every: 3, Factor: 0.5}, 3, 3, 1},
		"step, once":         {Schedule{Every: 3, Factor: 0.5}, 4, 0, 0.5},
		"step, twice":        {Schedule{Every: 3, Factor: 0.5}, 7, 0, 0.25},
		"cosine, start":      {Schedule{Cosine: 4}, 1, 0, 1},
		"cosine, quarter":    {Schedule{Cosine: 4}, 2, 0, (1 + math.Sqrt2/2) / 2},
		"cosine, half":       {Schedule{Cosine: 4, Minimum: 0.1}, 3, 0, 0.55},
		"cosine, end":        {Schedule{Cosine: 4, Minimum: 0.1}, 5, 0, 0.1},
		"cosine, after":      {Schedule{Cosine: 4, Minimum: 0.1}, 9, 2, 0.1},
		"cosine and warm-up": {Schedule{Cosine: 4, Warmup: 2}, 1, 0, 0.125},
	} {
		if got := row.s.share(row.epoch, row.i, 4); math.Abs(got-row.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}

func TestClippingLimitsGradients(t *testing.T) {
	p := []Parameter{{Name: "0.weight", Matrix: Matrix{1, 2, []float32{0, 0}}}, {Name: "0.bias", Matrix: Matrix{1, 1, []float32{0}}}}
	step := func(c Clip) []float32 {
		o := newOptimizer(Optimizer{Method: SGD, LearningRate: 1}, c, p)
		o.gradients = [][]float32{{3, -0.5}, {4}}
		o.limit(0, len(o.blocks))
		o.begin(1, o.shorten())
		for i := range p {
			clear(p[i].Data)
		}
		o.update(0, len(o.blocks))
		return []float32{p[0].Data[0], p[0].Data[1], p[1].Data[0]}
	}
	if got := step(Clip{Value: 1}); got[0] != -1 || got[1] != 0.5 || got[2] != -1 {
		t.Errorf("step with values up to 1 is %v", got)
	}
	got := step(Clip{Norm: 1})
	if length := math.Sqrt(float64(got[0]*got[0] + got[1]*got[1] + got[2]*got[2])); math.Abs(length-1) > 1e-6 {
		t.Errorf("step with norm 1 is %v of length %v", got, length)
	}
	if got := step(Clip{Norm: 100}); got[0] != -3 {
		t.Errorf("a short gradient became %v", got)
	}
}
