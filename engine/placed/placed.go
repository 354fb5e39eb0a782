// Package placed remembers what flow has put into the tree, as copies of flow.lock
// in .flow.
//
// flow.lock says what belongs there. When git has brought another one, nobody
// knows what flow had put there before but these copies; so a checkout can take
// away what the other revision lacks. A copy is of the file as it was when an
// apply or a checkout had ended, and goes when the next one has brought the tree
// on from there: usually there is one. Whoever deletes them loses nothing but
// that: old outputs stay where they are. So a copy that cannot be read is as good
// as none.
//
// The package neither looks at the tree nor changes it.
package placed

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/replace"
)

// mostCopies is how many there are at most; each is a switch of git's without a
// checkout of flow's.
const mostCopies = 20

const suffix = ".lock"

// Dir is the directory of the copies.
type Dir string

func (d Dir) file(of digest.Digest) string {
	return filepath.Join(string(d), of.Hex()+suffix)
}

// Has reports whether there is a copy of the file with this digest.
func (d Dir) Has(of digest.Digest) bool {
	_, err := os.Stat(d.file(of))
	return err == nil
}

// Note copies the flow.lock of a project, to which the tree has been brought from
// the one with the digest before; zero: from none.
func (d Dir) Note(root string, before digest.Digest) error {
	text, err := os.ReadFile(filepath.Join(root, lock.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", lock.FileName, err)
	}
	now := digest.OfBytes(text)
	if !d.Has(now) {
		if err := os.MkdirAll(string(d), 0o755); err != nil {
			return fmt.Errorf("copy %s: %w", lock.FileName, err)
		}
		if err := replace.Durably(d.file(now), text, 0o644); err != nil {
			return fmt.Errorf("copy %s: %w", lock.FileName, err)
		}
	}
	if before != now && !before.IsZero() {
		d.Forget(before)
	}
	names := d.names()
	for _, name := range names[min(len(names), mostCopies):] {
		if file := filepath.Join(string(d), name); file != d.file(now) { // of which the time may be another's, too
			_ = os.Remove(file)
		}
	}
	return nil
}

// Forget removes a copy.
func (d Dir) Forget(of digest.Digest) { _ = os.Remove(d.file(of)) }

// Locks reads the copies, the newest first.
func (d Dir) Locks() []*lock.Lock {
	var all []*lock.Lock
	for _, name := range d.names() {
		text, err := os.ReadFile(filepath.Join(string(d), name))
		if err != nil {
			continue
		}
		if l, err := lock.Parse(text); err == nil {
			all = append(all, l)
		}
	}
	return all
}

// names are those of the copies, the newest first.
func (d Dir) names() []string {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil
	}
	type copied struct {
		name string
		time int64
	}
	var all []copied
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, copied{e.Name(), info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(all, func(a, b copied) int { return cmp.Or(cmp.Compare(b.time, a.time), strings.Compare(a.name, b.name)) })
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.name
	}
	return names
}
