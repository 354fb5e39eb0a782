package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/executor"
)

// Landlock (https://docs.kernel.org/userspace-api/landlock.html) is an allow
// list of trees. "Everything but the project" is therefore said as: on the way
// from / down to the project, at each level, every neighbour of the next step;
// then the parts of the project that are allowed.
//
// What follows from that, and is documented in executor.Confinement:
//   - The directories on the way cannot be listed, and nothing new can be made
//     in them: a right for them would be one for the project too.
//   - What appears beside the project after a task has started is out of its
//     reach.
//   - stat still works: a program sees that a file is there, and gets EACCES
//     when it opens it. That is good for messages.
//   - A task cannot mount, so it cannot start rootless containers, and because
//     of PR_SET_NO_NEW_PRIVS it cannot use sudo.
//   - A file of the project that has a hard link outside can be read there.
//
// It costs a task 0.9 ms on top of 1.3 ms for starting any process: 0.35 ms to
// make the rules for 60 neighbours, 5 µs for each more, the rest for the kernel
// to take them over and for the thread, which is not used again.

const (
	readRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// fileRights are those that a rule for a file, not a directory, may have.
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	// rightsV1 are all of the first version, executing to making symlinks.
	rightsV1 = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
)

// rules are a Landlock ruleset, for one task.
type rules struct {
	fd      int // -1 if nothing is enforced
	missing string

	all     uint64 // every right that the kernel knows and that is handled
	project string
	allowed []string
}

// abi returns the version of Landlock, 0 if there is none. One system call.
func abi() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// unconfined says what cannot be enforced on this machine.
func unconfined() string { return shortcoming(abi()) }

func shortcoming(abi int) string {
	const without = "this kernel cannot keep a stage from reading undeclared files of the project by their absolute paths: "
	switch abi {
	case 0:
		return without + "it has no Landlock (Linux 5.13 and newer, enabled at boot)"
	case 1:
		// It forbids every rename between two directories, and with that
		// breaks too many programs.
		return without + "its Landlock is of the first version (Linux 5.19 and newer have the second)"
	case 2:
		return "this kernel cannot keep a stage from truncating undeclared files of the project (Linux 6.2 and newer can)"
	}
	return ""
}

// newRules makes the ruleset of a task that works in dir.
func newRules(c *executor.Confinement, dir string) (*rules, error) {
	version := abi()
	r := &rules{fd: -1, missing: shortcoming(version)}
	if version < 2 {
		return r, nil
	}
	project, err := filepath.EvalSymlinks(c.Project)
	if err != nil {
		return nil, err
	}
	if project == "/" {
		return nil, errors.New("the project is the root directory: nothing would be left")
	}
	r.project = project
	r.all = rightsV1 | unix.LANDLOCK_ACCESS_FS_REFER
	if version >= 3 {
		r.all |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	attr := struct{ handledFS uint64 }{r.all}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return nil, fmt.Errorf("create ruleset: %w", errno)
	}
	r.fd = int(fd)
	if err := r.fill(c, dir); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rules) fill(c *executor.Confinement, dir string) error {
	if err := r.allowNeighbours(); err != nil {
		return err
	}
	for _, w := range append([]string{dir}, c.Writable...) {
		if err := r.allow(w, r.all); err != nil {
			return err
		}
	}
	for _, a := range c.Allow {
		if err := r.allow(a, readRights); err != nil {
			return err
		}
	}
	return nil
}

// allowNeighbours allows everything that is not on the way to the project.
func (r *rules) allowNeighbours() error {
	at, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	level := os.NewFile(uintptr(at), "/")
	for _, step := range strings.Split(strings.Trim(r.project, "/"), "/") {
		next, err := r.allowAllBut(level, step)
		level.Close()
		if err != nil {
			return err
		}
		level = next
	}
	return level.Close()
}

// allowAllBut allows the entries of dir other than step, and opens step.
func (r *rules) allowAllBut(dir *os.File, step string) (*os.File, error) {
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir.Name(), err)
	}
	at := int(dir.Fd())
	for _, e := range entries {
		// A rule for a symbolic link would be one for its target, which may
		// be the project; the target has a rule of its own, where it lies.
		if e.Name() == step || e.Name() == ".git" || e.Type()&os.ModeSymlink != 0 {
			continue
		}
		fd, err := unix.Openat(at, e.Name(), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // gone meanwhile, or not for this user: the task cannot use it either
		}
		rights := r.all
		if !e.IsDir() {
			rights &= fileRights
		}
		err = r.add(fd, rights)
		_ = unix.Close(fd)
		if err != nil {
			return nil, fmt.Errorf("allow %s: %w", filepath.Join(dir.Name(), e.Name()), err)
		}
	}
	path := filepath.Join(dir.Name(), step)
	fd, err := unix.Openat(at, step, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// allow gives rights for path and all below it. A path that is not there
// needs no rule.
func (r *rules) allow(path string, rights uint64) error {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("allow %s: %w", path, err)
	}
	if within(r.project, target) {
		return fmt.Errorf("allow %s: it holds the whole project", path)
	}
	r.allowed = append(r.allowed, target)
	fd, err := unix.Open(target, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("allow %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("allow %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	if err := r.add(fd, rights); err != nil {
		return fmt.Errorf("allow %s: %w", path, err)
	}
	return nil
}

func (r *rules) add(fd int, rights uint64) error {
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// restrictThread confines the calling thread, for ever, and what it forks.
func (r *rules) restrictThread() error {
	if r.fd < 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no new privileges: %w", err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r.fd), 0, 0); errno != 0 {
		return fmt.Errorf("restrict thread: %w", errno)
	}
	return nil
}

// denies reports whether the rules are why path cannot be read.
func (r *rules) denies(path string) bool {
	if r == nil || r.fd < 0 {
		return false
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil || !within(target, r.project) {
		return false
	}
	for _, a := range r.allowed {
		if within(target, a) {
			return false
		}
	}
	return true
}

// within reports whether path is root or below it.
func within(path, root string) bool {
	return path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
}

func (r *rules) close() {
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
		r.fd = -1
	}
}
