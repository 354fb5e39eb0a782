package deploy

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/flow-pipelines/flow/engine/digest"
)

// Stat is what a file of a version was like when the version was known to be
// whole. A plan compares by it: a stat for each file is affordable for a model
// of gigabytes, reading it is not. A change that keeps the size and puts the
// time back goes unseen until the next deployment or rollback, which read.
type Stat struct {
	Path     string    `json:"path"` // in the version, with slashes
	Size     int64     `json:"size"` // bytes
	Modified time.Time `json:"modified"`
}

// statAll looks at all files below a directory, sorted by path.
func statAll(dir string) ([]Stat, error) {
	var all []Stat
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		all = append(all, Stat{Path: filepath.ToSlash(rel), Size: info.Size(), Modified: info.ModTime().UTC()})
		return nil
	})
	return all, err
}

// measureVersion reads a version and looks at its files. It looks first: what
// is changed after that differs from what is recorded.
func measureVersion(dir string) (digest.Node, []Stat, error) {
	contents, err := statAll(dir)
	if err != nil {
		return digest.Node{}, nil, err
	}
	node, err := measure(dir)
	return node, contents, err
}

// changed says what is different about the files of a version since it was
// deployed, "" if nothing is or if the record does not tell: those of older
// versions of flow have no stats. The text begins with the file's path in the
// version.
func changed(root, version string) (string, error) {
	record, err := readRecord(root)
	if err != nil {
		return "", nil //nolint:nilerr // the link is the truth; the next deployment makes the record anew
	}
	at := slices.IndexFunc(record.Versions, func(v Version) bool { return v.Name == version })
	if at < 0 || len(record.Versions[at].Contents) == 0 {
		return "", nil
	}
	have, err := statAll(filepath.Join(root, versionsName, version))
	if err != nil {
		return "", fmt.Errorf("look at the deployment: %w", err)
	}
	left := make(map[string]Stat, len(have))
	for _, s := range have {
		left[s.Path] = s
	}
	var texts []string
	for _, want := range record.Versions[at].Contents {
		got, ok := left[want.Path]
		delete(left, want.Path)
		switch {
		case !ok:
			texts = append(texts, want.Path+" is gone")
		case got.Size != want.Size:
			texts = append(texts, fmt.Sprintf("%s was changed since it was deployed: it has %d bytes, not %d", want.Path, got.Size, want.Size))
		case !got.Modified.Equal(want.Modified):
			texts = append(texts, want.Path+" was changed since it was deployed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		texts = append(texts, name+" was added since it was deployed")
	}
	switch len(texts) {
	case 0:
		return "", nil
	case 1:
		return texts[0], nil
	}
	return fmt.Sprintf("%s, and so on: %d files are not as deployed", texts[0], len(texts)), nil
}
