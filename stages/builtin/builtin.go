// Package builtin lists the stage types that come with flow.
package builtin

import (
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/dataset"
	"github.com/flow-pipelines/flow/stages/deploy"
	"github.com/flow-pipelines/flow/stages/evaluate"
	"github.com/flow-pipelines/flow/stages/exec"
	"github.com/flow-pipelines/flow/stages/images"
	"github.com/flow-pipelines/flow/stages/preprocess"
	"github.com/flow-pipelines/flow/stages/selection"
	"github.com/flow-pipelines/flow/stages/split"
	"github.com/flow-pipelines/flow/stages/train"
)

// Types returns the stage types, in the order in which a pipeline uses them.
func Types() []stage.Type {
	return []stage.Type{
		dataset.Type{},
		exec.Type{},
		images.Type{},
		preprocess.Type{},
		split.Type{},
		train.Type{},
		selection.Type{},
		evaluate.Type{},
		deploy.Type{},
	}
}
