package config

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
)

type (
	stageType  struct{}
	variable   struct{}
	local      struct{}
	block      struct{}
	output     struct{}
	functions  struct{}
	evaluation struct{}
)

// Load reads the project.
func Load(opts Options) (*Pipeline, hcl.Diagnostics) { panic("BUG: not there yet") }

// Stages returns all instances, dependencies first, in an order that depends
// on the files alone.
func (p *Pipeline) Stages(r Results) ([]*Stage, hcl.Diagnostics) { panic("BUG: not there yet") }

// Resolve returns one instance. It costs what evaluating that instance costs.
func (p *Pipeline) Resolve(a addr.Address, r Results) (*Stage, hcl.Diagnostics) {
	panic("BUG: not there yet")
}

// Outputs evaluates the output blocks, sorted by name.
func (p *Pipeline) Outputs(r Results) ([]Output, hcl.Diagnostics) { panic("BUG: not there yet") }

// ArgRange returns the place of an argument, or the nearest enclosing thing.
func (p *Pipeline) ArgRange(a addr.Address, path string) hcl.Range { panic("BUG: not there yet") }

// Diagnose turns what a stage type complained about into diagnostics.
func (p *Pipeline) Diagnose(a addr.Address, err error) hcl.Diagnostics { panic("BUG: not there yet") }

// Format returns src in canonical layout.
func Format(src []byte, filename string) ([]byte, hcl.Diagnostics) { panic("BUG: not there yet") }
