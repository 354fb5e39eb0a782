package command

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine/stage"
	stagedocs "github.com/flow-pipelines/flow/internal/reference"
	"github.com/flow-pipelines/flow/internal/view"
	"github.com/flow-pipelines/flow/plugins/conformance"
	"github.com/flow-pipelines/flow/plugins/protocol"
	"github.com/flow-pipelines/flow/plugins/python"
)

// PluginOptions are the arguments of the commands about plugins.
type PluginOptions struct {
	Shell *Shell
	Name  string // or the path of a program
	Lang  string
	JSON  bool
}

func newPlugin(sh *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "List, begin and test plugins, which bring stage types",
		Long: `A plugin is a program called flow-plugin-NAME that brings stage types. It is found
in the project's directory plugins, in ~/.local/share/flow/plugins, and in PATH; a
pipeline declares it:

  pipeline {
    plugin "NAME" { version = ">= 1.0" }
  }`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPluginList(sh, runPluginList), newPluginNew(sh, runPluginNew), newPluginTest(sh, runPluginTest), newPluginDocs(sh, runPluginDocs))
	return cmd
}

func newPluginList(sh *Shell, run func(*PluginOptions) error) *cobra.Command {
	o := &PluginOptions{Shell: sh}
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the installed plugins and their stage types", Args: atMost(0),
		RunE: func(*cobra.Command, []string) error { return run(o) },
	}
	jsonFlag(cmd.Flags(), &o.JSON)
	return cmd
}

func runPluginList(o *PluginOptions) error {
	sh := o.Shell
	h := sh.plugins()
	declared := map[string]bool{}
	if p, err := sh.openRecords(Variables{}); err == nil {
		for _, d := range p.Pipeline().Plugins() {
			declared[d.Name] = true
		}
	}
	all := []view.Plugin{}
	for _, in := range h.Installed() {
		v := view.Plugin{Name: in.Name, Program: in.Program, Place: string(in.Place), Types: []string{}, Declared: declared[in.Name]}
		if l, err := h.Load(in); err != nil {
			v.Error = err.Error()
		} else {
			v.Version, v.Summary, v.Digest = l.Plugin.Version, l.Description.Summary, l.Plugin.Digest
			for _, t := range l.Description.Types {
				v.Types = append(v.Types, t.Name)
			}
		}
		all = append(all, v)
	}
	if o.JSON {
		return view.PluginsJSON(sh.Streams.Out, all)
	}
	if len(all) == 0 {
		sh.err().Printf("No plugin is installed. flow plugin new NAME begins one.\n")
	}
	sh.out().Plugins(all)
	return nil
}

func newPluginNew(sh *Shell, run func(*PluginOptions) error) *cobra.Command {
	o := &PluginOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a plugin in plugins/NAME that works at once",
		Long:  "Write a plugin with one stage type into plugins/NAME: its program, a trial that flow plugin test runs, and, for Python, a copy of the SDK.",
		Example: `  flow plugin new tidy --lang python
  flow plugin test plugins/tidy/flow-plugin-tidy`,
		Args:              exactly(1, "a NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			o.Name = args[0]
			if !protocol.ValidName(o.Name) {
				return usage("%q is not a name for a plugin: small letters, digits and -, a letter first", o.Name)
			}
			if o.Lang != "go" && o.Lang != "python" {
				return usage("--lang is go or python, not %q", o.Lang)
			}
			return run(o)
		},
	}
	cmd.Flags().StringVar(&o.Lang, "lang", "python", "the `LANGUAGE`: go or python")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"go", "python"}, noFiles))
	return cmd
}

// pluginTemplates are the files of a new plugin, by language. {{.Name}} is the
// plugin's name, {{.Type}} that of its stage type.
//
//go:embed plugin
var pluginTemplates embed.FS

