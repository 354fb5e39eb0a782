// Package exec is the stage type "exec": any program, in any language, with
// declared inputs and outputs.
//
// It turns a block into a job and checks what shows in the arguments alone:
// paths that leave the project, outputs that overlap each other or an input,
// a command that is a shell line. It runs nothing: executors do, in a
// directory of the job's own unless isolation is "none". After the run the
// engine calls Measure, which reads the metrics files that the program wrote;
// ParseMetrics reads one.
//
// There is no shell argument: a command is a list, so that no quoting can go
// wrong, and who wants a shell writes ["sh", "-c", "…"].
package exec

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Config holds the arguments.
type Config struct {
	// Command is any value, so that a string in place of a list gets a
	// message with the fix rather than one about types.
	Command    any               `json:"command" flow:"required" doc:"List of the program and its arguments: [\"python\", \"src/train.py\"]. Stages named in it are inputs."`
	Inputs     []stage.Artifact  `json:"inputs" doc:"Files the program reads: stages, their outputs, paths and globs of the project."`
	Outputs    map[string]string `json:"outputs" doc:"Files the program writes, by name, relative to the project. A path that ends in a slash is a directory."`
	Metrics    []string          `json:"metrics" doc:"Files the program writes its metrics to: JSON, YAML, TOML, or the last row of a CSV."`
	Env        map[string]string `json:"env" doc:"Environment variables. They are part of the stage's key."`
	Checkpoint string            `json:"checkpoint" doc:"Directory in which the program saves its state on the way. What a failed, interrupted or killed run left there is there for the next one. Not part of the key, and gone after a success."`
	ResumeOver []string          `json:"resume_over" flow:"unkeyed" doc:"Environment variables with numbers, such as env.EPOCHS, of which more means that the program goes on as it did with less. What a run left in the checkpoint directory when it succeeded is kept, and is there for one with larger numbers that differs in nothing else. Not part of the key."`
	Isolation  string            `json:"isolation" default:"strict" oneof:"strict none" doc:"strict: the program runs in a directory that holds its declared inputs only. none: it runs in the project."`
}

// Type is the stage type.
type Type struct{}

var _ stage.Type = Type{}

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "exec",
		Version: 1,
		Summary: "Any program with declared inputs and outputs",
		Doc: `The command runs in a directory that looks like the project but holds only what is declared: the files named in ` + "`inputs`" + ` and the outputs of stages named anywhere in the block. It writes its outputs to the paths in ` + "`outputs`" + `, whose directories exist. An exit status other than 0 is a failure.

The command is a list and no shell reads it. For a pipe or a loop, call one: ` + "`[\"sh\", \"-c\", \"set -e; sort a > b; uniq b > c\"]`" + `. The exit status of a pipe is that of its last program, so ` + "`check data.csv | tee report.txt`" + ` succeeds though the check fails: write to a file instead, or use a shell with ` + "`set -o pipefail`" + `, such as bash.

A program may report progress by appending JSON lines to the file named by $` + stage.EventsEnv + `: ` + "`{\"step\": 3, \"total\": 10, \"metrics\": {\"loss\": 0.2}}`" + `.`,
		Example: `exec "featurize" {
  command = ["python", "src/featurize.py", dataset.raw.path, self.outputs.features.path]
  inputs  = ["src/**/*.py"]
  outputs = { features = "data/features.parquet", plots = "plots/" }
  metrics = ["reports/featurize.json"]
}`,
		Body:    stage.BodyOf[Config](),
		Metrics: "The objects in the metrics files, merged in order.",
	}
}

// Job checks the arguments and returns the command as written.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	cfg, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	job := &stage.Job{Env: cfg.Env, Inputs: slices.Clone(req.Inputs)}
	if cfg.Isolation == "none" {
		job.Isolation = stage.None
	}
	var problems stage.Problems
	if req.IsUnknown("outputs") {
		problems = append(problems, stage.Problemf("outputs", "The outputs must be known before anything runs",
			"They depend on the metrics of a stage. Write to a fixed path and keep the changing part in the file."))
	}
	if !req.IsUnknown("command") {
		job.Command, problems = command(cfg.Command, problems)
	}
	job.Outputs, problems = outputs(cfg.Outputs, problems)
	job.MetricsFiles, problems = metricsFiles(cfg.Metrics, job, problems)
	problems = checkEnv(cfg.Env, problems)
	problems = checkInputs(cfg.Inputs, problems)
	problems = checkOverlaps(job, problems)
	job.Checkpoint, problems = checkpoint(cfg.Checkpoint, job, problems)
	job.ResumeOver, problems = resumeOver(cfg, req.IsUnknown, problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	addProgram(job)
	return job, nil
}

