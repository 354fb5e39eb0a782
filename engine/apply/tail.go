package apply

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// tail follows a growing file from an offset until stop is closed and the file is
// read to its end. It calls line for each line; a last line without an end counts.
//
// It does not fall behind. Somebody who watches wants to see what happens now, and
// a program that prints faster than its lines can be shown would keep flow busy
// long after its own end. So when more than mostBehind has come since the last
// look, or anything worth a wait once ctx is done, tail goes on at the end of it,
// and calls left with the number of bytes in between.
//
// It polls: ten reads a second of a file in the page cache cost nothing next
// to the stage that writes it, and work on every file system.
func tail(ctx context.Context, path string, from int64, stop <-chan struct{}, line func(string), left func(bytes int64)) {
	t := &tailer{path: path, at: from, line: line, left: left}
	defer t.close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.look(ctx)
		case <-stop:
			t.look(ctx)
			if len(t.part) > 0 {
				line(string(t.part))
			}
			return
		}
	}
}

const (
	// mostBehind is what is shown of a file at one look, at least what programs
	// print in bursts.
	mostBehind = 1 << 20
	// resumed is what is shown of the end of what is more than that.
	resumed = 64 << 10
)

// tailer is how far tail has come.
type tailer struct {
	path string
	file *os.File // nil: it was not there yet
	at   int64
	part []byte // of a line whose end has not come
	line func(string)
	left func(bytes int64)
}

// look shows what has come since the last look.
func (t *tailer) look(ctx context.Context) {
	if t.file == nil {
		var err error
		if t.file, err = os.Open(t.path); err != nil {
			t.file = nil
			return
		}
	}
	info, err := t.file.Stat()
	if err != nil {
		return
	}
	for end := info.Size(); t.at < end; {
		most := int64(mostBehind)
		if ctx.Err() != nil {
			most = resumed
		}
		if end-t.at > most {
			t.skip(end)
		}
		piece := min(end-t.at, resumed)
		t.part = lines(io.NewSectionReader(t.file, t.at, piece), t.part, t.line)
		t.at += piece
	}
}

// skip goes on at a line near the end.
func (t *tailer) skip(end int64) {
	to := end - resumed
	near := make([]byte, resumed)
	n, _ := t.file.ReadAt(near, to)
	if i := bytes.IndexByte(near[:n], '\n'); i >= 0 && i+1 < n {
		to += int64(i + 1)
	}
	t.left(to - t.at + int64(len(t.part)))
	t.at, t.part = to, t.part[:0]
}

func (t *tailer) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}

// longestLine bounds what is kept of a line: a program that prints megabytes
// without a line break must not fill the memory.
const longestLine = 64 << 10

// readers are used again: stages by the thousand look into empty files.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

func lines(r io.Reader, part []byte, line func(string)) []byte {
	br := readers.Get().(*bufio.Reader)
	defer readers.Put(br)
	br.Reset(r)
	for {
		b, err := br.ReadSlice('\n')
		part = append(part, b...)
		// Progress bars overwrite their line by a carriage return; what counts
		// is what was written last.
		if i := bytes.LastIndexByte(bytes.TrimRight(part, "\r\n"), '\r'); i >= 0 {
			part = append(part[:0], part[i+1:]...)
		}
		if bytes.HasSuffix(part, []byte("\n")) {
			line(string(bytes.TrimRight(part, "\r\n")))
			part = part[:0]
		} else if len(part) > longestLine {
			part = part[:longestLine]
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return part
		}
	}
}

// lastLines returns the end of a log, at most n lines.
func lastLines(path string, n int) []string {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return nil
		}
	}
	var all []string
	rest := lines(f, nil, func(s string) { all = append(all, s) })
	if len(rest) > 0 {
		all = append(all, string(rest))
	}
	return all[max(0, len(all)-n):]
}
