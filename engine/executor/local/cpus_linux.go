package local

import (
	"math"
	"sync"

	"golang.org/x/sys/unix"
)

// cpus gives tasks CPUs of their own: a task that asked for two of sixteen
// neither disturbs the others by sixteen threads nor starts sixteen, since
// programs and their libraries make as many as they may use.
type cpus struct {
	once sync.Once
	all  cpuSet // that this process may use

	mu    sync.Mutex
	tasks map[int]int // by CPU
}

// cpuSet is the numbers of CPUs; nil is all of them.
type cpuSet []int

// take chooses the CPUs with the fewest tasks. One that wants none in
// particular, or as many as there are, gets nil.
func (c *cpus) take(want float64) cpuSet {
	c.once.Do(c.look)
	n := int(math.Ceil(want))
	if n < 1 || n >= len(c.all) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	set := make(cpuSet, 0, n)
	for range n {
		best := -1
		for _, cpu := range c.all {
			if !set.has(cpu) && (best < 0 || c.tasks[cpu] < c.tasks[best]) {
				best = cpu
			}
		}
		set = append(set, best)
	}
	for _, cpu := range set {
		c.tasks[cpu]++
	}
	return set
}

func (c *cpus) look() {
	c.tasks = map[int]int{}
	var mask unix.CPUSet
	if unix.SchedGetaffinity(0, &mask) != nil {
		return
	}
	for cpu := range len(mask) * 64 {
		if mask.IsSet(cpu) {
			c.all = append(c.all, cpu)
		}
	}
}

func (c *cpus) give(set cpuSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cpu := range set {
		c.tasks[cpu]--
	}
}

func (s cpuSet) has(cpu int) bool {
	for _, c := range s {
		if c == cpu {
			return true
		}
	}
	return false
}

// enter puts the calling thread, which the goroutine is locked to, on the CPUs;
// leave puts it back.
func (c *cpus) enter(s cpuSet) (leave func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	if err := unix.SchedSetaffinity(0, s.mask()); err != nil {
		return nil, err
	}
	return func() { _ = unix.SchedSetaffinity(0, c.all.mask()) }, nil
}

func (s cpuSet) mask() *unix.CPUSet {
	var m unix.CPUSet
	for _, cpu := range s {
		m.Set(cpu)
	}
	return &m
}
