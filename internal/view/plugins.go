package view

import (
	"io"
	"strings"
)

// Plugin is an installed plugin for a list.
type Plugin struct {
	Name    string   `json:"name"`
	Version string   `json:"version,omitempty"`
	Summary string   `json:"summary,omitempty"`
	Program string   `json:"program"`
	Place   string   `json:"place"` // project, user or path
	Types   []string `json:"types"`
	Digest  string   `json:"digest,omitempty"`
	// Declared says that the pipeline of this directory uses it.
	Declared bool `json:"declared"`
	// Error is why it cannot be used.
	Error string `json:"error,omitempty"`
}

// Plugins lists plugins.
func (p *Printer) Plugins(all []Plugin) {
	t := table{}
	for _, x := range all {
		if x.Error != "" {
			t.row(p.paint(bold, x.Name), "", p.paint(red, "broken"), x.Error)
			continue
		}
		status := "installed"
		if x.Declared {
			status = "declared"
		}
		t.row(p.paint(bold, x.Name), x.Version, status, strings.Join(x.Types, ", ")+"  "+p.paint(dim, x.Program))
	}
	t.print(p)
}

// PluginsJSON lists plugins for programs.
func PluginsJSON(w io.Writer, all []Plugin) error {
	return writeJSON(w, struct {
		FormatVersion string   `json:"format_version"`
		Plugins       []Plugin `json:"plugins"`
	}{FormatVersion, all})
}
