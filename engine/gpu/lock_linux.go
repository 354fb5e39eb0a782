package gpu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// gate is the byte that is locked while somebody chooses among the others, each
// of which is a unit of the device's memory.
const gate = 1 << 20

// lock is some units of a device. Its locks belong to the open file, not to the
// process, so that two loans of one process exclude each other too.
type lock struct{ file *os.File }

func (l *lock) release() { _ = l.file.Close() }

// acquire locks want of the units of a device; nil if so many are not free.
func acquire(dir, device string, want, units int64) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, device), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lend GPU %s: %w", device, err)
	}
	l := &lock{f}
	if err := set(f, unix.F_OFD_SETLKW, unix.F_WRLCK, gate); err != nil {
		l.release()
		return nil, fmt.Errorf("lend GPU %s: %w", device, err)
	}
	for i := int64(0); i < units && want > 0; i++ {
		err := set(f, unix.F_OFD_SETLK, unix.F_WRLCK, i)
		switch {
		case err == nil:
			want--
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
		default:
			l.release()
			return nil, fmt.Errorf("lend GPU %s: %w", device, err)
		}
	}
	if want > 0 {
		l.release()
		return nil, nil
	}
	if err := set(f, unix.F_OFD_SETLK, unix.F_UNLCK, gate); err != nil {
		l.release()
		return nil, fmt.Errorf("lend GPU %s: %w", device, err)
	}
	return l, nil
}

func set(f *os.File, command int, kind int16, at int64) error {
	for {
		err := unix.FcntlFlock(f.Fd(), command, &unix.Flock_t{Type: kind, Whence: 0, Start: at, Len: 1})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Dir returns the directory in which this user's flows lock devices, and makes
// it. Nobody else may write there.
func Dir(environ []string) (string, error) {
	base := filepath.Join(os.TempDir(), fmt.Sprintf("flow-%d", os.Getuid()))
	if runtime, ok := (Machine{Environ: environ}).env("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(runtime) {
		base = filepath.Join(runtime, "flow")
	}
	dir := filepath.Join(base, "gpu")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make directory for locks of GPUs: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(base, &st); err != nil {
		return "", fmt.Errorf("directory for locks of GPUs: %w", err)
	}
	if int(st.Uid) != os.Getuid() || st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o022 != 0 {
		return "", fmt.Errorf("%s is to hold locks of GPUs, but others can write there; remove it", base)
	}
	return dir, nil
}
