package engine

import (
	"errors"

	"github.com/flow-pipelines/flow/engine/pinned"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Pin writes a plan of this project down.
func (p *Project) Pin(pl *plan.Plan, sel Selection) (*pinned.Document, error) {
	return p.pin(pl, sel, nil)
}

func (p *Project) pin(pl *plan.Plan, sel Selection, salt []byte) (*pinned.Document, error) {
	r, _ := p.renamed()
	return pinned.Of(pinned.Made{Plan: pl, Pipeline: p.pipeline, Lock: r.Lock, Flow: p.opts.Version, Selection: sel, Salt: salt})
}

// fits compares a saved plan, if there is one, with the plan made now.
func (p *Project) fits(saved *pinned.Document, pl *plan.Plan) error {
	if saved == nil {
		return nil
	}
	now, err := p.pin(pl, saved.Selection, saved.Salt)
	if err != nil {
		return err
	}
	ds, err := saved.Compare(now)
	if err != nil {
		return err
	}
	if len(ds) > 0 {
		return &pinned.StaleError{Differences: ds}
	}
	return nil
}

// notFitting makes a difference from a saved plan, if there is one, of stages
// that were selected and are no more.
func (p *Project) notFitting(saved *pinned.Document, err error) error {
	var unknown *UnknownStageError
	if saved == nil || !errors.As(err, &unknown) {
		return err
	}
	return &pinned.StaleError{Differences: []pinned.Difference{{Of: unknown.Pattern.String(), Text: "is no stage of the pipeline any more"}}}
}
