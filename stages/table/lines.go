package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxRecord bounds one record, so that a quote that is never closed is an
// error and not a machine out of memory.
const maxRecord = 64 << 20

var byteOrderMark = []byte("\xef\xbb\xbf")

// lines reads a text file line by line.
type lines struct {
	name string
	in   *bufio.Reader
	long []byte // a line longer than in's buffer
	n    int64  // lines read
	// ending is the line break of the last line: "\n", "\r\n", or "" at the
	// end of a file.
	ending string
}

func newLines(name string, in io.Reader) (*lines, error) {
	l := &lines{name: name, in: bufio.NewReaderSize(in, 256<<10)}
	head, err := l.in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	switch {
	case bytes.Equal(head, byteOrderMark):
		_, _ = l.in.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, fmt.Errorf("%s: text in UTF-16, want UTF-8; iconv -f UTF-16 -t UTF-8 converts it", name)
	}
	return l, nil
}

// next returns the next line without its line break. The bytes are valid until
// the following call.
func (l *lines) next() ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = l.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			l.long = append(l.long, line...)
			if len(l.long) > maxRecord {
				return nil, fmt.Errorf("%s:%d: line longer than %d MiB", l.name, l.n+1, maxRecord>>20)
			}
			line, err = l.in.ReadSlice('\n')
		}
		l.long = append(l.long, line...)
		line = l.long
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", l.name, err)
	}
	if len(line) == 0 {
		return nil, io.EOF
	}
	l.n++
	l.ending = ""
	if n := len(line); line[n-1] == '\n' {
		line, l.ending = line[:n-1], "\n"
		if n > 1 && line[n-2] == '\r' {
			line, l.ending = line[:n-2], "\r\n"
		}
	}
	return line, nil
}
