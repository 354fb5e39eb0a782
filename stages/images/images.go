// Package images is the stage type images: it makes a table of a directory or an
// archive of PNG and JPEG files, or of IDX files: one row an image, one column a
// pixel and channel. What takes tables takes images then: a split, a training
// with convolutions, an evaluation, a program of the user's.
//
// Rows come in the order of the files' names, so that the table does not depend
// on the disk. It refuses, naming the file: an image that does not decode, one
// without a label, and tables of more than mostColumns columns.
//
// The engine calls it through stages/builtin.
package images

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/image"
	"github.com/flow-pipelines/flow/stages/table"
)

// mostColumns is how many pixels and channels a row may have.
const mostColumns = 1 << 15

// The argument names of the inputs, and the output.
const (
	roleInput   = "input"
	roleLabels  = "labels"
	outputTable = "table"
)

// Config is what an images block may contain.
type Config struct {
	Input       stage.Artifact `json:"input" flow:"required" doc:"Directory, .zip, .tar, .tar.gz or .tgz archive of PNG and JPEG files, or an IDX file of images, compressed with gzip or not."`
	Labels      stage.Artifact `json:"labels" doc:"Where the labels are: a table with a column file and a column label, or an IDX file. Left out: the name of the folder that an image is in."`
	FileColumn  string         `json:"file_column" default:"file" doc:"Column of the table of labels that has the paths of the images, as they are in the directory or archive."`
	LabelColumn string         `json:"label_column" default:"label" doc:"Column of the table of labels that has the labels, and column of the result."`
	Height      int            `json:"height" default:"28" doc:"Height to which each image is resized. What is transparent becomes white."`
	Width       int            `json:"width" default:"28" doc:"Width to which each image is resized."`
	Channels    int            `json:"channels" default:"1" doc:"1 for gray, 3 for red, green and blue."`
	Fit         string         `json:"fit" default:"stretch" oneof:"stretch crop" doc:"stretch: the whole image, whatever its proportions; crop: the largest part from its middle that has the new ones."`
	OnError     string         `json:"on_error" default:"fail" oneof:"fail skip" doc:"What becomes of an image that cannot be decoded: skip leaves it out and says so in the log."`
	Format      string         `json:"format" default:"parquet" oneof:"parquet csv jsonl" doc:"Format of the table."`
}

// Type is the stage type.
type Type struct{}

var (
	_ stage.Runner    = Type{}
	_ stage.Inspector = Type{}
)

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name: "images", Version: 1,
		Summary: "A table of the pixels of images",
		Doc: `Reads PNG and JPEG files from a directory or an archive, with the name of their folder or a table for labels, or the IDX files of MNIST and its relatives. Every image is resized by the mean of the areas that its pixels cover, and becomes a row of the table: the label, the path (for IDX the number) of the image, and the columns pixel_0, pixel_1, … with numbers from 0 to 255, row by row, the channels of a pixel side by side.

That is the order in which ` + "`model \"cnn\"`" + ` of a train stage takes an image. The same files give the same table on every machine.`,
		Example: `images "digits" {
  input  = dataset.photos
  height = 32
  width  = 32
}

train "cnn" {
  data   = images.digits
  target = "label"
  features {
    numeric "pixel_*" { scale = "minmax" }
  }
  model "cnn" {}
}`,
		Body:    stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{{Name: outputTable, Doc: "The table."}},
		Metrics: "images and labels, how many of each there are; skipped, how many images were left out.",
	}
}

// Job checks what shows in the arguments alone.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	c, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	var ps stage.Problems
	if c.Height < 1 || c.Width < 1 {
		ps = append(ps, stage.Problemf("height", "Not the size of an image", "Height and width are at least 1, not %d and %d.", c.Height, c.Width))
	}
	if c.Channels != 1 && c.Channels != 3 {
		ps = append(ps, stage.Problemf("channels", "Not a number of channels", "It is 1 for gray or 3 for red, green and blue, not %d.", c.Channels))
	}
	if len(ps) == 0 && float64(c.Height)*float64(c.Width)*float64(c.Channels) > mostColumns {
		ps = append(ps, stage.Problemf("height", "The images are too large", "A row would have %d×%d×%d columns; %d are possible. Make the images smaller.", c.Height, c.Width, c.Channels, mostColumns))
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return req.Job(stage.Output{Name: outputTable, Path: "images." + c.Format, Kind: stage.Table}), nil
}