// command turns the value into arguments: strings as they are, numbers and
// truth values as HCL prints them.
func command(value any, problems stage.Problems) ([]string, stage.Problems) {
	list, ok := value.([]any)
	if !ok {
		line, isString := value.(string)
		if !isString {
			return nil, append(problems, stage.Problemf("command", "The command is not a list",
				"Write the program and its arguments as a list of strings: [\"python\", \"src/train.py\"]."))
		}
		detail := "No shell reads it, so a list says where each argument ends:\n\n  command = " + quoteList(strings.Fields(line))
		if strings.ContainsAny(line, shellSigns) {
			detail = "No shell reads it. For pipes, redirections, variables and quotes, call one:\n\n  command = [\"sh\", \"-c\", " + quote(line) + "]"
		}
		return nil, append(problems, &stage.Problem{Path: "command", Summary: "The command is a string", Detail: detail})
	}
	if len(list) == 0 {
		return nil, append(problems, stage.Problemf("command", "The command is empty", "Its first string is the program: [\"python\", \"src/train.py\"]."))
	}
	args := make([]string, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case string:
			args[i] = v
		case json.Number:
			args[i] = v.String()
		case bool:
			args[i] = strconv.FormatBool(v)
		default:
			problems = append(problems, stage.Problemf(fmt.Sprintf("command[%d]", i), "An argument of the command is not a string",
				"Each element is one argument. Spread a list with concat([…], …), turn a structure into text with jsonencode(…), name a stage's file with .path."))
		}
		if strings.ContainsRune(args[i], 0) {
			problems = append(problems, stage.Problemf(fmt.Sprintf("command[%d]", i), "An argument holds a zero byte", "No program can be given one. Pass such data in a file."))
		}
	}
	if _, isString := list[0].(string); isString && strings.TrimSpace(args[0]) == "" {
		problems = append(problems, stage.Problemf("command[0]", "The program has no name", "The first string of the command is the program to run."))
	}
	return args, problems
}

// shellSigns are characters that mean something to a shell, and that a program
// would get as they are.
const shellSigns = "|&;<>()$`\\\"'*?[#~{}\n"

