package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// reflink makes dst, which must not exist, share the blocks of src.
func reflink(src *os.File, dst string, perm os.FileMode) error {
	if err := unix.Fclonefileat(int(src.Fd()), unix.AT_FDCWD, dst, 0); err != nil {
		return err
	}
	return os.Chmod(dst, perm)
}

// syncFS makes everything on the file system of name durable. done is false
// where there is no such call: macOS has none that waits.
func syncFS(string) (done bool, err error) { return false, nil }

// fdatasync makes the bytes of a file durable.
func fdatasync(f *os.File) error { return f.Sync() }
