package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/event"
)

// hold takes the project for one writer: apply, checkout, rollback. Readers
// need no hold. It is an flock on .flow/apply.lock, so it ends with the
// process, however that ends. busy is called once, with what to tell a person,
// before hold waits for another process; nil tells nobody.
func (p *Project) hold(ctx context.Context, busy func(text string)) (release func(), err error) {
	name := p.path("apply.lock")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	p.hide()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	told := false
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if !told && busy != nil {
			told = true
			holder, _ := os.ReadFile(name)
			busy("another flow is at work in this project (" + strings.TrimSpace(string(holder)) + "); waiting until it has finished")
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	// The text helps a person who waits; a failure to write it is no reason
	// not to go on.
	_ = f.Truncate(0)
	_, _ = fmt.Fprintf(f, "process %d, since %s\n", os.Getpid(), p.opts.Clock().Format("15:04:05"))
	return func() { _ = f.Close() }, nil
}

// holdTelling is hold for who has a sink.
func (p *Project) holdTelling(ctx context.Context, sink event.Sink) (release func(), err error) {
	return p.hold(ctx, func(text string) {
		sink(event.Event{Time: p.opts.Clock(), Kind: event.Waiting, Text: text})
	})
}
