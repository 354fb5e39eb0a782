package selection

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/suggest"
)

// lookup finds a dotted path in nested metrics. A name may itself hold dots,
// as those of MLflow and Keras often do, so at each level the longest name
// that fits is tried first.
func lookup(m map[string]any, name string) (any, bool) {
	if value, ok := m[name]; ok {
		return value, true
	}
	for at := strings.LastIndexByte(name, '.'); at > 0; at = strings.LastIndexByte(name[:at], '.') {
		inner, ok := m[name[:at]].(map[string]any)
		if !ok {
			continue
		}
		if value, ok := lookup(inner, name[at+1:]); ok {
			return value, true
		}
	}
	return nil, false
}

// numbers lists the dotted paths of all numbers, sorted.
func numbers(prefix string, m map[string]any) []string {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch v := m[key].(type) {
		case map[string]any:
			names = append(names, numbers(prefix+key+".", v)...)
		case json.Number, float64, int64, int:
			names = append(names, prefix+key)
		}
	}
	return names
}

// nearest returns the most similar name, "" if none is similar. A name whose
// last part is the same is nearer than any spelling: f1 for validation.f1.
func nearest(name string, have []string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	for _, candidate := range have {
		if candidate[strings.LastIndexByte(candidate, '.')+1:] == last {
			return candidate
		}
	}
	return suggest.Nearest(name, have)
}

// shown is how many names a message lists; a model with many classes has
// hundreds of metrics.
const shown = 20

func quoted(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i == shown {
			fmt.Fprintf(&b, " and %d more", len(names)-shown)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(name))
	}
	return b.String()
}

// copyModel makes to a directory with the content of from, or with from in it.
// It copies rather than links: an output that shares its bytes with an input
// could be damaged through either.
func copyModel(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	return copyFile(from, filepath.Join(to, filepath.Base(from)), info.Mode())
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666|mode.Perm()&0o111)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
