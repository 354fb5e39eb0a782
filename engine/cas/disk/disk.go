// Package disk is a content store in a directory.
package disk

import (
	"context"
	"io"
	"os"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// Options of a store.
type Options struct {
	// OnDamage, if not nil, hears of each damaged object that the store puts
	// out of the way, whoever found it. It may be called concurrently.
	OnDamage func(*cas.DamagedError)
}

// Store is a content store in a directory.
type Store struct{ dir string }

// Open returns the store in dir, which is made if it is not there.
func Open(dir string, opts Options) (*Store, error) { panic("not yet") }

func (s *Store) Has(ctx context.Context, d digest.Digest) (bool, error)           { panic("not yet") }
func (s *Store) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) { panic("not yet") }
func (s *Store) Put(ctx context.Context, d digest.Digest, r io.Reader) error      { panic("not yet") }
func (s *Store) Batch(ctx context.Context) (cas.Batch, error)                     { panic("not yet") }

// How says how a file came to its place.
type How byte

const (
	Copied How = iota
	Reflinked
	Hardlinked
)

// Place makes dst, which must not exist, a file with the object's bytes.
func (s *Store) Place(ctx context.Context, d digest.Digest, dst string, perm os.FileMode) (How, error) {
	panic("not yet")
}

var _ cas.Store = (*Store)(nil)
var _ cas.Batcher = (*Store)(nil)
