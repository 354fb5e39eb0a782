package engine

import (
	"context"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/apply"
	"github.com/flow-pipelines/flow/engine/gpu"
	"github.com/flow-pipelines/flow/engine/plan"
)

// gpuPool finds the machine's GPUs if a stage that may run asks for any; else it
// is nil, since to ask the driver takes longer than to plan.
func (p *Project) gpuPool(pl *plan.Plan) (*gpu.Pool, error) {
	if p.gpus != nil || !asksForGPUs(pl) {
		return p.gpus, nil
	}
	m := gpu.Machine{Environ: p.opts.Environ, Sys: "/sys"}
	devices, err := m.Devices(context.Background())
	if err != nil {
		return nil, err
	}
	var dir string
	if len(devices) > 0 {
		if dir, err = gpu.Dir(p.opts.Environ); err != nil {
			return nil, err
		}
	}
	p.gpus = gpu.NewPool(m, devices, dir)
	return p.gpus, nil
}

func asksForGPUs(pl *plan.Plan) bool {
	for _, s := range pl.Steps {
		if s.Stage.Resources.GPUs > 0 && (s.Action == plan.Run || s.Action == plan.Defer) {
			return true
		}
	}
	return len(pl.Deferred) > 0
}

// gpuShortage lists the stages that will run and ask for GPUs which this machine
// does not have.
func (p *Project) gpuShortage(pl *plan.Plan, pool *gpu.Pool) (diags hcl.Diagnostics) {
	for _, s := range pl.Steps {
		r := s.Stage.Resources
		if r.GPUs == 0 || s.Action != plan.Run {
			continue
		}
		if shortage := pool.Shortage(r.GPUs, r.GPUMemory); shortage != "" {
			diags = append(diags, p.pipeline.Diagnose(s.Addr, apply.NoGPUs(s.Addr, r, shortage))...)
		}
	}
	return diags
}

// warnOfGPUs tells a planner what an apply on this machine will refuse: the
// plan may be for another one.
func (p *Project) warnOfGPUs(pl *plan.Plan) {
	pool, err := p.gpuPool(pl)
	if err != nil {
		p.warning("it is not known which GPUs there are: " + err.Error())
		return
	}
	for _, d := range p.gpuShortage(pl, pool) {
		p.warning(fmt.Sprintf("%s (%s:%d): %s", d.Summary, d.Subject.Filename, d.Subject.Start.Line, d.Detail))
	}
}
