// Bench times flow side by side with peers and floors and prints a table: the
// median wall and CPU time and peak memory of each command, and the ratio of its
// wall time to the floor's of its group. The commands of a group take turns within one run, so that a noisy
// machine disturbs all alike: trust the ratios.
//
//	go run ./bench [-runs 7] [-group NAME] [-files 100000] bin/flow
//
// What is not installed is left out and said so; bench/setup.sh installs DVC and
// b3sum.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	runs := flag.Int("runs", 7, "how often each command is timed")
	only := flag.String("group", "", "run the groups whose names contain this")
	large := flag.Bool("large", false, "run the largest groups too, which take minutes")
	parse := flag.String("parse", "", "for the bench itself: parse the *.hcl files of this directory")
	evaluates := flag.String("evaluate", "", "for the bench itself: parse and evaluate them")
	lay := flag.String("lay", "", "for the bench itself: make the project in this directory up to date")
	files := flag.Int("files", 100_000, "how many files of 1 KB the data set of some groups has")
	atFloor := flag.String("floor", "", "for the bench itself: stat or read the files of the directory that is named instead of FLOW, or write as many")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: bench [flags] FLOW")
		os.Exit(2)
	}
	flow, err := filepath.Abs(flag.Arg(0))
	switch {
	case err != nil:
	case *parse != "":
		err = withHCL(*parse, false)
	case *evaluates != "":
		err = withHCL(*evaluates, true)
	case *atFloor != "":
		err = floor(*atFloor, flag.Arg(0))
	case *lay != "":
		err = layResults(*lay, flow)
	default:
		err = bench(os.Stdout, flow, *runs, *only, *large, *files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// group is commands that do the same work.
type group struct {
	name string
	// commands: the first is flow, the last the floor that ratios refer to.
	commands []command
}

type command struct {
	name string
	dir  string
	args []string
	// reset makes the directory of the next timed run; nil is to use dir again.
	reset func() (dir string, err error)
	// reported says that the last line of its output has its times and what it came
	// to: see reported.
	reported bool
	// says is a text that its output holds, lest something else be timed.
	says   string
	result string
	wall   []time.Duration
	cpu    []time.Duration
	peak   []int64 // bytes of memory
}

// opening makes the commands of a group.
type opening struct {
	name string
	open func() ([]command, error)
}

func bench(out io.Writer, flow string, runs int, only string, large bool, files int) error {
	tmp, err := os.MkdirTemp("", "flow-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	groups := []opening{
		{"start-up", func() ([]command, error) { return startup(tmp, flow) }},
		{"no-op, 9 stages", func() ([]command, error) { return example(tmp, flow) }},
	}
	many, copied := []int{10_000}, []int{100, 1000}
	if large {
		many, copied = append(many, 100_000), append(copied, 10_000)
	}
	for _, n := range copied {
		groups = append(groups,
			opening{fmt.Sprintf("%d × cp", n), func() ([]command, error) { return stages(tmp, flow, n, false) }},
			opening{fmt.Sprintf("no-op, %d × cp", n), func() ([]command, error) { return stages(tmp, flow, n, true) }},
		)
	}
	for _, n := range []int{1000, 10_000} {
		groups = append(groups, opening{fmt.Sprintf("no-op, %d blocks", n), func() ([]command, error) { return idle(tmp, flow, n, blocks(n)) }})
	}
	for _, n := range many {
		groups = append(groups, opening{fmt.Sprintf("no-op, %d instances", n), func() ([]command, error) { return idle(tmp, flow, n, instances(n)) }})
	}
	groups = append(groups, dataSets(tmp, flow, files)...)
	size := int64(1 << 30)
	if large {
		size = 4 << 30
	}
	groups = append(groups, opening{fmt.Sprintf("one file of %d MB", size>>20), func() ([]command, error) { return largeFile(tmp, flow, size) }})
	groups = append(groups, trainings(tmp)...)
	// Of a process that needs less memory than this one, no more than that is
	// known: it counts what it was started from.
	null := command{dir: tmp, args: []string{"true"}}
	if err := null.run(true); err != nil {
		return err
	}
	least := null.peak[0] * 11 / 10
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "group\tcommand\twall ms\tCPU ms\tpeak MB\tresult\t× floor\t")
	for _, o := range groups {
		if only != "" && !strings.Contains(o.name, only) {
			continue
		}
		g := &group{name: o.name}
		if g.commands, err = o.open(); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		if err := g.time(runs); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		g.print(w, least)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) time(runs int) error {
	for i := range runs + 1 { // the first is a warm-up
		for j := range g.commands {
			c := &g.commands[j]
			if i == 0 && c.reported { // what it reports is without its start
				continue
			}
			if c.reset != nil {
				var err error
				if c.dir, err = c.reset(); err != nil {
					return err
				}
			}
			if err := c.run(i > 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// run runs the command once, and keeps what it cost if that counts.
func (c *command) run(counts bool) error {
	x := exec.Command(c.args[0], c.args[1:]...)
	x.Dir = c.dir
	var out bytes.Buffer
	x.Stdout, x.Stderr = &out, &out
	start := time.Now()
	if err := x.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", c.args, err, out.String())
	}
	wall := time.Since(start)
	if !strings.Contains(out.String(), c.says) {
		return fmt.Errorf("%v does not say %q:\n%s", c.args, c.says, out.String())
	}
	cpu := x.ProcessState.UserTime() + x.ProcessState.SystemTime()
	if c.reported {
		var err error
		if wall, cpu, c.result, err = reported(out.String()); err != nil {
			return fmt.Errorf("%v: %w", c.args, err)
		}
	}
	if counts {
		c.wall, c.cpu = append(c.wall, wall), append(c.cpu, cpu)
		c.peak = append(c.peak, peakOf(x.ProcessState))
	}
	return nil
}

func (g *group) print(w io.Writer, least int64) {
	floor := median(g.commands[len(g.commands)-1].wall)
	for _, c := range g.commands {
		peak := fmt.Sprintf("%.0f", float64(median(c.peak))/1e6)
		if median(c.peak) <= least {
			peak = fmt.Sprintf("< %.0f", float64(least)/1e6)
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%s\t%s\t%.2f\t\n", g.name, c.name, ms(median(c.wall)), ms(median(c.cpu)), peak, c.result, float64(median(c.wall))/float64(floor))
	}
}

func median[T cmp.Ordered](ds []T) T {
	s := slices.Sorted(slices.Values(ds))
	return s[len(s)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// startup is what each command pays before it does anything.
func startup(tmp, flow string) ([]command, error) {
	commands := []command{{name: "flow version", dir: tmp, args: []string{flow, "version"}}}
	if git, err := exec.LookPath("git"); err == nil {
		commands = append(commands, command{name: "git version", dir: tmp, args: []string{git, "version"}})
	}
	return commands, nil
}

// example is a plan with nothing to do, of a real pipeline.
func example(tmp, flow string) ([]command, error) {
	dir := filepath.Join(tmp, "example")
	if err := os.CopyFS(dir, os.DirFS("examples/breast-cancer")); err != nil {
		return nil, err
	}
	if out, err := output(dir, flow, "apply", "--yes"); err != nil {
		return nil, fmt.Errorf("apply the example: %w\n%s", err, out)
	}
	return []command{
		{name: "flow plan", dir: dir, args: []string{flow, "plan"}},
		{name: "flow apply", dir: dir, args: []string{flow, "apply", "--yes"}},
		{name: "flow version", dir: dir, args: []string{flow, "version"}},
	}, nil
}

func output(dir string, args ...string) ([]byte, error) {
	c := exec.Command(args[0], args[1:]...)
	c.Dir = dir
	return c.CombinedOutput()
}

// stages copies one small file n times, by n separate stages: with nothing to
// do, or from nothing.
func stages(tmp, flow string, n int, noop bool) ([]command, error) {
	var commands []command
	tools := []struct{ tool, file, text string }{
		{"flow", "pipeline.hcl", flowStages(n)},
		{"ninja", "build.ninja", ninjaStages(n)},
		{"make", "Makefile", makeStages(n)},
	}
	for _, t := range tools {
		path := flow
		if t.tool != "flow" {
			var err error
			if path, err = exec.LookPath(t.tool); err != nil {
				fmt.Fprintf(os.Stderr, "%s is not installed and left out\n", t.tool)
				continue
			}
		}
		// Nothing is deleted between runs: ext4 makes files several times
		// slower just after many were deleted.
		fresh := func() (string, error) {
			dir, err := os.MkdirTemp(tmp, t.tool+"-")
			if err != nil {
				return "", err
			}
			if err := os.Mkdir(filepath.Join(dir, "o"), 0o755); err != nil {
				return "", err
			}
			if err := os.WriteFile(filepath.Join(dir, "in.txt"), []byte("content\n"), 0o644); err != nil {
				return "", err
			}
			return dir, os.WriteFile(filepath.Join(dir, t.file), []byte(t.text), 0o644)
		}
		args := map[string][]string{
			"flow":  {path, "apply", "--yes", "--jobs", "2", "--progress", "quiet"},
			"ninja": {path, "-j2", "--quiet"},
			"make":  {path, "-j2", "-s"},
		}[t.tool]
		c := command{name: t.tool, args: args, reset: fresh}
		if noop {
			var err error
			if c.dir, err = fresh(); err != nil {
				return nil, err
			}
			if out, err := output(c.dir, args...); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", t.tool, err, out)
			}
			c.reset = nil
		}
		commands = append(commands, c)
	}
	return commands, nil
}

func flowStages(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "exec \"s%d\" {\n  command = [\"cp\", \"in.txt\", \"o/%d.txt\"]\n  inputs  = [\"in.txt\"]\n  outputs = { o = \"o/%d.txt\" }\n}\n", i, i, i)
	}
	return b.String()
}

func ninjaStages(n int) string {
	var b strings.Builder
	b.WriteString("rule cp\n  command = cp $in $out\n")
	for i := range n {
		fmt.Fprintf(&b, "build o/%d.txt: cp in.txt\n", i)
	}
	return b.String()
}

func makeStages(n int) string {
	var b strings.Builder
	b.WriteString("all:")
	for i := range n {
		fmt.Fprintf(&b, " o/%d.txt", i)
	}
	b.WriteString("\n")
	for i := range n {
		fmt.Fprintf(&b, "o/%d.txt: in.txt\n\tcp in.txt o/%d.txt\n", i, i)
	}
	return b.String()
}
