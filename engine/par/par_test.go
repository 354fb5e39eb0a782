package par_test

import (
	"testing"

	"github.com/flow-pipelines/flow/engine/par"
)

func TestEachNumberComesOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		times := make([]int, n)
		par.Each(n, func(i int) { times[i]++ })
		for i, got := range times {
			if got != 1 {
				t.Errorf("of %d numbers, %d came %d times", n, i, got)
			}
		}
	}
}
