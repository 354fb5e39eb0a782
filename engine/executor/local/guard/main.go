package guard

import (
	"bufio"
	"io"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// Main is the guardian: it reads from r, its standard input, which process
// groups live, and kills what is left if r ends without a farewell. It returns
// the exit status of the process: 0 after a farewell, 1 if flow had died, 2 if
// whoever started it does not speak its language.
func Main(r io.Reader) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	lines := bufio.NewScanner(r)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), greeting) {
		return 2
	}
	mark := strings.TrimPrefix(lines.Text(), greeting)
	if !strings.Contains(mark, "=") {
		return 2
	}
	groups := map[int]struct{}{}
	for lines.Scan() {
		line := lines.Text()
		if line == farewell {
			return 0
		}
		if len(line) < 2 {
			continue
		}
		// 1 and below are not groups: kill(-1) would be everybody's end.
		pgid, err := strconv.Atoi(line[1:])
		if err != nil || pgid <= 1 {
			continue
		}
		switch line[0] {
		case '+':
			groups[pgid] = struct{}{}
		case '-':
			delete(groups, pgid)
		}
	}
	for pgid := range groups {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
	KillMarked(0, mark)
	return 1
}
