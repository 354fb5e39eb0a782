// Command flow runs machine-learning pipelines; see internal/command.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/flow-pipelines/flow/internal/command"
)

func main() { os.Exit(run()) }

// run returns the exit status. The first interrupt cancels the context, upon
// which an apply tells its stages to end; the second ends the process, as
// signals do, and the guardian of the run kills what is left of it.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	sh, err := newShell()
	if err != nil {
		os.Stderr.WriteString("error: " + err.Error() + "\n")
		return 1
	}
	return command.Main(ctx, sh, os.Args[1:])
}
