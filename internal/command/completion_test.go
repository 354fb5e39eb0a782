package command

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flow-pipelines/flow/internal/view"
)

// Who adds a command or a flag decides what a shell offers for it: left alone, it
// is offered the files of the directory.
func TestEachCommandAndFlagSaysWhatCompletesIt(t *testing.T) {
	root := newRoot(&Shell{Streams: &view.Streams{}})
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			check(sub)
		}
		if c.Hidden || slices.Contains([]string{"help", "completion", "bash", "zsh", "fish", "powershell"}, c.Name()) {
			return
		}
		if !c.HasSubCommands() && c.ValidArgsFunction == nil {
			t.Errorf("%s: nothing says what completes its arguments", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			_, own := c.GetFlagCompletionFunc(f.Name)
			if !own && len(f.Annotations) == 0 && f.Value.Type() != "bool" {
				t.Errorf("%s: nothing says what completes --%s", c.CommandPath(), f.Name)
			}
		})
	}
	check(root)
}
