package stage

// Plugin is the program of somebody else that a stage type comes from. Its jobs
// run as those of flow's own types do, `flow stage-run SPEC`, which starts the
// program; and confined, since nobody has read its code: a job sees what it
// declares.
type Plugin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Digest names what the plugin is made of. It is part of every key.
	Digest string `json:"digest"`
	// Versions are those of the engines that it computes with, by name, such
	// as python: part of every key as well.
	Versions map[string]string `json:"versions,omitempty"`
	// Program is the absolute path of the executable.
	Program string `json:"program"`
	// Reads are absolute paths of the plugin's own files, which its jobs may
	// read though they lie in the project.
	Reads []string `json:"reads,omitempty"`
	// Own says that it is a file of the project, and so needs no pin: what it
	// was in a revision, git knows.
	Own bool `json:"own,omitempty"`
}

// Text is the plugin as it stands in keys and in flow.lock: "1.0.0 blake3:…".
func (p *Plugin) Text() string { return p.Version + " " + p.Digest }
