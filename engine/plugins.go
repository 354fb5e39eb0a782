package engine

import (
	"fmt"
	"runtime"

	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// platform names the kind of machine for which a plugin is made.
const platform = runtime.GOOS + "/" + runtime.GOARCH

// pinnedPlugins finds plugins, and refuses those that are not what flow.lock
// says. A plugin that is a file of the project needs no pin: git has it.
type pinnedPlugins struct {
	config.Plugins
	lock func() (*lock.Lock, error) // empty after an error, which is told elsewhere
}

// Find implements config.Plugins.
func (p pinnedPlugins) Find(name string) (*stage.Plugin, []stage.Type, error) {
	found, types, err := p.Plugins.Find(name)
	if err != nil || found.Own {
		return found, types, err
	}
	locked, _ := p.lock()
	pin := locked.Plugin(name)
	switch {
	case pin == nil:
		return nil, nil, stage.Problemf("", fmt.Sprintf("Plugin %q is not in flow.lock", name), "%s, version %s, is installed, and flow.lock does not say yet that the pipeline uses it. Run: flow get", found.Program, found.Version)
	case pin.Version != found.Version:
		return nil, nil, stage.Problemf("", fmt.Sprintf("Plugin %q is not what flow.lock says", name), "flow.lock has version %s, and %s is version %s. Install version %s, or, to use what is installed, run: flow get --upgrade", pin.Version, found.Program, found.Version, pin.Version)
	}
	switch have, known := pin.Content[platform]; {
	case !known:
		return nil, nil, stage.Problemf("", fmt.Sprintf("Plugin %q is not in flow.lock for %s", name, platform), "flow.lock has this version, and on another kind of machine only. Run: flow get")
	case have.String() != found.Digest:
		return nil, nil, stage.Problemf("", fmt.Sprintf("Plugin %q is not what flow.lock says", name), "%s says that it is version %s, as flow.lock has it, but it is not the same program. Install the one that your team uses, or, to use this one, run: flow get --upgrade", found.Program, found.Version)
	}
	return found, types, nil
}

// GotPlugin is what became of a plugin.
type GotPlugin struct {
	*stage.Plugin
	// Pinned says that flow.lock did not have it so before.
	Pinned bool
}

// pinPlugins returns what flow.lock is to say of the plugins that a pipeline
// declares. What it says already of other versions stands unless upgrade.
func pinPlugins(declared []*config.Plugin, locked *lock.Lock, upgrade bool) (pins []lock.Plugin, got []GotPlugin, err error) {
	for _, p := range declared {
		if p.Own {
			got = append(got, GotPlugin{Plugin: p.Plugin})
			continue
		}
		content, err := digest.Parse(p.Digest)
		if err != nil {
			return nil, nil, fmt.Errorf("digest of plugin %s: %w", p.Name, err)
		}
		pin := lock.Plugin{Name: p.Name, Version: p.Version, Content: map[string]digest.Digest{}}
		old := locked.Plugin(p.Name)
		if old != nil && old.Version == p.Version {
			for at, d := range old.Content {
				pin.Content[at] = d
			}
		}
		was, had := pin.Content[platform]
		if !upgrade && old != nil && (old.Version != p.Version || had && was != content) {
			return nil, nil, &pluginChangedError{p, old}
		}
		pin.Content[platform] = content
		pins = append(pins, pin)
		got = append(got, GotPlugin{Plugin: p.Plugin, Pinned: was != content})
	}
	return pins, got, nil
}

// pluginChangedError says that a plugin is not the one that flow.lock pins.
type pluginChangedError struct {
	found  *config.Plugin
	locked *lock.Plugin
}

func (e *pluginChangedError) Error() string {
	return fmt.Sprintf("plugin %s: flow.lock has version %s, and %s is version %s and not the same program; install what flow.lock says, or, to use what is installed, run: flow get --upgrade",
		e.found.Name, e.locked.Version, e.found.Program, e.found.Version)
}
