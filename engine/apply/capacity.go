package apply

import "github.com/flow-pipelines/flow/engine/config"

// capacity is what is free of the machine.
type capacity struct {
	jobs   int
	cpus   float64
	memory int64
}

// take claims what a stage asks for, and reports whether there was enough. A
// stage that asks for more than the whole machine has runs alone: better slow
// than never.
func (c *capacity) take(r config.Resources, alone bool) bool {
	if c.jobs < 1 {
		return false
	}
	if !alone && (r.CPUs > c.cpus || r.Memory > c.memory) {
		return false
	}
	c.jobs--
	c.cpus -= r.CPUs
	c.memory -= r.Memory
	return true
}

func (c *capacity) give(r config.Resources) {
	c.jobs++
	c.cpus += r.CPUs
	c.memory += r.Memory
}
