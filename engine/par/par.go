// Package par does many small things on all cores. It is for what computes; what
// waits for disks and networks wants more goroutines than there are cores.
package par

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Each calls do once for each number below n, from as many goroutines as there
// are cores, and returns when all calls have. In which order they come is left to
// the moment, so do writes what it finds under its number.
func Each(n int, do func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
