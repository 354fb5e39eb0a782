package lock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/digest"
)

// Plugin is the pin of a plugin.
type Plugin struct {
	Name, Version string
	// Content is what it is made of, by platform: "linux/amd64".
	Content map[string]digest.Digest
}

// Plugin returns the pin of a plugin, nil if there is none. The caller does not
// change it.
func (l *Lock) Plugin(name string) *Plugin { return l.plugins[name] }

// Plugins returns all pins of plugins, sorted by name.
func (l *Lock) Plugins() []*Plugin {
	all := make([]*Plugin, 0, len(l.plugins))
	for _, p := range l.plugins {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Plugin) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// SetPlugins replaces all pins of plugins.
func (l *Lock) SetPlugins(pins []Plugin) {
	l.plugins = make(map[string]*Plugin, len(pins))
	for _, p := range pins {
		l.plugins[p.Name] = &p
	}
}

func (p *parser) beginPlugin(name string) *ParseError {
	if err := p.end(); err != nil {
		return err
	}
	if name == "" || strings.ContainsAny(name, " \t") {
		return bad("plugin %q is not a name", name)
	}
	if p.lock.Plugin(name) != nil {
		return bad("plugin %s stands here a second time", name)
	}
	p.plugin, p.start = &Plugin{Name: name, Content: map[string]digest.Digest{}}, p.n
	return nil
}

// pinPlugin reads a line of a plugin.
func (p *parser) pinPlugin(verb, rest string) *ParseError {
	switch verb {
	case "version":
		p.plugin.Version = rest
	case "content":
		platform, text, _ := strings.Cut(rest, " ")
		d, err := digest.Parse(text)
		if err != nil {
			return &ParseError{Err: err}
		}
		p.plugin.Content[platform] = d
	default:
		return &ParseError{Err: fmt.Errorf("unknown fact %q of a plugin", verb)}
	}
	return nil
}

// endPlugin completes the plugin that was being read.
func (p *parser) endPlugin() *ParseError {
	if p.plugin.Version == "" || len(p.plugin.Content) == 0 {
		return bad("plugin %s is not complete", p.plugin.Name)
	}
	if p.lock.plugins == nil {
		p.lock.plugins = map[string]*Plugin{}
	}
	p.lock.plugins[p.plugin.Name], p.plugin = p.plugin, nil
	return nil
}
