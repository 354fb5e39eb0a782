package command

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Completions for shells. What cannot be found out completes to nothing: a
// shell has no place for a message.

const noFiles = cobra.ShellCompDirectiveNoFileComp

// completions adds to all commands what follows from what they are: those without
// arguments complete none, and a flag that is a number or a name of something new
// completes to no file.
func (sh *Shell) completions(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		sh.completions(c)
	}
	if cmd.Flags().Lookup("var") != nil {
		_ = cmd.RegisterFlagCompletionFunc("var", sh.completeVariable) // fails only for a flag that is not there
		filesOf(cmd, "var-file", "hclvars", "json")
	}
	if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() && !strings.Contains(cmd.Use, " ") {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		_, files := f.Annotations[cobra.BashCompFilenameExt]
		_, dirs := f.Annotations[cobra.BashCompSubdirsInDir]
		if _, done := cmd.GetFlagCompletionFunc(f.Name); !done && !files && !dirs && f.Value.Type() != "bool" {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions) // fails only for a flag that is not there
		}
	})
}

// filesOf lets a flag complete files, those with the extensions if there are any.
func filesOf(cmd *cobra.Command, flag string, extensions ...string) {
	_ = cmd.MarkFlagFilename(flag, extensions...) // fails only for a flag that is not there
}

// glance opens the project for a completion: as far as it is right, with the
// variables of the command line, and without a word.
func (sh *Shell) glance(cmd *cobra.Command) (*engine.Project, error) {
	var v Variables
	if f := cmd.Flags().Lookup("var"); f != nil {
		v.Vars, _ = cmd.Flags().GetStringArray("var")
		v.VarFiles, _ = cmd.Flags().GetStringArray("var-file")
	}
	opts, err := sh.options(v)
	if err != nil {
		return nil, err
	}
	opts.Records, opts.Unset, opts.Warn = true, true, func(string) {}
	p, err := engine.Open(opts)
	if err != nil {
		return nil, err
	}
	sh.opened = append(sh.opened, p)
	return p, nil
}

// completeAddresses completes the addresses of the pipeline's stages.
func (sh *Shell) completeAddresses(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	p, err := sh.glance(cmd)
	if err != nil {
		return nil, noFiles
	}
	stages, _ := p.Recorded().Stages(config.NoResults{})
	as := make([]addr.Address, 0, len(stages))
	for _, s := range stages {
		as = append(as, s.Addr)
	}
	if len(as) == 0 { // of a pipeline with mistakes, what there was
		return sh.completeSeveralRecorded(nil, nil, begin)
	}
	return beginning(as, begin), noFiles
}

// completeReverters completes single stages that can be rolled back.
func (sh *Shell) completeReverters(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	p, err := sh.glance(cmd)
	if err != nil {
		return nil, noFiles
	}
	var out []string
	stages, _ := p.Recorded().Stages(config.NoResults{})
	for _, s := range stages {
		if _, ok := s.Type.(stage.Reverter); ok && strings.HasPrefix(s.Addr.String(), begin) {
			out = append(out, s.Addr.String())
		}
	}
	return out, noFiles
}

// completeVersions completes the versions of the deployment that is named.
func (sh *Shell) completeVersions(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return nil, noFiles
	}
	a, err := address(args[0])
	if err != nil {
		return nil, noFiles
	}
	p, err := sh.glance(cmd)
	if err != nil {
		return nil, noFiles
	}
	versions, err := p.Versions(a)
	if err != nil {
		return nil, noFiles
	}
	return withPrefix(versions, begin), noFiles
}

// completeVariable completes NAME=, and behind that true and false.
func (sh *Shell) completeVariable(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	p, err := sh.glance(cmd)
	if err != nil {
		return nil, noFiles
	}
	name, _, value := strings.Cut(begin, "=")
	var out []string
	for _, v := range p.Pipeline().Variables() {
		switch {
		case !value:
			out = append(out, v.Name+"=")
		case v.Name == name && v.Value.Type() == cty.Bool:
			out = append(out, name+"=false", name+"=true")
		}
	}
	directive := noFiles
	if !value {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return withPrefix(out, begin), directive
}

// completeOutputs completes the names of the pipeline's outputs.
func (sh *Shell) completeOutputs(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	p, err := sh.glance(cmd)
	if err != nil || len(args) > 0 {
		return nil, noFiles
	}
	outs, _ := p.Outputs() // of some, what is wrong
	var names []string
	for _, o := range outs {
		names = append(names, o.Name)
	}
	return withPrefix(names, begin), noFiles
}

// completeRevisions completes branches, tags and HEAD, also behind A..
func (sh *Shell) completeRevisions(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, noFiles
	}
	before, last := "", begin
	if from, to, ok := strings.Cut(begin, ".."); ok && len(args) == 0 {
		before, last = from+"..", to
	}
	var out []string
	for _, r := range withPrefix(engine.Revisions(cmd.Context(), sh.dir()), last) {
		out = append(out, before+r)
	}
	return out, noFiles
}

// completePlugins completes the names of installed plugins.
func (sh *Shell) completePlugins(_ *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	var names []string
	for _, in := range sh.plugins().Installed() {
		names = append(names, in.Name)
	}
	return withPrefix(names, begin), noFiles
}

// oneFile completes a file, and nothing behind it.
func oneFile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// oneDirectory completes a directory, and nothing behind it.
func oneDirectory(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// textFiles completes files of pipelines, and directories that may hold some.
func textFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"hcl", "hclvars"}, cobra.ShellCompDirectiveFilterFileExt
}

func withPrefix(all []string, begin string) []string {
	var out []string
	for _, s := range all {
		if strings.HasPrefix(s, begin) {
			out = append(out, s)
		}
	}
	return out
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
	types, _ := sh.types()
	for _, t := range types {
		s := t.Schema()
		if len(words) == 1 {
			if strings.HasPrefix(s.Name, begin) {
				out = append(out, s.Name+"\t"+s.Summary)
			}
			continue
		}
		if s.Name == words[0] {
			return completePath(withCommon(s.Body), words), noFiles | cobra.ShellCompDirectiveNoSpace
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
