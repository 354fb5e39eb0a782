package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/stages/builtin"
)

const content = "content\n"

// blocks is a pipeline of n separate stages, by file: a thousand in each.
func blocks(n int) map[string]string {
	files := map[string]string{}
	for from := 0; from < n; from += 1000 {
		var b strings.Builder
		for i := from; i < min(n, from+1000); i++ {
			fmt.Fprintf(&b, "exec \"s%d\" {\n  command = [\"cp\", \"in.txt\", \"o/%d.txt\"]\n  inputs  = [\"in.txt\"]\n  outputs = { o = \"o/%d.txt\" }\n}\n", i, i, i)
		}
		files[fmt.Sprintf("part%d.hcl", from/1000)] = b.String()
	}
	return files
}

// instances is a pipeline of one block.
func instances(n int) map[string]string {
	return map[string]string{"pipeline.hcl": fmt.Sprintf("exec \"s\" {\n  count   = %d\n  command = [\"cp\", \"in.txt\", \"o/${count.index}.txt\"]\n  inputs  = [\"in.txt\"]\n  outputs = { o = \"o/${count.index}.txt\" }\n}\n", n)}
}

// idle is commands that find that n stages are up to date, which each copied one
// small file.
func idle(tmp, flow string, n int, files map[string]string) ([]command, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(tmp, "idle-")
	if err != nil {
		return nil, err
	}
	if err := lay(dir, n, files); err != nil {
		return nil, err
	}
	// In another process: the memory of this one counts as that of those that
	// it starts.
	if out, err := output(dir, self, "-lay", dir, flow); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	says := fmt.Sprintf("all %d stages are up to date", n)
	forget := func() (string, error) { return dir, os.RemoveAll(filepath.Join(dir, ".flow", "memo")) }
	remember := func() (string, error) {
		if out, err := output(dir, flow, "apply"); err != nil {
			return dir, fmt.Errorf("%w\n%s", err, out)
		}
		return dir, nil
	}
	commands := []command{
		{name: "flow plan, nothing remembered", args: []string{flow, "plan"}, says: says, reset: forget},
		{name: "hcl, the parse alone", dir: dir, args: []string{self, "-parse", dir, flow}},
		{name: "hcl, parsed and evaluated", dir: dir, args: []string{self, "-evaluate", dir, flow}},
		{name: "flow plan, nothing changed", args: []string{flow, "plan"}, says: says, reset: remember},
		{name: "flow apply, nothing changed", args: []string{flow, "apply"}, says: says, reset: remember},
	}
	if ninja, err := exec.LookPath("ninja"); err == nil {
		commands = append(commands, command{name: "ninja", dir: dir, args: []string{ninja}, says: "no work to do"})
	}
	return commands, nil
}

// lay writes a project in which nothing has run.
func lay(dir string, n int, files map[string]string) error {
	if err := os.MkdirAll(filepath.Join(dir, "o"), 0o755); err != nil {
		return err
	}
	files["in.txt"], files["build.ninja"] = content, ninjaIdle(n)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// layResults makes the project as it is after all stages have run, without
// running them: a plan tells the keys, and what each would write is known.
// Whether that is right, flow checks: it finds nothing to do.
func layResults(dir, flow string) error {
	p, err := engine.Open(engine.Options{Dir: dir, Types: builtin.Types(), Self: []string{flow}})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }() // nothing was written
	pl, err := p.Plan(context.Background(), engine.Selection{})
	if err != nil {
		return err
	}
	l := &lock.Lock{}
	node := digest.Node{Kind: digest.File, Digest: digest.OfBytes([]byte(content)), Size: int64(len(content)), Files: 1}
	written := time.Now().Add(-time.Second)
	for _, s := range pl.Steps {
		o := s.Stage.Job.Outputs[0]
		l.Put(&lock.Stage{Addr: s.Addr, Key: s.Key, Manifest: s.Manifest, Results: []lock.Result{{Name: o.Name, Path: o.Path, Node: node}}})
		name := filepath.Join(dir, filepath.FromSlash(o.Path))
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
		// As flow dates what it writes, lest it be read again each time.
		if err := os.Chtimes(name, written, written); err != nil {
			return err
		}
	}
	// ninja goes by times.
	if err := os.Chtimes(filepath.Join(dir, "in.txt"), written.Add(-time.Hour), written.Add(-time.Hour)); err != nil {
		return err
	}
	return lock.WriteFile(dir, l)
}

// ninjaIdle is the same for ninja. As generators, targets are up to date by their
// times alone; otherwise ninja wants a log of having run their commands. Reading
// that it is spared.
func ninjaIdle(n int) string {
	var b strings.Builder
	b.WriteString("rule cp\n  command = cp $in $out\n  generator = 1\n")
	for i := range n {
		fmt.Fprintf(&b, "build o/%d.txt: cp in.txt\n", i)
	}
	return b.String()
}

// withHCL is the floor of whoever parses, and then evaluates each argument of each
// instance: HCL with the collector's setting of flow, the files on all cores.
func withHCL(dir string, evaluates bool) error {
	debug.SetGCPercent(400)
	names, err := filepath.Glob(filepath.Join(dir, "*.hcl"))
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	errs := make([]error, len(names))
	for i, name := range names {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			src, err := os.ReadFile(name)
			if errs[i] = err; err != nil {
				return
			}
			f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
			if evaluates && !diags.HasErrors() {
				diags = evaluate(f.Body.(*hclsyntax.Body))
			}
			if diags.HasErrors() {
				errs[i] = diags
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// evaluate evaluates what is in the blocks of a body.
func evaluate(body *hclsyntax.Body) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, b := range body.Blocks {
		n := int64(1)
		if count := b.Body.Attributes["count"]; count != nil {
			v, more := count.Expr.Value(nil)
			diags = append(diags, more...)
			n, _ = v.AsBigFloat().Int64()
		}
		for i := range n {
			index := cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(i)})
			ctx := &hcl.EvalContext{Variables: map[string]cty.Value{"count": index}}
			for _, a := range b.Body.Attributes {
				_, more := a.Expr.Value(ctx)
				diags = append(diags, more...)
			}
		}
	}
	return diags
}

// peakOf is the most memory that a process had, in bytes.
func peakOf(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return u.Maxrss
	}
	return u.Maxrss << 10
}
