package config

import (
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Options say what to load.
type Options struct {
	// Dir is the project, an absolute path.
	Dir string
	// Types are the stage types there are.
	Types []stage.Type
	// Version is flow's own, compared with required_version; "" matches all.
	Version string
	// Vars are values from the command line (--var), in HCL or plain text.
	Vars map[string]string
	// VarFiles are paths (--var-file), relative to Dir unless absolute. A
	// later file wins.
	VarFiles []string
	// Values are values of variables that a saved plan pins. They win over
	// all others; sensitive variables are never among them.
	Values map[string]cty.Value
	// Unset says that variables without a value are unknown, and no mistake.
	Unset bool
	// Environ is the environment, in os.Environ's form; of it FLOW_VAR_ names
	// are read, and those that the pipeline block lists.
	Environ []string
	// Baseline reads what other revisions have recorded; nil: it is unknown.
	Baseline Baseline
	// Remote finds a module that comes from elsewhere than the project, that
	// of a source with :: in it: the directory of its files, and the one that
	// its own sources may not lead out of, both relative to Dir. Nil: there
	// are none. An error that is a *SourceError is shown as it is.
	Remote func(at addr.Module, source string) (folder, limit string, err error)
	// Recorded returns the output of a stage that a path of the project is, or lies
	// in, as flow.lock has it; nil: there are none.
	Recorded func(path string) (output string, ok bool)
	// Plugins finds those that the pipeline declares; nil: there are none.
	Plugins Plugins
}

// SourceError says why a module is not to be had.
type SourceError struct{ Summary, Detail string }

func (e *SourceError) Error() string { return e.Summary + ": " + e.Detail }

// Results tells what the stages that have run have found.
type Results interface {
	// Metrics returns a stage's metrics; false: not known yet.
	Metrics(addr.Address) (stage.Metrics, bool)
	// Content returns what a stage has written as one of its outputs; nil: not
	// known yet.
	Content(a addr.Address, output string) Content
}

// Content is what a stage has written as one of its outputs.
type Content interface {
	// Files lists the files, sorted by path.
	Files() []File
	// Read returns the bytes of one of them.
	Read(File) ([]byte, error)
}

// File is a file of an output. Its path is relative to the output, with
// slashes, and "" if the output is the file itself.
type File struct {
	Path   string
	Digest digest.Digest
	Size   int64 // bytes
}

// NoResults is the Results in which nothing is known.
type NoResults struct{}

// Metrics returns false.
func (NoResults) Metrics(addr.Address) (stage.Metrics, bool) { return nil, false }

// Content returns nil.
func (NoResults) Content(addr.Address, string) Content { return nil }

var _ Results = NoResults{}

// Pipeline is what a project's files say. It does not change after Load; its
// methods may be called concurrently. What Expand returns has the same text.
type Pipeline struct {
	*text

	once      sync.Once
	base      *evaluation // with nothing known, or what Expand was told
	baseDiags hcl.Diagnostics
	placed    []placed // the instances, dependencies first
	written   []place  // the outputs of stages that run, by path
	// refused are the deferred blocks that the results, as they are, give no
	// instances, with what is wrong.
	refused map[addr.Address]hcl.Diagnostics
}

// text is what was read, whatever is known of results.
type text struct {
	*module  // the project's own blocks
	settings Settings
	version  string // flow's own
	dir      string
	remote   func(at addr.Module, source string) (folder, limit string, err error)
	files    map[string]*hcl.File
	taken    map[string]bool              // the paths of files and of the directories around them
	parsed   map[string][]*hclsyntax.Body // by directory
	decoded  map[string][]decodedText     // of JSON files
	types    map[string]*stageType
	finder   Plugins // nil: there are none
	plugins  []*Plugin
	lacking  bool                    // a declared plugin is not to be had, nor are its types
	modules  map[addr.Module]*module // by path without keys
	tree     []*module               // a module before those in it
	order    []*block                // dependencies first
	ranks    [][]*block              // the same: those of a rank need blocks of lower ones alone
	checks   []*check                // sorted by module and name
	moves    []Move
	removals []Removal
	funcs    *functions
	env      *environment
	failed   bool // Load found errors
	faults   *faults
	looks    *looks

	secrets *secrets
}

// block returns the block that a is an instance of, nil if there is none.
func (p *Pipeline) block(a addr.Address) *block {
	a = a.Block()
	m := p.modules[a.Module]
	if m == nil {
		return nil
	}
	return m.blocks[a]
}

// Settings are the arguments of the pipeline block.
type Settings struct {
	// Name is the block's label, or the folder's name if there is no block.
	Name            string
	RequiredVersion string
	// OutputDir is where outputs lie that are given no path: "out". Relative
	// to the project.
	OutputDir string
	// Cache is a directory to share between projects; "" is the project's own.
	Cache string
	// Capacity is how many there are of the licenses that stages ask for.
	Capacity map[string]int
	Range    hcl.Range
}

// Output is an output block, evaluated.
type Output struct {
	Name        string
	Value       cty.Value // unmarked; may be or hold unknowns
	Sensitive   bool      // declared so, or made from a sensitive value
	Description string
	Deps        []addr.Address
	Range       hcl.Range
	// Mistakes are why it has no value: what the results that are known have
	// shown to be wrong with it.
	Mistakes hcl.Diagnostics
}

// Type returns the stage type of this name, nil if there is none.
func (p *Pipeline) Type(name string) stage.Type {
	if st := p.types[name]; st != nil {
		return st.typ
	}
	return nil
}

// Settings returns the pipeline block's arguments, with defaults.
func (p *Pipeline) Settings() Settings { return p.settings }

// Files returns the parsed files by the names that diagnostics use, for
// snippets: the *.hcl files by their path in the project.
func (p *Pipeline) Files() map[string]*hcl.File { return p.files }
