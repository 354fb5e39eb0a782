package command

import "github.com/flow-pipelines/flow/internal/view"

// summary appends Markdown to the summary of a step of a GitHub workflow. That
// it cannot be written is told, and no reason to fail.
func (sh *Shell) summary(text string) {
	path := view.Getenv(sh.Environ, "GITHUB_STEP_SUMMARY")
	if path == "" {
		return
	}
	if err := view.AppendSummary(path, text); err != nil {
		sh.err().Warning(err.Error())
	}
}
