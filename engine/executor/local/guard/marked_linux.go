package guard

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long KillMarked waits for processes to die. A process in an
// uninterruptible wait, on a dead network file system, dies when that ends.
const patience = 5 * time.Second

// maxProbes is how many process ids are looked at one by one, before listing
// /proc is cheaper: an id that is not there costs 2 µs, an entry of /proc 0.5.
const maxProbes = 256

// KillMarked kills the processes whose environment has all the marks, each
// "NAME=value", and returns when there are none left or its patience is at its
// end. It returns whether it found any. since narrows the search to processes
// that started after the process of this id, if it is not 0.
//
// Process ids are handed out in order. So after a task that made three
// processes, three ids are looked at and not all of /proc: 71 µs instead of
// 770 µs with 90 processes on the machine, and that grows with them.
func KillMarked(since int, marks ...string) (found bool) {
	s := newScanner(marks)
	end := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		again := false
		for _, pid := range candidates(since) {
			if s.marked(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				again = true
			}
		}
		if !again || time.Now().After(end) {
			return found
		}
		found = true
		time.Sleep(pause)
	}
}

// Marked reports whether there is a living process that KillMarked would kill.
func Marked(since int, marks ...string) bool {
	s := newScanner(marks)
	for _, pid := range candidates(since) {
		if s.marked(pid) {
			return true
		}
	}
	return false
}

// scanner reads environments.
type scanner struct {
	marks [][]byte
	buf   bytes.Buffer
}

func newScanner(marks []string) *scanner {
	s := &scanner{}
	for _, m := range marks {
		s.marks = append(s.marks, []byte(m))
	}
	return s
}

// marked reports whether the living process has all marks. A zombie has no
// environment, so that what was killed is not found again.
func (s *scanner) marked(pid int) bool {
	if pid == os.Getpid() {
		return false
	}
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close()
	s.buf.Reset()
	s.buf.WriteByte(0)
	if _, err := io.Copy(&s.buf, f); err != nil {
		return false
	}
	env := s.buf.Bytes()
	for _, m := range s.marks {
		if !hasEntry(env, m) {
			return false
		}
	}
	return true
}

// hasEntry reports whether env, zero bytes around each entry, has the entry.
func hasEntry(env, entry []byte) bool {
	for {
		i := bytes.Index(env, entry)
		if i < 0 {
			return false
		}
		end := i + len(entry)
		if i > 0 && env[i-1] == 0 && (end == len(env) || env[end] == 0) {
			return true
		}
		env = env[i+1:]
	}
}

// candidates returns the ids that processes younger than since can have.
func candidates(since int) []int {
	if since > 0 {
		if last := lastPID(); last >= since && last-since <= maxProbes {
			ids := make([]int, 0, last-since)
			for id := since + 1; id <= last; id++ {
				ids = append(ids, id)
			}
			return ids
		}
	}
	last := lastPID()
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	var ids []int
	for _, name := range names {
		id, err := strconv.Atoi(name)
		// After a wrap-around, the young ones are above since or up to last.
		if err == nil && (id > since || last < since) {
			ids = append(ids, id)
		}
	}
	return ids
}

// lastPID returns the id that was handed out last in this PID namespace, 0 if
// that is not known.
func lastPID() int {
	if b, err := os.ReadFile("/proc/sys/kernel/ns_last_pid"); err == nil {
		if id, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return id
		}
	}
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) == 0 {
		return 0
	}
	id, _ := strconv.Atoi(fields[len(fields)-1])
	return id
}
