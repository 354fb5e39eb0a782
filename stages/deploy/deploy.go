// Package deploy is the stage type "deploy": it puts a model where programs
// that serve it look for it.
//
// A directory target holds every version beside the others and a symbolic
// link, current, that is switched atomically:
//
//	serving/x/
//	  current -> versions/1f0c2a9be714
//	  versions/1f0c2a9be714/…
//	  versions/93ab04d1c55e/…
//	  deployment.json
//
// A version is complete and synced before the link points to it, so whoever
// opens current/model.onnx at any moment, crashes and power loss included,
// gets the old model or the new one. A version is named by its content, so
// deploying the same model again changes nothing. The link is the truth;
// deployment.json explains it and is repaired from it.
//
// The package also rolls back (Rollback, for the command line) and looks at a
// deployment without touching it (Observe, for the plan). It refuses to replace
// what it did not make: a file or a directory in the place of the link.
package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Config holds the arguments.
type Config struct {
	Model     stage.Artifact `json:"model" kind:"model" flow:"required" doc:"Model to deploy: a directory or a file."`
	Directory *Directory     `json:"directory" flow:"required" doc:"Deploys into a directory of this machine, or one that it has mounted."`
}

// Directory is the directory target.
type Directory struct {
	Path string `json:"path" flow:"required" doc:"Where the versions lie, relative to the project, or absolute."`
	Keep int    `json:"keep" default:"3" doc:"How many versions stay, the current one among them."`
}

// Type is the stage type. Now tells the time for the history; nil is the
// machine's clock.
type Type struct {
	Now func() time.Time
}

var (
	_ stage.Runner   = Type{}
	_ stage.Observer = Type{}
	_ stage.Reverter = Type{}
	_ stage.Lasting  = Type{}
)

// Output is the name of the only output.
const Output = "deployment"

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "deploy",
		Version: 1,
		Summary: "Puts a model where it is served from, and can take it back",
		Doc: `The new version is written beside the old, and then the link ` + "`current`" + ` is switched to it in one step. Serve from ` + "`PATH/current`" + `. The last ` + "`keep`" + ` versions stay.

` + "`flow rollback deploy.NAME`" + ` goes back to the version before, ` + "`--to VERSION`" + ` to any that is kept. If the link or a file of the current version is changed by other means, the next plan says so; after a rollback it leaves things as they are until there is another model.

When the block is taken out of the pipeline, the model stays in service; the plan says so, and how to take it down.

A deployment acts outside the project's outputs, so flow asks before it runs. A gate keeps a bad model out: ` + "`when = evaluate.final.metrics.f1 >= 0.95`" + `.`,
		Example: `deploy "local" {
  model = select.best.model
  when  = evaluate.final.metrics.f1 >= 0.95
  directory { path = "serving/breast-cancer" }
}`,
		Effect:  true,
		Body:    stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{{Name: Output, Doc: "What was deployed, as JSON: version, digest, path."}},
		Metrics: "`version` (its name), `digest` (of the model's content), `files`, `size` in bytes, `path` of the deployment.",
	}
}

// Job checks the target.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	cfg, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	var problems stage.Problems
	switch {
	case req.IsUnknown("directory"):
	case cfg.Directory == nil:
		problems = append(problems, stage.Problemf("", "A deployment needs a target", "Add a block: directory { path = \"serving/%s\" }", path.Base(req.Dir)))
	default:
		problems = append(problems, checkDirectory(cfg.Directory)...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return req.Job(stage.Output{Name: Output, Path: "deployment.json"}), nil
}

func checkDirectory(d *Directory) stage.Problems {
	var problems stage.Problems
	clean := path.Clean(d.Path)
	first, _, _ := strings.Cut(clean, "/")
	switch {
	case d.Path == "":
		problems = append(problems, stage.Problemf("directory.path", "The path is empty", "Name a directory for the deployment alone, such as \"serving/model\"."))
	case clean == "." || clean == "/":
		problems = append(problems, stage.Problemf("directory.path", "The directory is not the deployment's own", "%q holds other things. Name a directory for the deployment alone, such as \"serving/model\".", d.Path))
	case first == "..":
		problems = append(problems, stage.Problemf("directory.path", "The path leaves the project", "%q depends on where the project lies. Deploy inside the project, or write the whole path: \"/srv/models/x\".", d.Path))
	case first == "~":
		problems = append(problems, stage.Problemf("directory.path", "The path begins with ~", "No shell reads it. Write the whole path: \"/home/me/models/x\"."))
	case first == ".git" || first == ".flow":
		problems = append(problems, stage.Problemf("directory.path", "The directory is not the deployment's own", "What is in %s is managed by another program. Choose another directory, such as \"serving/model\".", first))
	}
	if d.Keep < 1 {
		problems = append(problems, stage.Problemf("directory.keep", "Too few versions to keep", "The current version is one of them, so keep is at least 1; with 2 or more, a rollback is possible."))
	}
	return problems
}

// place returns the target on this machine.
func (d *Directory) place(project string) string {
	if filepath.IsAbs(d.Path) {
		return filepath.Clean(d.Path)
	}
	return filepath.Join(project, filepath.FromSlash(d.Path))
}

// Run deploys the model.
func (t Type) Run(ctx context.Context, run *stage.Run) (stage.Metrics, error) {
	cfg, err := stage.Decode[Config](run.Args)
	if err != nil {
		return nil, err
	}
	target := target{root: cfg.Directory.place(run.Project), name: cfg.Directory.Path, now: t.now, log: run.Log}
	version, err := target.deploy(ctx, string(cfg.Model), run.Address, cfg.Directory.Keep)
	if err != nil {
		return nil, err
	}
	m := stage.Metrics{
		"version": version.Name,
		"digest":  version.Digest.String(),
		"files":   version.Files,
		"size":    version.Size,
		"path":    cfg.Directory.Path,
	}
	record, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the deployment's record: %w", err)
	}
	if err := os.WriteFile(run.Output(Output), append(record, '\n'), 0o666); err != nil {
		return nil, fmt.Errorf("write the deployment's record: %w", err)
	}
	return m, nil
}

