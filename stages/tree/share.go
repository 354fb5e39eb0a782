package tree

import (
	"sync"
	"sync/atomic"
)

// share calls each of n tasks once, on up to threads goroutines, and waits. The
// tasks must not depend on each other: which goroutine takes which is left to
// the moment.
func share(threads, n int, task func(int)) {
	threads = min(threads, n)
	if threads <= 1 {
		for i := range n {
			task(i)
		}
		return
	}
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			task(i)
		}
	}
	var wg sync.WaitGroup
	for range threads - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}

// blockRows is the size of the pieces in which rows are shared. It is fixed, so
// that a sum of floats over the sums of blocks has one value.
const blockRows = 8192

// shareRows calls task for each block of n rows.
func shareRows(threads, n int, task func(block, from, to int)) {
	share(threads, blocks(n), func(b int) { task(b, b*blockRows, min(n, (b+1)*blockRows)) })
}

func blocks(n int) int { return (n + blockRows - 1) / blockRows }
