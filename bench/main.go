// Bench times flow side by side with peers and floors and prints a table: the
// median wall and CPU time of each command, and the ratio to the floor of its
// group. The commands of a group take turns within one run, so that a noisy
// machine disturbs all alike: trust the ratios.
//
//	go run ./bench [-runs 7] [-group NAME] bin/flow
//
// What is not installed (ninja, make, git) is left out and said so.
package main

import (
	"bytes"
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
	large := flag.Bool("large", false, "run the groups with 10,000 stages too, which take minutes")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: bench [flags] FLOW")
		os.Exit(2)
	}
	sizes := []int{100, 1000}
	if *large {
		sizes = append(sizes, 10_000)
	}
	flow, err := filepath.Abs(flag.Arg(0))
	if err == nil {
		err = bench(os.Stdout, flow, *runs, *only, sizes)
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
	wall  []time.Duration
	cpu   []time.Duration
}

func bench(out io.Writer, flow string, runs int, only string, sizes []int) error {
	tmp, err := os.MkdirTemp("", "flow-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var groups []func() (*group, error)
	groups = append(groups,
		func() (*group, error) { return startup(tmp, flow) },
		func() (*group, error) { return example(tmp, flow) },
	)
	for _, n := range sizes {
		groups = append(groups,
			func() (*group, error) { return stages(tmp, flow, n, false) },
			func() (*group, error) { return stages(tmp, flow, n, true) },
		)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "group\tcommand\twall ms\tCPU ms\t× floor\t")
	for _, open := range groups {
		g, err := open()
		if err != nil {
			return err
		}
		if only != "" && !strings.Contains(g.name, only) {
			continue
		}
		if err := g.time(runs); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		g.print(w)
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
			if c.reset != nil {
				var err error
				if c.dir, err = c.reset(); err != nil {
					return err
				}
			}
			wall, cpu, err := c.run()
			if err != nil {
				return err
			}
			if i > 0 {
				c.wall, c.cpu = append(c.wall, wall), append(c.cpu, cpu)
			}
		}
	}
	return nil
}

func (c *command) run() (wall, cpu time.Duration, err error) {
	x := exec.Command(c.args[0], c.args[1:]...)
	x.Dir = c.dir
	var out bytes.Buffer
	x.Stdout, x.Stderr = &out, &out
	start := time.Now()
	if err := x.Run(); err != nil {
		return 0, 0, fmt.Errorf("%v: %w\n%s", c.args, err, out.String())
	}
	return time.Since(start), x.ProcessState.UserTime() + x.ProcessState.SystemTime(), nil
}

func (g *group) print(w io.Writer) {
	floor := median(g.commands[len(g.commands)-1].wall)
	for _, c := range g.commands {
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.2f\t\n", g.name, c.name, ms(median(c.wall)), ms(median(c.cpu)), float64(median(c.wall))/float64(floor))
	}
}

func median(ds []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(ds))
	return s[len(s)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// startup is what each command pays before it does anything.
func startup(tmp, flow string) (*group, error) {
	g := &group{name: "start-up"}
	g.commands = append(g.commands, command{name: "flow version", dir: tmp, args: []string{flow, "version"}})
	if git, err := exec.LookPath("git"); err == nil {
		g.commands = append(g.commands, command{name: "git version", dir: tmp, args: []string{git, "version"}})
	}
	return g, nil
}

// example is a plan with nothing to do, of a real pipeline.
func example(tmp, flow string) (*group, error) {
	dir := filepath.Join(tmp, "example")
	if err := os.CopyFS(dir, os.DirFS("examples/breast-cancer")); err != nil {
		return nil, err
	}
	if out, err := output(dir, flow, "apply", "--yes"); err != nil {
		return nil, fmt.Errorf("apply the example: %w\n%s", err, out)
	}
	return &group{name: "no-op, 9 stages", commands: []command{
		{name: "flow plan", dir: dir, args: []string{flow, "plan"}},
		{name: "flow apply", dir: dir, args: []string{flow, "apply", "--yes"}},
		{name: "flow version", dir: dir, args: []string{flow, "version"}},
	}}, nil
}

func output(dir string, args ...string) ([]byte, error) {
	c := exec.Command(args[0], args[1:]...)
	c.Dir = dir
	return c.CombinedOutput()
}

// stages copies one small file n times, by n separate stages: with nothing to
// do, or from nothing.
func stages(tmp, flow string, n int, noop bool) (*group, error) {
	name := fmt.Sprintf("%d × cp", n)
	if noop {
		name = fmt.Sprintf("no-op, %d × cp", n)
	}
	g := &group{name: name}
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
		g.commands = append(g.commands, c)
	}
	return g, nil
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