func quoteList(words []string) string {
	for i, w := range words {
		words[i] = quote(w)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// quote writes s as HCL reads it, in which ${ begins a template.
func quote(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
}

// outputs returns them sorted by name.
func outputs(paths map[string]string, problems stage.Problems) ([]stage.Output, stage.Problems) {
	var all []stage.Output
	for _, name := range sortedKeys(paths) {
		at := "outputs." + name
		if !hclsyntax.ValidIdentifier(name) {
			problems = append(problems, stage.Problemf(at, "The name of an output is not an identifier",
				"%q cannot be referred to. Use letters, digits and underscores, beginning with a letter.", name))
		}
		clean, problem := inProject(at, paths[name])
		if problem != nil {
			problems = append(problems, problem)
			continue
		}
		all = append(all, stage.Output{Name: name, Path: clean, Dir: strings.HasSuffix(paths[name], "/")})
	}
	return all, problems
}

// metricsFiles checks them; they are among the outputs, in one, or of their own.
func metricsFiles(paths []string, job *stage.Job, problems stage.Problems) ([]string, stage.Problems) {
	var files []string
	for i, p := range paths {
		at := fmt.Sprintf("metrics[%d]", i)
		clean, problem := inProject(at, p)
		switch {
		case problem != nil:
			problems = append(problems, problem)
			continue
		case !known(clean):
			problems = append(problems, stage.Problemf(at, "Not a kind of file that metrics are read from",
				"%q has the extension %q. Metrics are read from %s.", p, path.Ext(clean), strings.Join(extensions, ", ")))
		case slices.Contains(files, clean):
			problems = append(problems, stage.Problemf(at, "A metrics file is there twice", "Remove one of the two %q.", p))
		case slices.ContainsFunc(job.Inputs, func(in stage.Input) bool { return in.From == nil && in.Path == clean }):
			problems = append(problems, stage.Problemf(at, "A metrics file is also an input", "The program is to write %q, so it cannot be one of the inputs.", p))
		}
		files = append(files, clean)
	}
	return files, problems
}

func checkEnv(env map[string]string, problems stage.Problems) stage.Problems {
	for _, name := range sortedKeys(env) {
		at := "env." + name
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(env[name], 0):
			problems = append(problems, stage.Problemf(at, "Not an environment variable", "A name has no equals sign and is not empty; neither it nor the value holds a zero byte."))
		case name == stage.EventsEnv:
			problems = append(problems, stage.Problemf(at, "The environment variable is flow's own", "%s tells the program where to report progress. Choose another name.", name))
		}
	}
	return problems
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// checkpoint is a directory of its own, which no input or output has to do with.
func checkpoint(dir string, job *stage.Job, problems stage.Problems) (string, stage.Problems) {
	if dir == "" {
		return "", problems
	}
	clean, problem := inProject("checkpoint", dir)
	if problem != nil {
		return "", append(problems, problem)
	}
	if job.Isolation == stage.None {
		return "", append(problems, stage.Problemf("checkpoint", "A checkpoint in the project itself",
			"With isolation = \"none\" the program runs in the project, and what it leaves there is there the next time. Remove this argument."))
	}
	used := slices.Clone(job.MetricsFiles)
	for _, o := range job.Outputs {
		used = append(used, o.Path)
	}
	for _, in := range job.Inputs {
		if in.Path != "" && covers(in, clean) {
			used = append(used, clean)
			break
		}
		used = append(used, path.Clean(in.Path))
	}
	for _, u := range used {
		if u == clean || below(u, clean) || below(clean, u) {
			return "", append(problems, stage.Problemf("checkpoint", "The checkpoint overlaps an input or an output",
				"What is saved on the way is neither: give %q a directory that nothing else is in, such as \"checkpoints/\".", dir))
		}
	}
	return clean, problems
}

// resumeOver checks that there is a number of each name, and a directory in which
// the program saves how far it has come.
func resumeOver(cfg Config, unknown func(string) bool, problems stage.Problems) ([]string, stage.Problems) {
	if len(cfg.ResumeOver) > 0 && cfg.Checkpoint == "" {
		problems = append(problems, stage.Problemf("resume_over", "Nothing is saved that a run could go on from",
			"Name the directory in which the program saves its state: checkpoint = \"saved/\"."))
	}
	for i, name := range cfg.ResumeOver {
		variable, isEnv := strings.CutPrefix(name, "env.")
		value, given := cfg.Env[variable]
		_, err := strconv.ParseFloat(value, 64)
		if !isEnv || !unknown("env") && (!given || err != nil) {
			problems = append(problems, stage.Problemf(fmt.Sprintf("resume_over[%d]", i), fmt.Sprintf("%q is no environment variable with a number", name),
				"What a run goes on over is told to the program in env, such as env = { EPOCHS = 20 } and resume_over = [\"env.EPOCHS\"]."))
		}
	}
	return cfg.ResumeOver, problems
}

// addProgram makes a program of the project an input: a relative path with a
// slash cannot be anything else, and without the file nothing could run.
func addProgram(job *stage.Job) {
	if len(job.Command) == 0 {
		return
	}
	program := job.Command[0]
	clean := path.Clean(program)
	if !strings.Contains(program, "/") || path.IsAbs(program) || strings.HasPrefix(clean, "../") || isTool(clean) {
		return
	}
	for _, in := range job.Inputs {
		if covers(in, clean) {
			return
		}
	}
	job.Inputs = append(job.Inputs, stage.Input{Role: "command[0]", Path: clean})
}

// isTool reports whether a program most likely belongs to an environment that
// was installed into the project: .venv/bin/python, node_modules/.bin/tsc. The
// engine lets such programs run where they are. As inputs they would be links
// to places that differ from machine to machine.
func isTool(program string) bool {
	first, _, _ := strings.Cut(program, "/")
	switch first {
	case "venv", "env", "node_modules":
		return true
	}
	return strings.HasPrefix(first, ".")
}
