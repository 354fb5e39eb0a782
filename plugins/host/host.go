// Package host is flow's side of plugins: it finds them, asks them what they
// are, and makes of the answer stage types like flow's own.
//
// A plugin is somebody else's program and may do anything, also wrong. Whatever
// it does, flow ends with one clear error: what it says is bounded in time and
// size, checked, and never believed where it can be looked at (see Runner for
// what a job left behind).
//
// To describe a plugin, it must be started; that is done once, and the answer is
// kept in the user's cache beside the digest of the plugin's files. As long as
// they look as they did, a plan starts no plugin and reads none.
//
// The package does not know what a plugin does, nor which ones a pipeline
// declares or flow.lock pins: those are for engine/config and engine. It is
// called by internal/command, which hands it to the engine.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

// Host finds the plugins that one project can use. Its methods may be called
// concurrently.
type Host struct {
	// Project is the absolute path of the project; "": none.
	Project string
	// Environ is the environment that plugins are looked for in and run with.
	Environ []string
	// Patience is how long a plugin may take to describe itself, with the reading
	// of the files that it names, or to check arguments; 0 is 30 seconds.
	Patience time.Duration
	// Interrupted ends what a plugin is described with when it is closed; nil: never.
	Interrupted <-chan struct{}
}

// Place says where a plugin was found. An earlier one wins.
type Place string

// The places, in their order.
const (
	InProject Place = "project" // plugins/ of the project
	ForUser   Place = "user"    // $XDG_DATA_HOME/flow/plugins
	InPath    Place = "path"    // a directory of PATH
)

// Installed is a plugin's program.
type Installed struct {
	Name    string
	Program string // absolute, as it was found
	Place   Place
}

// Installed lists the plugins there are, sorted by name.
func (h *Host) Installed() []Installed {
	seen := map[string]bool{}
	var all []Installed
	for _, d := range h.dirs() {
		entries, _ := os.ReadDir(d.path) // most are not there
		for _, e := range entries {
			name := strings.TrimPrefix(e.Name(), protocol.Prefix)
			if name == e.Name() && (d.place == InPath || !e.IsDir()) || seen[name] || !protocol.ValidName(name) {
				continue
			}
			if program, executable := programIn(d, name); executable {
				seen[name] = true
				all = append(all, Installed{Name: name, Program: program, Place: d.place})
			}
		}
	}
	slices.SortFunc(all, func(a, b Installed) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Locate finds the program of a plugin. That there is none is a *stage.Problem.
func (h *Host) Locate(name string) (Installed, error) {
	if !protocol.ValidName(name) {
		return Installed{}, stage.Problemf("", fmt.Sprintf("%q is not the name of a plugin", name), "It has small letters, digits and -, as in the name of its program without %s.", protocol.Prefix)
	}
	var idle string
	for _, d := range h.dirs() {
		program, executable := programIn(d, name)
		if executable {
			return Installed{Name: name, Program: program, Place: d.place}, nil
		}
		if idle == "" {
			idle = program
		}
	}
	if idle != "" {
		return Installed{}, stage.Problemf("", fmt.Sprintf("Plugin %q cannot be started", name), "%s is there, but is not marked as a program. Mark it: chmod +x %s", idle, idle)
	}
	return Installed{}, stage.Problemf("", fmt.Sprintf("Plugin %q is not installed", name),
		"A program called %s%s is needed, in the project's directory plugins, in %s, or in PATH.%s", protocol.Prefix, name, h.userDir(), h.others())
}

func (h *Host) others() string {
	var names []string
	for _, i := range h.Installed() {
		names = append(names, i.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" Installed: %s.", strings.Join(names, ", "))
}

type dir struct {
	path  string
	place Place
}

func (h *Host) dirs() []dir {
	var ds []dir
	if h.Project != "" {
		ds = append(ds, dir{filepath.Join(h.Project, "plugins"), InProject})
	}
	if d := h.userDir(); d != "" {
		ds = append(ds, dir{d, ForUser})
	}
	for _, p := range filepath.SplitList(h.getenv("PATH")) {
		if filepath.IsAbs(p) {
			ds = append(ds, dir{p, InPath})
		}
	}
	return ds
}

// userDir is where a user keeps plugins, "" if he has no home.
func (h *Host) userDir() string {
	if d := h.getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "flow", "plugins")
	}
	if home := h.getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "flow", "plugins")
	}
	return ""
}