func runPluginNew(o *PluginOptions) error {
	sh := o.Shell
	dir := filepath.Join(sh.dir(), "plugins", o.Name)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return &hinted{fmt.Errorf("plugins/%s is there already", o.Name), "choose another name, or remove it"}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data := struct{ Name, Type string }{o.Name, strings.ReplaceAll(o.Name, "-", "_")}
	sources, err := fs.Sub(pluginTemplates, "plugin/"+o.Lang)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(sources, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".tmpl")
		mode := fs.FileMode(0o644)
		switch name {
		case "program":
			name, mode = protocol.Prefix+o.Name, 0o755
		case "gitignore":
			name = ".gitignore"
		}
		t, err := template.ParseFS(sources, e.Name())
		if err != nil {
			return err
		}
		var text strings.Builder
		if err := t.Execute(&text, data); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), mode); err != nil {
			return err
		}
		sh.out().Printf("wrote    plugins/%s/%s\n", o.Name, name)
	}
	program := "plugins/" + o.Name + "/" + protocol.Prefix + o.Name
	if o.Lang == "python" {
		if err := os.WriteFile(filepath.Join(dir, "flow_plugin.py"), python.SDK, 0o644); err != nil {
			return err
		}
		sh.out().Printf("wrote    plugins/%s/flow_plugin.py\n", o.Name)
		sh.out().Printf("\nIt works: flow plugin test %s\n", program)
	} else {
		sh.out().Printf("\nBuild it: cd plugins/%s && go mod tidy && go build -o %s . ; then: flow plugin test %s\n", o.Name, protocol.Prefix+o.Name, program)
	}
	sh.out().Printf("Then declare it:\n\n  pipeline {\n    plugin %q {}\n  }\n", o.Name)
	return nil
}

func newPluginTest(sh *Shell, run func(context.Context, *PluginOptions) error) *cobra.Command {
	o := &PluginOptions{Shell: sh}
	return &cobra.Command{
		Use:               "test PATH",
		Short:             "Check a plugin: that it speaks the protocol, and its trials",
		Long:              "Run the conformance suite against a plugin's program, or against an installed plugin by its name: what it says of itself, how it refuses what it does not know, and its trials, each twice.",
		Args:              exactly(1, "a PATH"),
		ValidArgsFunction: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name = args[0]
			return run(cmd.Context(), o)
		},
	}
}

// programIn is an example of a program in a directory, "" if it has none.
func programIn(dir, name string) string {
	entries, _ := os.ReadDir(dir) // a directory that cannot be read has none to show
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return ", such as " + filepath.Join(name, e.Name())
		}
	}
	return ""
}

func runPluginTest(ctx context.Context, o *PluginOptions) error {
	sh := o.Shell
	program := sh.path(o.Name)
	if protocol.ValidName(o.Name) {
		in, err := sh.plugins().Locate(o.Name)
		if err != nil {
			return err
		}
		program = in.Program
	}
	info, err := os.Stat(program)
	switch {
	case err != nil:
		return usage("no program %s", o.Name)
	case info.IsDir():
		return usage("%s is a directory; name the program in it%s", o.Name, programIn(program, o.Name))
	}
	failed, checks := 0, conformance.Checks(program, sh.Environ)
	for _, c := range checks {
		if err := c.Run(ctx); err != nil {
			failed++
			sh.out().Printf("FAILED   %s\n         %s\n", c.Name, strings.ReplaceAll(err.Error(), "\n", "\n         "))
			continue
		}
		sh.out().Printf("ok       %s\n", c.Name)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, view.Plural(len(checks), "check"))
	}
	sh.out().Printf("%s passed.\n", view.Plural(len(checks), "check"))
	return nil
}

func newPluginDocs(sh *Shell, run func(*PluginOptions) error) *cobra.Command {
	o := &PluginOptions{Shell: sh}
	return &cobra.Command{
		Use:               "docs NAME",
		Short:             "Write the reference of a plugin's stage types, as Markdown",
		Args:              exactly(1, "a NAME"),
		ValidArgsFunction: sh.completePlugins,
		RunE: func(_ *cobra.Command, args []string) error {
			o.Name = args[0]
			return run(o)
		},
	}
}

func runPluginDocs(o *PluginOptions) error {
	_, types, err := o.Shell.plugins().Find(o.Name)
	if err != nil {
		return err
	}
	schemas := make([]*stage.Schema, len(types))
	for i, t := range types {
		schemas[i] = t.Schema()
	}
	o.Shell.out().Printf("%s", stagedocs.Plugin(o.Name, schemas))
	return nil
}