// Inspect names the columns.
func (Type) Inspect(in *stage.Inspection) (stage.Heads, error) {
	c, err := stage.Decode[Config](in.Args)
	if err != nil {
		return nil, err
	}
	return stage.Heads{outputTable: table.Names(c.columns())}, nil
}

func (c *Config) columns() []table.Column {
	columns := []table.Column{{Name: c.LabelColumn, Type: table.Text}, {Name: "file", Type: table.String}}
	if c.LabelColumn == "file" {
		columns = columns[:1]
	}
	for i := range c.Height * c.Width * c.Channels {
		columns = append(columns, table.Column{Name: "pixel_" + strconv.Itoa(i), Type: table.Int})
	}
	return columns
}

// Run writes the table.
func (Type) Run(ctx context.Context, run *stage.Run) (metrics stage.Metrics, err error) {
	c, err := stage.Decode[Config](run.Args)
	if err != nil {
		return nil, err
	}
	s, err := open(&c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	labels, err := readLabels(ctx, &c, s)
	if err != nil {
		return nil, err
	}
	columns := c.columns()
	w, err := table.Create(run.Output(outputTable), columns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	seen, skipped := map[string]bool{}, 0
	row := make([]table.Value, len(columns))
	for i, name := range s.names() {
		if i&0xff == 0 {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			run.Progress(stage.Progress{Step: int64(i), Total: int64(len(s.names())), Unit: "image"})
		}
		m, err := s.image(i, c.Channels)
		if err != nil {
			if c.OnError == "skip" {
				skipped++
				fmt.Fprintf(run.Log, "left out %s: %v\n", name, err)
				continue
			}
			return nil, stage.Problemf(roleInput, "An image that cannot be read", "%s: %v. Remove or repair it, or write on_error = \"skip\" to leave such images out.", name, err)
		}
		label, ok := labels(i, name)
		if !ok {
			return nil, stage.Problemf(roleLabels, "An image without a label", "%s is in no folder, and no row of a table names it: give labels, a table with the columns %q and %q.", name, c.FileColumn, c.LabelColumn)
		}
		seen[label] = true
		if c.Fit == "crop" {
			m = m.Crop(c.Height, c.Width)
		}
		m = m.Resize(c.Height, c.Width)
		cells := append(row[:0], table.TextValue(label))
		if c.LabelColumn != "file" {
			cells = append(cells, table.StringValue(name))
		}
		for _, v := range m.Pixels {
			cells = append(cells, table.IntValue(int64(v)))
		}
		if err := w.Write(cells); err != nil {
			return nil, err
		}
	}
	if w.Rows() == 0 {
		return nil, stage.Problemf(roleInput, "No images", "%s has no PNG or JPEG file that can be read.", path.Base(string(c.Input)))
	}
	metrics = stage.Metrics{"images": w.Rows(), "labels": len(seen), "skipped": skipped}
	return metrics, w.Close()
}

// readLabels returns a function from images, by index and name, to labels.
func readLabels(ctx context.Context, c *Config, s source) (func(i int, name string) (string, bool), error) {
	if c.Labels == "" {
		return func(_ int, name string) (string, bool) {
			folder := path.Base(path.Dir(name))
			return folder, folder != "." && folder != "/"
		}, nil
	}
	x, err := readIDX(string(c.Labels))
	if err == nil {
		if len(x.Dims) != 1 || x.Dims[0] != len(s.names()) {
			return nil, stage.Problemf(roleLabels, "Labels of other images", "It has dimensions %v, and there are %d images.", x.Dims, len(s.names()))
		}
		return func(i int, _ string) (string, bool) { return strconv.Itoa(int(x.Data[i])), true }, nil
	}
	byName, err := tableLabels(ctx, c)
	if err != nil {
		return nil, err
	}
	return func(_ int, name string) (string, bool) {
		label, ok := byName[name]
		return label, ok
	}, nil
}

// isImage tells by the name; hidden files are none.
func isImage(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".png", ".jpg", ".jpeg":
		return !strings.HasPrefix(path.Base(name), ".")
	}
	return false
}

// pixels takes an item of an IDX file as an image.
func pixels(x *image.IDX, i, channels int) (*image.Image, error) {
	have := 1
	if len(x.Dims) == 4 {
		have = x.Dims[3]
	}
	if have != channels {
		return nil, fmt.Errorf("it has %d channels and not %d", have, channels)
	}
	return &image.Image{Height: x.Dims[1], Width: x.Dims[2], Channels: channels, Pixels: x.Item(i)}, nil
}
