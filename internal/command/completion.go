package command

import (
	_ "embed"
	"io"

	"github.com/spf13/cobra"
)

// bashCompletion is added to the script that cobra makes.
//
//go:embed completion.bash
var bashCompletion string

// completeBash has `flow completion bash` write a script that knows quotes, in
// which addresses with keys are best written.
func completeBash(root *cobra.Command, out io.Writer) {
	root.InitDefaultCompletionCmd()
	bash, _, err := root.Find([]string{"completion", "bash"})
	if err != nil || bash.Name() != "bash" {
		panic("BUG: cobra has no command completion bash")
	}
	bash.RunE = func(*cobra.Command, []string) error {
		descriptions, err := bash.Flags().GetBool("no-descriptions")
		if err != nil {
			return err
		}
		if err := root.GenBashCompletionV2(out, !descriptions); err != nil {
			return err
		}
		_, err = io.WriteString(out, bashCompletion)
		return err
	}
}
