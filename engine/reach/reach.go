// Package reach finds out what of a content store is needed and by whom, and so
// what nobody needs.
//
// The rule is simple, so that nothing is lost by a case that was not thought of:
// a digest that is written anywhere in a text that counts is needed, with all
// that its listings lead to. The texts are not understood, only searched; a
// flow.lock that does not parse, or that another version of flow wrote, counts
// like any other. Which texts there are is said in texts.go.
//
// What cannot be asked is an error, and not an empty answer: a project that is
// not there, a git that does not run, a listing that is damaged.
//
// The package removes nothing. Its caller is the engine: for `flow cache du`, and
// for `flow cache gc`, which holds the store meanwhile so that its answer stays
// true (disk.Clearing).
package reach

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
)

// Why says who needs an object. Of several reasons the one that was asked about
// first counts.
type Why byte

// The reasons.
const (
	Nobody  Why = iota
	Stages      // results that the project's flow.lock records now
	Lock        // what else is named there: texts that stages have read
	Commits     // flow.lock in git: branches, tags, stashes, earlier commits, the index
	Plans       // saved plans
	Runs        // results of recorded runs that no flow.lock has
	Others      // other projects that use the store
	Running     // processes that are at work now
	reasons
)

func (w Why) String() string {
	return [reasons]string{"nobody", "stages", "lock", "commits", "plans", "runs", "others", "running"}[w]
}

// Amount is a number of objects and their bytes.
type Amount struct {
	Objects int
	Bytes   int64
}

func (a *Amount) add(size int64) {
	a.Objects++
	a.Bytes += size
}

// object is one of the store's.
type object struct {
	digest.Digest
	size  int64
	owner int32 // among Stages: the number of the only stage, or shared
	why   Why
	deep  bool // what it leads to, as a listing, is marked too
}

const shared = -1

// Survey is what of a store is needed, as far as has been asked.
type Survey struct {
	store   *disk.Store
	objects []object // sorted by digest
}

// New lists a store, of which nothing is needed so far.
func New(ctx context.Context, store *disk.Store) (*Survey, error) {
	s := &Survey{store: store}
	err := store.Each(ctx, func(d digest.Digest, size int64) error {
		s.objects = append(s.objects, object{Digest: d, size: size})
		return nil
	})
	return s, err
}

func (s *Survey) find(d digest.Digest) *object {
	i, ok := slices.BinarySearchFunc(s.objects, d, func(o object, d digest.Digest) int { return slices.Compare(o.Digest[:], d[:]) })
	if !ok {
		return nil
	}
	return &s.objects[i]
}

// Needs reports whether an object is in the store and needed.
func (s *Survey) Needs(d digest.Digest) bool {
	o := s.find(d)
	return o != nil && o.why != Nobody
}

// Mark says that d is needed, with all that it leads to, if the store has it.
func (s *Survey) Mark(ctx context.Context, why Why, d digest.Digest) error {
	return s.mark(ctx, d, func(o *object) bool {
		if o.why == Nobody {
			o.why = why
			return true
		}
		return false
	})
}

// MarkStage says that d is needed as a result of the stage of a number from 0.
func (s *Survey) MarkStage(ctx context.Context, stage int, d digest.Digest) error {
	number := int32(stage)
	return s.mark(ctx, d, func(o *object) bool {
		switch {
		case o.why == Nobody:
			o.why, o.owner = Stages, number
		case o.why != Stages || o.owner == number || o.owner == shared:
			return false
		default:
			o.owner = shared
		}
		return true
	})
}

// mark visits d and all that it leads to. visit reports whether it has changed
// something, which then holds for what the object leads to as well.
func (s *Survey) mark(ctx context.Context, d digest.Digest, visit func(*object) bool) error {
	var pending []digest.Digest
	look := func(d digest.Digest, listing func() bool) {
		o := s.find(d)
		if o == nil {
			return
		}
		// The bytes of a listing may be those of a file too.
		if news := visit(o); (news || !o.deep) && listing() {
			o.deep = true
			pending = append(pending, d)
		}
	}
	look(d, func() bool { return s.listing(d) })
	for len(pending) > 0 {
		d := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		t, err := s.read(ctx, d)
		if err != nil {
			return err
		}
		for _, e := range t {
			look(e.Digest, func() bool { return e.Kind == digest.Dir })
		}
	}
	return nil
}

