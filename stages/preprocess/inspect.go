package preprocess

import (
	"errors"
	"io"
	"path"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

var _ stage.Inspector = Type{}

// errNotKnown says that the columns of an input will be known later.
var errNotKnown = errors.New("the columns are not known yet")

// Inspect puts the steps on top of tables without rows: that is where columns
// are looked up and expressions compiled.
func (Type) Inspect(in *stage.Inspection) (stage.Heads, error) {
	cfg, err := stage.Decode[Config](in.Args)
	if err != nil {
		return nil, err
	}
	p := &pipe{cfg: cfg, counts: map[string]*int64{}, dropped: map[string]*int64{}}
	p.look = func(file, role string, options table.Options) ([]table.Column, error) {
		head, ok := in.Head(role, stage.Artifact(file))
		// Of a table with types that is not there yet, the types are unknown,
		// and an expression cannot be judged.
		if ok && (head.File != "" || isText(file)) {
			if columns, ok := table.Known(head.File, head.Columns, options); ok {
				return columns, nil
			}
		}
		return nil, errNotKnown
	}
	out, err := p.build()
	if errors.Is(err, errNotKnown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return stage.Heads{"data": table.Names(out.columns())}, nil
}

func isText(file string) bool {
	f, err := table.FormatOf(path.Base(strings.TrimSuffix(file, ".gz")))
	return err == nil && (f == table.CSV || f == table.TSV)
}

// head is a table of which the columns alone are looked at.
type head []table.Column

func (h head) columns() []table.Column      { return h }
func (h head) position() string             { return "" }
func (h head) next() ([]table.Value, error) { return nil, io.EOF }
