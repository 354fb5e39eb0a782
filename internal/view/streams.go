package view

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Streams are the input and the outputs of a command, and what is known of them.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// InTTY, OutTTY and ErrTTY say which of them is a terminal.
	InTTY, OutTTY, ErrTTY bool
	// OutColor and ErrColor say which of them takes colours.
	OutColor, ErrColor bool
	// Columns is the width that the environment asks for, 0 if it does not.
	// It counts for what goes to no terminal.
	Columns int
	// Size returns the columns and lines of the terminal as they are now,
	// zero where there is none; may be nil.
	Size func() (columns, lines int)
	// Raw has the terminal of In give each key at once, until restore is
	// called; nil where In is no terminal.
	Raw func() (restore func(), err error)
}

// StandardStreams are those of the process. environ, in os.Environ's form,
// decides about colours; see WantColor.
func StandardStreams(environ []string) *Streams {
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY: isTerminal(os.Stdin), OutTTY: isTerminal(os.Stdout), ErrTTY: isTerminal(os.Stderr),
	}
	s.OutColor, s.ErrColor = WantColor(environ, s.OutTTY), WantColor(environ, s.ErrTTY)
	s.Columns, _ = strconv.Atoi(Getenv(environ, "COLUMNS"))
	s.Size = func() (int, int) {
		for _, f := range []*os.File{os.Stderr, os.Stdout} {
			if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 0 {
				return int(ws.Col), int(ws.Row)
			}
		}
		return 0, 0
	}
	if s.InTTY {
		s.Raw = func() (func(), error) {
			fd := int(os.Stdin.Fd())
			before, err := term.MakeRaw(fd)
			if err != nil {
				return nil, err
			}
			return func() { _ = term.Restore(fd, before) }, nil
		}
	}
	return s
}

func isTerminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) }

// Getenv returns the last value of a variable in an environment of os.Environ's
// form, "" if there is none.
func Getenv(environ []string, name string) string {
	for i := len(environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// WantColor decides whether a stream gets colours: NO_COLOR turns them off,
// CLICOLOR_FORCE and FORCE_COLOR on; else a terminal has them unless it is dumb.
// See https://no-color.org and https://bixense.com/clicolors.
func WantColor(environ []string, tty bool) bool {
	forced := func(name string) bool {
		v := Getenv(environ, name)
		return v != "" && v != "0"
	}
	switch {
	case Getenv(environ, "NO_COLOR") != "":
		return false
	case forced("CLICOLOR_FORCE"), forced("FORCE_COLOR"):
		return true
	}
	return tty && Getenv(environ, "TERM") != "dumb"
}

// Printer returns a Printer to the output for results.
func (s *Streams) Printer() *Printer { return NewPrinter(s.Out, s.OutColor, s.width(s.OutTTY)) }

// ErrPrinter returns a Printer to the output for progress and errors.
func (s *Streams) ErrPrinter() *Printer { return NewPrinter(s.Err, s.ErrColor, s.width(s.ErrTTY)) }

func (s *Streams) width(tty bool) int {
	if !tty {
		return s.Columns
	}
	if s.Size == nil {
		return 0
	}
	w, _ := s.Size()
	return w
}
