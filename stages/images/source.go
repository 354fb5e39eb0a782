package images

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/image"
	"github.com/flow-pipelines/flow/stages/table"
)

// source is where images come from.
type source interface {
	// names are those of the images, in the order of rows.
	names() []string
	image(i, channels int) (*image.Image, error)
	Close() error
}

// open finds out what the input is.
func open(c *Config) (source, error) {
	input := string(c.Input)
	about, err := os.Stat(input)
	if err != nil {
		return nil, unreadable(err)
	}
	if about.IsDir() {
		return listed(os.DirFS(input), noCloser{})
	}
	switch lower := strings.ToLower(input); {
	case strings.HasSuffix(lower, ".zip"):
		z, err := zip.OpenReader(input)
		if err != nil {
			return nil, unreadable(err)
		}
		return listed(z, z)
	case strings.HasSuffix(lower, ".tar"), strings.HasSuffix(lower, ".tar.gz"), strings.HasSuffix(lower, ".tgz"):
		t, err := readTar(input)
		if err != nil {
			return nil, unreadable(err)
		}
		return t, nil
	}
	x, err := readIDX(input)
	if err != nil {
		return nil, stage.Problemf(roleInput, "Not a source of images", "It is neither a directory, an archive (.zip, .tar, .tar.gz, .tgz) nor an IDX file: %v.", err)
	}
	if n := len(x.Dims); n != 3 && n != 4 || x.Dims[0] == 0 {
		return nil, stage.Problemf(roleInput, "An IDX file without images", "It has dimensions %v, and images have their number, height, width and perhaps channels.", x.Dims)
	}
	return idxSource{x}, nil
}

func unreadable(err error) error {
	return stage.Problemf(roleInput, "The images cannot be read", "%v.", err)
}

func readIDX(name string) (x *image.IDX, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return image.ReadIDX(f)
}

// tree is the files of a directory or a .zip.
type tree struct {
	io.Closer
	fsys  fs.FS
	paths []string
}

// noCloser is for a directory, which needs no closing.
type noCloser struct{}

func (noCloser) Close() error { return nil }

func listed(fsys fs.FS, closer io.Closer) (source, error) {
	t := &tree{Closer: closer, fsys: fsys}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && isImage(name) {
			t.paths = append(t.paths, name)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(unreadable(err), closer.Close())
	}
	slices.Sort(t.paths)
	return t, nil
}

func (t *tree) names() []string { return t.paths }

func (t *tree) image(i, channels int) (*image.Image, error) {
	data, err := fs.ReadFile(t.fsys, t.paths[i])
	if err != nil {
		return nil, err
	}
	return image.Decode(data, channels)
}

// archive is the images of a .tar, in memory: it can be read in its own order
// only.
type archive struct {
	paths []string
	files map[string][]byte
}

// mostArchived is how many bytes of images a .tar may have.
const mostArchived = 4 << 30

func readTar(name string) (a *archive, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var r io.Reader = bufio.NewReader(f)
	if !strings.HasSuffix(strings.ToLower(name), ".tar") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, err
		}
	}
	a = &archive{files: map[string][]byte{}}
	total := int64(0)
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		at := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !isImage(at) {
			continue
		}
		if total += h.Size; total > mostArchived {
			return nil, fmt.Errorf("its images are larger than %d GiB: unpack it, or use a .zip", mostArchived>>30)
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		if _, twice := a.files[at]; !twice {
			a.paths = append(a.paths, at)
		}
		a.files[at] = data
	}
	slices.Sort(a.paths)
	return a, nil
}

func (a *archive) names() []string { return a.paths }
func (a *archive) Close() error    { return nil }

func (a *archive) image(i, channels int) (*image.Image, error) {
	return image.Decode(a.files[a.paths[i]], channels)
}

// idxSource is the images of an IDX file, named by their numbers.
type idxSource struct{ idx *image.IDX }

func (s idxSource) Close() error { return nil }

func (s idxSource) names() []string {
	out := make([]string, s.idx.Dims[0])
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

func (s idxSource) image(i, channels int) (*image.Image, error) { return pixels(s.idx, i, channels) }

// tableLabels reads the table of labels.
func tableLabels(ctx context.Context, c *Config) (labels map[string]string, err error) {
	r, err := table.Open(string(c.Labels))
	if err != nil {
		return nil, stage.Problemf(roleLabels, "Labels that cannot be read", "It is neither an IDX file nor a table: %v.", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	names := table.Names(r.Columns())
	file, err := table.Index(r.Columns(), c.FileColumn)
	if err != nil {
		return nil, &stage.Problem{Path: "file_column", Summary: fmt.Sprintf("No column %q", c.FileColumn), Detail: table.Hint(c.FileColumn, names)}
	}
	label, err := table.Index(r.Columns(), c.LabelColumn)
	if err != nil {
		return nil, &stage.Problem{Path: "label_column", Summary: fmt.Sprintf("No column %q", c.LabelColumn), Detail: table.Hint(c.LabelColumn, names)}
	}
	labels = map[string]string{}
	row := make([]table.Value, len(names))
	for {
		if len(labels)&0xfff == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := r.Read(row); errors.Is(err, io.EOF) {
			return labels, nil
		} else if err != nil {
			return nil, stage.Problemf(roleLabels, "Labels that cannot be read", "%v.", err)
		}
		labels[path.Clean(strings.Clone(row[file].Text()))] = strings.Clone(row[label].Text())
	}
}