// listing reports whether an object begins like a listing.
func (s *Survey) listing(d digest.Digest) bool {
	return s.store.Starts(d, []byte(digest.TreeHeader))
}

// read reads a listing. Something else that begins like one, and one that was
// removed meanwhile, lead to nothing.
func (s *Survey) read(ctx context.Context, d digest.Digest) (digest.Tree, error) {
	b, err := cas.ReadAll(ctx, s.store, d)
	var damaged *cas.DamagedError
	switch {
	case errors.As(err, &damaged):
		return nil, &DamagedError{damaged}
	case errors.Is(err, cas.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read listing %s: %w", d.Short(), err)
	}
	t, err := digest.DecodeTree(b)
	if err != nil {
		return nil, nil //nolint:nilerr // a file of the user's
	}
	return t, nil
}

// DamagedError says that a listing is damaged, so that nobody knows what is
// needed.
type DamagedError struct{ *cas.DamagedError }

func (e *DamagedError) Error() string {
	return "a directory's listing in the cache is damaged, so that it cannot be told what is needed: " + e.DamagedError.Error()
}

func (e *DamagedError) Unwrap() error { return e.DamagedError }

// Totals returns how much is needed for each reason, Nobody included.
func (s *Survey) Totals() map[Why]Amount {
	totals := map[Why]Amount{}
	for _, o := range s.objects {
		a := totals[o.why]
		a.add(o.size)
		totals[o.why] = a
	}
	return totals
}

// OfStages returns for each of n stages what no other stage has too, and what
// several have.
func (s *Survey) OfStages(n int) (own []Amount, several Amount) {
	own = make([]Amount, n)
	for _, o := range s.objects {
		switch {
		case o.why != Stages:
		case o.owner == shared:
			several.add(o.size)
		default:
			own[o.owner].add(o.size)
		}
	}
	return own, several
}

// Unneeded returns what nobody needs, in waves that are to be removed one after
// the other: first the listings that no other of them names, then those that
// these name, and so on, and last what are no listings. Whoever finds a listing
// takes it for granted that what it leads to is there.
func (s *Survey) Unneeded(ctx context.Context) (waves [][]digest.Digest, err error) {
	var rest []digest.Digest
	listings := map[digest.Digest]*unneeded{}
	for _, o := range s.objects {
		switch {
		case o.why != Nobody:
		case s.listing(o.Digest):
			listings[o.Digest] = &unneeded{}
		default:
			rest = append(rest, o.Digest)
		}
	}
	order := make([]digest.Digest, 0, len(listings)) // what a listing names comes before it
	var visit func(d digest.Digest, l *unneeded) error
	visit = func(d digest.Digest, l *unneeded) error {
		l.seen = true
		t, err := s.read(ctx, d)
		if damaged := (*DamagedError)(nil); err != nil && !errors.As(err, &damaged) {
			return err
		}
		for _, e := range t {
			below, ok := listings[e.Digest]
			if !ok || e.Kind != digest.Dir {
				continue
			}
			l.names = append(l.names, below)
			if !below.seen {
				if err := visit(e.Digest, below); err != nil {
					return err
				}
			}
		}
		order = append(order, d)
		return nil
	}
	for d, l := range listings {
		if !l.seen {
			if err := visit(d, l); err != nil {
				return nil, err
			}
		}
	}
	for _, d := range slices.Backward(order) {
		l := listings[d]
		if l.wave == len(waves) {
			waves = append(waves, nil)
		}
		waves[l.wave] = append(waves[l.wave], d)
		for _, below := range l.names {
			below.wave = max(below.wave, l.wave+1)
		}
	}
	return append(waves, rest), nil
}

// unneeded is a listing that nobody needs.
type unneeded struct {
	seen  bool
	names []*unneeded // listings
	wave  int
}
