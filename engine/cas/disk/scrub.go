package disk

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/flow-pipelines/flow/engine/digest"
)

// stored is an object on its way to be read.
type stored struct {
	digest.Digest
	size int64
}

// Scrub reads all objects, in the order in which they lie, and calls each with
// what Verify says of them. each is called by one goroutine at a time.
func (s *Store) Scrub(ctx context.Context, each func(d digest.Digest, size int64, err error) error) error {
	all, err := s.inPlace(ctx)
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan stored)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for o := range next {
				err := s.Verify(ctx, o.Digest)
				mu.Lock()
				if first == nil {
					if first = each(o.Digest, o.size, err); first != nil {
						cancel()
					}
				}
				mu.Unlock()
			}
		})
	}
	for _, o := range all {
		if ctx.Err() != nil {
			break
		}
		next <- o
	}
	close(next)
	wg.Wait()
	if first == nil {
		first = ctx.Err()
	}
	return first
}

// inPlace lists all objects: those of each pack in their order, then the files.
func (s *Store) inPlace(ctx context.Context) ([]stored, error) {
	if err := s.packs.refresh(); err != nil {
		return nil, err
	}
	var all []stored
	err := s.packs.each(func(p *pack) error {
		records, err := p.all()
		slices.SortFunc(records, func(a, b placed) int { return int(a.at - b.at) })
		for _, r := range records {
			all = append(all, stored{r.Digest, int64(r.size)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.eachLoose(ctx, func(d digest.Digest, e os.DirEntry) error {
		info, err := e.Info()
		if err == nil {
			all = append(all, stored{d, info.Size()})
		}
		return ignoreGone(err)
	})
	return all, err
}
