package runs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// poll is how often a follower looks for more. A look costs two system calls.
const poll = 100 * time.Millisecond

// abandonedAfter is when a record that is not complete, and not locked, was
// given up: its creator lives a few milliseconds between the two.
const abandonedAfter = time.Minute

// Follow returns a reader of a file of the run, Events or a Log, that waits for
// more while the run lives, and for the file to appear. It ends with io.EOF
// when the run has ended, or its process has died, and everything is read; or
// with ctx's error. It is for one goroutine; Close it.
func (p *Past) Follow(ctx context.Context, path string) io.ReadCloser {
	// The reader is one operation, and ctx is that operation's.
	return &follower{ctx: ctx, run: p.Dir, path: path}
}

type follower struct {
	ctx  context.Context
	run  string
	path string
	file *os.File
	done bool // nothing more will be written
}

// Read implements io.Reader.
func (f *follower) Read(b []byte) (int, error) {
	for {
		n, err := f.read(b)
		if n > 0 || err != nil {
			return n, err
		}
		if f.done {
			return 0, io.EOF
		}
		if !live(f.run) {
			// What was written between the last read and the end of the
			// process is still to be read.
			f.done = true
			continue
		}
		select {
		case <-f.ctx.Done():
			return 0, f.ctx.Err()
		case <-time.After(poll):
		}
	}
}

// read reads what there is; nothing is no error.
func (f *follower) read(b []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	if f.file == nil {
		file, err := os.Open(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		f.file = file
	}
	n, err := f.file.Read(b)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Close implements io.Closer.
func (f *follower) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// abandoned reports whether a directory that Create was filling will never be
// complete.
func abandoned(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || time.Since(info.ModTime()) < abandonedAfter {
		return false
	}
	_, err = os.Stat(filepath.Join(dir, lockFile))
	return errors.Is(err, fs.ErrNotExist) || !live(dir)
}
