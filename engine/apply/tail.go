package apply

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// tail calls line for each line that a growing file gets beyond the offset,
// until stop is closed and the file is read to its end. A last line without an
// end counts.
//
// It polls: ten reads a second of a file in the page cache cost nothing next
// to the stage that writes it, and work on every file system.
func tail(path string, from int64, stop <-chan struct{}, line func(string)) {
	var f *os.File
	defer func() {
		if f != nil {
			_ = f.Close()
		}
	}()
	var part []byte
	read := func() {
		if f == nil {
			var err error
			if f, err = os.Open(path); err != nil {
				f = nil
				return
			}
			if _, err := f.Seek(from, io.SeekStart); err != nil {
				return
			}
		}
		part = lines(f, part, line)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			read()
		case <-stop:
			read()
			if len(part) > 0 {
				line(string(part))
			}
			return
		}
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
