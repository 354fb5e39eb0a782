package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Completions for shells. What cannot be found out completes to nothing: a
// shell has no place for a message.

const noFiles = cobra.ShellCompDirectiveNoFileComp

// completeAddresses completes the addresses of the pipeline's stages.
func (sh *Shell) completeAddresses(_ *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	p, err := sh.open(Variables{})
	if err != nil {
		return nil, noFiles
	}
	stages, _ := p.Recorded().Stages(config.NoResults{})
	as := make([]addr.Address, 0, len(stages))
	for _, s := range stages {
		as = append(as, s.Addr)
	}
	return beginning(as, begin), noFiles
}

// completeRecorded completes the addresses in flow.lock.
func (sh *Shell) completeRecorded(_ *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return sh.completeSeveralRecorded(nil, nil, begin)
}

// completeLogged completes the addresses of stages that may have printed.
func (sh *Shell) completeLogged(_ *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	as, err := sh.logged()
	if err != nil || len(args) > 0 {
		return nil, noFiles
	}
	return beginning(as, begin), noFiles
}

// completeRecordedOrFile completes those, and names of files.
func (sh *Shell) completeRecordedOrFile(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	out, _ := sh.completeRecorded(cmd, args, begin)
	return out, cobra.ShellCompDirectiveDefault
}

// completeSeveralRecorded does so for commands that take any number of them.
func (sh *Shell) completeSeveralRecorded(_ *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	l, err := lock.ReadFile(sh.dir())
	if err != nil {
		return nil, noFiles
	}
	var as []addr.Address
	for _, s := range l.Stages() {
		as = append(as, s.Addr)
	}
	return beginning(as, begin), noFiles
}

// beginning returns the addresses, and those of their blocks and modules, that
// begin so, and types with a wildcard.
func beginning(as []addr.Address, begin string) []string {
	var out []string
	seen := map[string]bool{}
	for _, a := range as {
		block := a.Block().String()
		kind := block[:strings.LastIndexByte(block, '.')] + ".*"
		for _, s := range []string{a.Module.Declared().String(), a.Module.String(), kind, block, a.String()} {
			if s != "" && !seen[s] && strings.HasPrefix(s, begin) {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}

func (sh *Shell) completeRuns(_ *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	all, err := runs.List(sh.runsDir())
	if err != nil || len(args) > 0 {
		return nil, noFiles
	}
	var out []string
	for _, r := range all {
		if strings.HasPrefix(r.ID, begin) {
			out = append(out, r.ID+"\t"+string(r.Status))
		}
	}
	return out, noFiles
}

// completeTypes completes stage types, and behind a dot their arguments.
func (sh *Shell) completeTypes(_ *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	words := strings.Split(begin, ".")
	var out []string
	for _, t := range sh.types() {
		s := t.Schema()
		if len(words) == 1 {
			if strings.HasPrefix(s.Name, begin) {
				out = append(out, s.Name+"\t"+s.Summary)
			}
			continue
		}
		if s.Name == words[0] {
			return completePath(s.Body, words), noFiles | cobra.ShellCompDirectiveNoSpace
		}
	}
	return out, noFiles
}

func completePath(body stage.Body, words []string) []string {
	for _, w := range words[1 : len(words)-1] {
		_, block, _ := lookup(body, w)
		if block == nil {
			return nil
		}
		body = inside(*block)
	}
	_, _, names := lookup(body, "")
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, words[len(words)-1]) {
			out = append(out, strings.Join(append(append([]string{}, words[:len(words)-1]...), n), "."))
		}
	}
	return out
}
