package schedule

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/plan"
)

// steps makes a plan of stages that take so many seconds; needs are positions.
type stageOf struct {
	seconds int
	needs   []int
	cpus    float64
	action  plan.Action
}

func steps(of ...stageOf) []*plan.Step {
	var all []*plan.Step
	for i, o := range of {
		a := addr.Address{Type: "exec", Name: "s", Key: addr.IntKey(i)}
		st := &config.Stage{Addr: a}
		st.Resources.CPUs = o.cpus
		for _, n := range o.needs {
			st.Deps = append(st.Deps, all[n].Addr)
		}
		if o.action == "" {
			o.action = plan.Run
		}
		all = append(all, &plan.Step{Addr: a, Stage: st, Action: o.action, Usual: time.Duration(o.seconds) * time.Second})
	}
	return all
}

func TestElapsedFollowsTheOrderOfApply(t *testing.T) {
	diamond := steps(stageOf{seconds: 1}, stageOf{seconds: 5, needs: []int{0}}, stageOf{seconds: 3, needs: []int{0}}, stageOf{seconds: 2, needs: []int{1, 2}})
	// The long chain is planned last and starts first all the same.
	chain := steps(stageOf{seconds: 2}, stageOf{seconds: 2}, stageOf{seconds: 2}, stageOf{seconds: 1}, stageOf{seconds: 5, needs: []int{3}})
	heavy := steps(stageOf{seconds: 4, cpus: 2}, stageOf{seconds: 4, cpus: 2}, stageOf{seconds: 1, cpus: 64})
	kept := steps(stageOf{seconds: 9, action: plan.Keep}, stageOf{seconds: 3, needs: []int{0}}, stageOf{seconds: 4, needs: []int{1}, action: plan.Defer}, stageOf{seconds: 9, action: plan.Blocked})
	for _, tt := range []struct {
		name  string
		steps []*plan.Step
		free  Capacity
		want  int
	}{
		{"diamond, one at once", diamond, Capacity{Jobs: 1, CPUs: 8}, 11},
		{"diamond, two at once", diamond, Capacity{Jobs: 2, CPUs: 8}, 8},
		{"chain, two at once", chain, Capacity{Jobs: 2, CPUs: 8}, 6},
		{"as many CPUs as two need", heavy, Capacity{Jobs: 9, CPUs: 4}, 5},
		{"as many CPUs as one needs", heavy, Capacity{Jobs: 9, CPUs: 3}, 9},
		{"what is kept takes no time", kept, Capacity{Jobs: 2, CPUs: 8}, 7},
		{"nothing", nil, Capacity{Jobs: 2}, 0},
		{"unknown times", steps(stageOf{}, stageOf{seconds: 2, needs: []int{0}}), Capacity{Jobs: 1}, 2},
	} {
		if got := Elapsed(tt.steps, tt.free); got != time.Duration(tt.want)*time.Second {
			t.Errorf("%s: got %v, want %ds", tt.name, got, tt.want)
		}
	}
}

// However a plan looks: one at a time takes the sum, without a limit it takes
// the critical path, and everything else lies between.
func TestElapsedLiesBetweenPathAndSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "n")
		of := make([]stageOf, n)
		var sum, path int
		longest := make([]int, n)
		for i := range of {
			of[i].seconds = rapid.IntRange(0, 9).Draw(t, "seconds")
			if i > 0 {
				of[i].needs = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, min(i, 3), rapid.ID[int]).Draw(t, "needs")
			}
			for _, d := range of[i].needs {
				longest[i] = max(longest[i], longest[d])
			}
			longest[i] += of[i].seconds
			sum, path = sum+of[i].seconds, max(path, longest[i])
		}
		all := steps(of...)
		seconds := func(jobs int) int { return int(Elapsed(all, Capacity{Jobs: jobs, CPUs: 1}) / time.Second) }
		jobs := rapid.IntRange(2, 5).Draw(t, "jobs")
		if got := seconds(1); got != sum {
			t.Fatalf("one at once: got %d, want %d", got, sum)
		}
		if got := seconds(n + 1); got != path {
			t.Fatalf("all at once: got %d, want %d", got, path)
		}
		if got := seconds(jobs); got < max(path, (sum+jobs-1)/jobs) || got > sum || got > path+sum/jobs {
			t.Fatalf("%d at once: got %d; the path is %d, the sum %d", jobs, got, path, sum)
		}
	})
}

// Licenses are never exceeded, also by a stage that would run alone; GPUs only by
// one that does.
func TestLicensesAndGPUs(t *testing.T) {
	c := Capacity{Jobs: 4, CPUs: 4, Memory: 1 << 30, GPUs: 1, Licenses: map[string]int{"matlab": 1}}
	licensed := config.Resources{Licenses: map[string]int{"matlab": 1}}
	if !c.Take(licensed, true) {
		t.Fatal("a free license is not given")
	}
	if c.Take(licensed, true) {
		t.Error("one license is given twice")
	}
	c.Give(licensed)
	if !c.Take(licensed, false) {
		t.Error("a license that was given back is not given")
	}
	two := config.Resources{GPUs: 2}
	if c.Take(two, false) || !c.Take(two, true) {
		t.Error("a stage that asks for more GPUs than there are runs alone")
	}
}