func (h *Host) getenv(name string) string {
	for _, e := range slices.Backward(h.Environ) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// programIn returns the plugin's program in a directory, "" if there is none, and
// whether it may be started: directly, or, where there are plugins and nothing
// else, in a directory of the plugin's name, with its sources.
func programIn(d dir, name string) (program string, executable bool) {
	places := []string{protocol.Prefix + name}
	if d.place != InPath {
		places = append(places, filepath.Join(name, protocol.Prefix+name))
	}
	for _, p := range places {
		p = filepath.Join(d.path, p)
		info, err := os.Stat(p)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if info.Mode()&0o111 != 0 {
			return p, true
		}
		program = p
	}
	return program, false
}

// Find returns an installed plugin with its stage types. That it is not to be
// had is a *stage.Problem.
func (h *Host) Find(name string) (*stage.Plugin, []stage.Type, error) {
	in, err := h.Locate(name)
	if err != nil {
		return nil, nil, err
	}
	l, err := h.Load(in)
	if err != nil {
		return nil, nil, stage.Problemf("", fmt.Sprintf("Plugin %q cannot be used", name), "%s.", capital(err.Error()))
	}
	return l.Plugin, l.Types, nil
}

// Offering returns the name of an installed plugin with a stage type, "" if there
// is none.
func (h *Host) Offering(stageType string) string {
	for _, in := range h.Installed() {
		l, err := h.Load(in)
		if err != nil {
			continue
		}
		for _, t := range l.Types {
			if t.Schema().Name == stageType {
				return in.Name
			}
		}
	}
	return ""
}

// Loaded is a plugin that has said what it is.
type Loaded struct {
	Plugin      *stage.Plugin
	Description *protocol.Description
	Types       []stage.Type
}

// Load finds out what a plugin is: from the cache, or by asking it.
func (h *Host) Load(in Installed) (*Loaded, error) {
	// It is started by the name under which it was found: some programs act by
	// their names.
	program := in.Program
	ctx, cancel := h.patiently()
	defer cancel()
	k, ok := h.remembered(ctx, program)
	if !ok {
		seen := time.Now()
		desc, err := h.describe(ctx, program)
		if err != nil {
			return nil, err
		}
		if k, err = know(ctx, program, desc, seen); err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("%s names files of its own that took longer than %s to read", program, h.patience())
			} else {
				err = fmt.Errorf("%s names a file of its own that cannot be read: %w", program, err)
			}
			return nil, interrupted(ctx, program, err)
		}
		h.remember(program, k)
	}
	d := k.Description
	if d.Name != in.Name {
		return nil, fmt.Errorf("%s says that it is called %q, not %q", in.Program, d.Name, in.Name)
	}
	p := &stage.Plugin{
		Name: d.Name, Version: d.Version, Digest: k.Digest.String(), Versions: d.Versions, Program: program,
		Own: in.Place == InProject, Reads: h.reads(program, in.Place, d),
	}
	l := &Loaded{Plugin: p, Description: d}
	var check *checker
	if d.Check {
		check = &checker{host: h, program: program}
	}
	for i := range d.Types {
		t, err := newType(p, &d.Types[i], check)
		if err != nil {
			return nil, err
		}
		l.Types = append(l.Types, t)
	}
	return l, nil
}

// reads lists what a plugin's jobs must be able to read. Of one in plugins/ of
// the project it is the directory, which holds plugins alone: Python lists it
// to find modules. What the project lies in is nothing that a job may read.
func (h *Host) reads(program string, place Place, d *protocol.Description) []string {
	rs := []string{program}
	if place == InProject {
		rs[0] = filepath.Dir(program)
	}
	rs = append(append(rs, absolute(program, d.Files)...), d.Reads...)
	return slices.DeleteFunc(rs, func(r string) bool {
		real, err := filepath.EvalSymlinks(r)
		if err != nil || h.Project == "" {
			return err != nil
		}
		rel, err := filepath.Rel(real, h.Project)
		return err == nil && filepath.IsLocal(rel)
	})
}

// absolute resolves paths that a description has relative to the program, where
// that really lies.
func absolute(program string, files []string) []string {
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = f
		if !filepath.IsAbs(f) {
			out[i] = filepath.Join(filepath.Dir(program), f)
		}
	}
	return out
}

// describe asks a plugin what it is.
func (h *Host) describe(ctx context.Context, program string) (*protocol.Description, error) {
	out, err := answer(ctx, program, h.Environ, h.patience())
	if err != nil {
		return nil, interrupted(ctx, program, err)
	}
	d, err := protocol.ParseDescription(out)
	switch {
	case len(bytes.TrimSpace(out)) == 0:
		return nil, fmt.Errorf("%s describe answers nothing: a plugin prints what it is, as JSON", program)
	case errors.Is(err, protocol.ErrVersion):
		return nil, fmt.Errorf("%s speaks another version of the protocol: %s. Install a version of the plugin for this flow, or another flow", program, strings.TrimPrefix(err.Error(), protocol.ErrVersion.Error()+": "))
	case err != nil:
		return nil, fmt.Errorf("%s does not describe itself as a plugin: %w; it answered %s", program, err, excerpt(out))
	}
	return d, nil
}

// patiently returns a context that ends with the patience or by an interrupt.
func (h *Host) patiently() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), h.patience())
	if h.Interrupted == nil {
		return ctx, cancel
	}
	go func() {
		select {
		case <-h.Interrupted:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// interrupted is err, unless that is only since the user has had enough.
func interrupted(ctx context.Context, program string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("interrupted before %s had said what it is: %w", program, ctx.Err())
	}
	return err
}

func (h *Host) patience() time.Duration {
	if h.Patience > 0 {
		return h.Patience
	}
	return 30 * time.Second
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