func (t Type) now() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}

// Observe says how the deployment differs from what the last run left.
func (Type) Observe(project string, args json.RawMessage, metrics stage.Metrics) (seen stage.Observation, err error) {
	cfg, err := stage.Decode[Config](args)
	if err != nil {
		return seen, err
	}
	wanted, _ := metrics["version"].(string)
	if cfg.Directory == nil || wanted == "" {
		return seen, nil
	}
	status, err := Observe(cfg.Directory.place(project))
	if err != nil {
		return seen, err
	}
	link := path.Join(cfg.Directory.Path, linkName)
	switch {
	case status.Problem != "":
		seen.Drift = link + " " + status.Problem
	case status.Current == wanted:
		what, err := changed(cfg.Directory.place(project), wanted)
		if what == "" || err != nil {
			return seen, err
		}
		seen.Drift = path.Join(link, what)
	case status.RolledBack:
		// Who rolled back meant it: the next apply, which may come from a
		// timer, must not bring the bad version back. Another model, or
		// --rerun, deploys again.
		seen.Meant = fmt.Sprintf("rolled back to version %s; the stage deployed version %s, and does that again with --rerun", status.Current, wanted)
	default:
		seen.Drift = fmt.Sprintf("%s points to version %s; version %s was deployed", link, status.Current, wanted)
	}
	return seen, nil
}

// Place returns the directory that a stage deploys to.
func (Type) Place(project string, args json.RawMessage) string {
	cfg, err := stage.Decode[Config](args)
	if err != nil || cfg.Directory == nil || cfg.Directory.Path == "" {
		return ""
	}
	return cfg.Directory.place(project)
}

// Remains finds a deployment that is still in service.
func (Type) Remains(project string, metrics stage.Metrics) (stage.Remains, bool) {
	name, _ := metrics["path"].(string)
	if name == "" {
		return stage.Remains{}, false
	}
	place := (&Directory{Path: name}).place(project)
	if status, err := Observe(place); err != nil || status.Current == "" {
		return stage.Remains{}, false
	}
	return stage.Remains{
		Place:    place,
		What:     "what it deployed to " + name + " stays in service",
		TakeDown: "rm -r " + shellWord(name),
	}, true
}

// shellWord quotes a path for a shell, if it needs that.
func shellWord(s string) string {
	if strings.HasPrefix(s, "-") {
		s = "./" + s
	}
	if !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Effect says what a deployment does, for the question before it; "" while the
// target is not known.
func (Type) Effect(args json.RawMessage) string {
	cfg, err := stage.Decode[Config](args)
	if err != nil || cfg.Directory == nil {
		return ""
	}
	return "deploys to " + cfg.Directory.Path
}

// Rollback makes an earlier version current, "" being the one before, and
// returns its name. See the function of this name.
func (t Type) Rollback(project string, args json.RawMessage, to string) (string, error) {
	cfg, err := stage.Decode[Config](args)
	if err != nil {
		return "", err
	}
	if cfg.Directory == nil {
		return "", stage.Problemf("", "A deployment needs a target", "There is no directory block, so there is nothing to roll back.")
	}
	target := target{root: cfg.Directory.place(project), name: cfg.Directory.Path, now: t.now}
	return target.rollback(context.Background(), to)
}

// Versions lists the versions that are kept, the last deployed last.
func (Type) Versions(project string, args json.RawMessage) ([]string, error) {
	cfg, err := stage.Decode[Config](args)
	if err != nil || cfg.Directory == nil {
		return nil, err
	}
	record, err := Read(cfg.Directory.place(project))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range record.Versions {
		names = append(names, v.Name)
	}
	return names, nil
}
