package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/gpu"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

// sampleEvery is how often it is recorded how the GPUs of a stage are used.
const sampleEvery = 5 * time.Second

// NoGPUs says what is wrong with a stage's demand on a machine that cannot
// meet it.
func NoGPUs(a addr.Address, r config.Resources, shortage string) *stage.Problem {
	return stage.Problemf("resources.gpus", fmt.Sprintf("There are not the GPUs that %s asks for", a),
		"It asks for %d, and %s. Run it on a machine that has them, or ask for less.", r.GPUs, shortage)
}

// withoutGPUs fails a stage that was to be restored, or to be left alone, and
// has to run on a machine where it cannot.
func (a *apply) withoutGPUs(step *plan.Step, r config.Resources) error {
	shortage := a.GPUs.Shortage(r.GPUs, r.GPUMemory)
	if shortage == "" {
		return failf("it was to be restored, and has to run after all, for which no GPUs were kept; run flow apply again")
	}
	return mistake(a.pipeline().Diagnose(step.Addr, NoGPUs(step.Addr, r, shortage)))
}

// devices are the variables by which a program finds its GPUs. One that asked
// for none sees none: it would take them from others, unknown to all.
func (j *job) devices() []string {
	if j.loan == nil {
		return gpu.Visible(nil)
	}
	return gpu.Visible(j.loan.Devices)
}

// borrowed describes the GPUs of a stage.
func borrowed(l *gpu.Loan) []event.GPU {
	if l == nil {
		return nil
	}
	all := make([]event.GPU, len(l.Devices))
	for i, d := range l.Devices {
		all[i] = event.GPU{Device: d.ID, Name: d.Name, Driver: d.Driver}
	}
	return all
}

// sample records how the job's GPUs are used, until stop is closed, which may
// take as long as one look does. done is closed then.
func (j *job) sample(ctx context.Context, stop <-chan struct{}) (done <-chan struct{}) {
	ended := make(chan struct{})
	if j.loan == nil {
		close(ended)
		return ended
	}
	go func() {
		defer close(ended)
		for {
			gpus := borrowed(j.loan)
			for i, u := range j.GPUs.Machine.Usage(ctx, j.loan.Devices) {
				gpus[i].Utilization, gpus[i].Memory, gpus[i].Power = u.Utilization, u.Memory, u.Power
			}
			j.emit(event.Event{Kind: event.Sample, Addr: j.step.Addr, GPUs: gpus})
			select {
			case <-stop:
				return
			case <-time.After(sampleEvery):
			}
		}
	}()
	return ended
}
