//go:build !linux

package guard

// KillMarked does nothing here: other processes' environments cannot be read.
// Processes that leave their group with setsid can outlive flow.
func KillMarked(since int, marks ...string) (found bool) { return false }

// Marked reports that there are none that KillMarked would kill.
func Marked(since int, marks ...string) bool { return false }
