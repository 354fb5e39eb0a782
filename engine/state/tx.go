package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// format is the database's version: that of the buckets and what they are for.
// Values have versions of their own.
const (
	formatName = "flow state "
	format     = formatName + "1"
)

var (
	bucketMeta      = []byte("meta")
	bucketDirs      = []byte("dirs")
	bucketResults   = []byte("results")
	bucketDurations = []byte("durations")

	keyFormat = []byte("format")
)

// Tx is a transaction; it must not be used after its function has returned.
type Tx struct {
	bolt *bolt.Tx // nil: there is no database yet
}

// View runs read in a read-only transaction. read must not start another one.
// When the database turns out to be
// damaged, read is called again, on an empty one.
func (db *DB) View(ctx context.Context, read func(*Tx) error) error {
	db.inProcess.RLock()
	defer db.inProcess.RUnlock()
	err := db.once(ctx, read, false)
	if errors.Is(err, errDamaged) {
		return read(&Tx{})
	}
	return err
}

// Update runs write in a read-write transaction, which is durable when Update
// returns nil. write must not start another one. When the database turns out to be damaged, write is called
// again, on an empty one.
func (db *DB) Update(ctx context.Context, write func(*Tx) error) error {
	db.inProcess.Lock()
	defer db.inProcess.Unlock()
	err := db.once(ctx, write, true)
	if errors.Is(err, errDamaged) {
		err = db.once(ctx, write, true)
	}
	return err
}

// once does one transaction, and moves a damaged database aside.
func (db *DB) once(ctx context.Context, f func(*Tx) error, writable bool) error {
	h, err := db.open(ctx, writable)
	if err == nil && h.bolt == nil {
		return f(&Tx{})
	}
	if err == nil {
		err = h.transact(f, writable, db.path)
		if cerr := h.close(); err == nil {
			err = cerr
		}
	}
	if errors.Is(err, errDamaged) {
		if merr := db.moveAside(h.info, err); merr != nil {
			return fmt.Errorf("state: %w", errors.Join(merr, err))
		}
	}
	return err
}

// handle is an open database.
type handle struct {
	bolt *bolt.DB
	info os.FileInfo // of the opened file
	stay bool        // closing would wait for a transaction that cannot end
}

// open opens the file, waiting for its lock. A missing file is made for a
// writer; for a reader there is no database then.
func (db *DB) open(ctx context.Context, writable bool) (*handle, error) {
	if writable {
		if err := os.MkdirAll(filepath.Dir(db.path), 0o777); err != nil {
			return nil, fmt.Errorf("open state: %w", db.readOnly(err))
		}
	}
	start := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := db.tryOpen(writable)
		switch {
		case err == nil:
			return h, nil
		case !writable && errors.Is(err, fs.ErrNotExist):
			return &handle{}, nil
		case !errors.Is(err, bolterrors.ErrTimeout):
			return h, fmt.Errorf("open state: %w", db.readOnly(err))
		case time.Since(start) > db.lockWait:
			return nil, &LockError{Path: db.path, Waited: db.lockWait}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// readOnly marks err, of an attempt to write, as ErrReadOnly if nothing at all
// can be written where the database is.
func (db *DB) readOnly(err error) error {
	if errors.Is(err, unix.EROFS) {
		return errors.Join(ErrReadOnly, err)
	}
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	dir := filepath.Dir(db.path)
	for {
		aerr := unix.Access(dir, unix.W_OK|unix.X_OK)
		if errors.Is(aerr, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir) // it would have been made
			continue
		}
		if aerr != nil {
			return errors.Join(ErrReadOnly, err)
		}
		return err
	}
}

func (db *DB) tryOpen(writable bool) (*handle, error) {
	h := &handle{}
	var size int64
	err := guard(func() (err error) {
		h.bolt, err = bolt.Open(db.path, 0o666, &bolt.Options{
			Timeout:      time.Nanosecond, // try once: we do the waiting
			ReadOnly:     !writable,
			FreelistType: bolt.FreelistMapType,
			NoStatistics: true,
			OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
				f, err := os.OpenFile(name, flag, perm)
				if err == nil {
					h.info, err = f.Stat()
					size = h.info.Size()
				}
				return f, err
			},
		})
		return err
	})
	if err == nil {
		return h, nil
	}
	// A reader of an empty file came while another process was making it, or
	// after one was killed there: bbolt then tries to write to it, and fails.
	// Either way nothing is known yet.
	if size == 0 && !writable && h.info != nil {
		return &handle{}, nil
	}
	// What the system says (no permission, no space) is not damage.
	var pathErr *fs.PathError
	var sysErr interface{ Timeout() bool } // syscall.Errno
	switch {
	case errors.As(err, &pathErr), errors.Is(err, bolterrors.ErrTimeout):
	case errors.As(err, &sysErr):
	case !errors.Is(err, errDamaged):
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	return h, err
}

// transact runs f, and commits what it wrote.
func (h *handle) transact(f func(*Tx) error, writable bool, path string) error {
	var tx *bolt.Tx
	err := guard(func() (err error) {
		if tx, err = h.bolt.Begin(writable); err != nil {
			return err
		}
		return checkFormat(tx, path)
	})
	if err == nil {
		err = f(&Tx{bolt: tx})
	}
	if err == nil && writable {
		if err = guard(tx.Commit); err == nil {
			return nil
		}
		err = fmt.Errorf("write state: %w", err)
	}
	if tx != nil {
		if rerr := guard(tx.Rollback); rerr != nil && !errors.Is(rerr, bolterrors.ErrTxClosed) {
			h.stay = true
		}
	}
	return err
}

// checkFormat refuses a later format and gives a new database ours.
func checkFormat(tx *bolt.Tx, path string) error {
	if meta := tx.Bucket(bucketMeta); meta != nil {
		got := string(meta.Get(keyFormat))
		if got == format {
			return nil
		}
		if number, ok := strings.CutPrefix(got, formatName); ok {
			if _, err := strconv.ParseUint(number, 10, 31); err == nil {
				return &VersionError{Path: path, Got: got}
			}
		}
		return fmt.Errorf("%w: format %q", errDamaged, got)
	}
	if !tx.Writable() {
		return nil
	}
	for _, name := range [][]byte{bucketMeta, bucketDirs, bucketResults, bucketDurations} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyFormat, []byte(format))
}

func (h *handle) close() error {
	if h.stay {
		return nil
	}
	return guard(h.bolt.Close)
}

// moveAside renames the file that was found damaged, unless another process
// has done so.
func (db *DB) moveAside(found os.FileInfo, cause error) error {
	now, err := os.Stat(db.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if found == nil || !os.SameFile(found, now) {
		return nil
	}
	to := db.path + ".damaged"
	if err := os.Rename(db.path, to); err != nil {
		return err
	}
	db.warn(Warning{Path: db.path, MovedTo: to, Err: cause})
	return nil
}

// guard runs f on the mapped file. bbolt checks its two first pages and trusts
// the others: on a damaged one it panics, and where the file is cut short the
// processor faults.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return f()
}
