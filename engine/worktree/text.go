package worktree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/flow-pipelines/flow/engine/digest"
)

// MostText is the bytes of the largest file that counts as a text, which people
// read line by line. Programs are written in such, and tables are larger.
const MostText = 1 << 20

// IsText reports whether content is text: it has no zero byte, and is not large.
func IsText(content []byte) bool {
	return len(content) <= MostText && bytes.IndexByte(content, 0) < 0
}

// ReadText returns the text at path, a path below the root; nil if that is no
// text, or not n.
func (w *Worktree) ReadText(path string, n digest.Node) ([]byte, error) {
	p, err := clean(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(w.abs(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("read", path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MostText+1))
	if err != nil {
		return nil, wrap("read", path, err)
	}
	if !IsText(b) || digest.OfBytes(b) != n.Digest {
		return nil, nil
	}
	return b, nil
}

// StoreTexts keeps those of the files that are texts, and may be kept: not for
// anybody to read them again, but to compare later ones with. Their paths are
// below the root.
func (w *Worktree) StoreTexts(ctx context.Context, files []File, may func(text []byte) bool) error {
	batch, err := w.store.NewBatch(ctx)
	if err != nil {
		return wrap("store", "texts", err)
	}
	defer func() { _ = batch.Close() }()
	for _, f := range files {
		if f.Kind != digest.File && f.Kind != digest.Executable || f.Size > MostText {
			continue
		}
		if has, err := w.store.Has(ctx, f.Digest); err != nil || has {
			if err != nil {
				return wrap("store", f.Path, err)
			}
			continue
		}
		b, err := w.ReadText(f.Path, f.Node)
		if err != nil {
			return err
		}
		if b == nil || !may(b) {
			continue
		}
		if err := batch.Put(ctx, f.Digest, bytes.NewReader(b)); err != nil {
			return wrap("store", f.Path, err)
		}
		if err := batch.Hold(f.Digest); err != nil {
			return wrap("store", f.Path, err)
		}
	}
	return wrap("store", "texts", batch.Commit(ctx))
}
