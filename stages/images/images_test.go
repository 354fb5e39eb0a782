package images_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	stdimage "image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/images"
)

type object = map[string]any

func gray(t *testing.T, values ...uint8) []byte {
	t.Helper()
	m := stdimage.NewGray(stdimage.Rect(0, 0, 2, len(values)/2))
	for i, v := range values {
		m.SetGray(i%2, i/2, color.Gray{Y: v})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// photos are images in folders, among what is none.
func photos(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"cat/2.png": gray(t, 1, 2, 3, 4), "cat/1.PNG": gray(t, 5, 6, 7, 8), "dog/1.png": gray(t, 9, 10, 11, 12),
		"dog/readme.txt": []byte("text"), "dog/.hidden.png": []byte("?"),
	}
}

func writeAll(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, args object) (table string, metrics stage.Metrics, log string, err error) {
	t.Helper()
	all := object{
		"file_column": "file", "label_column": "label", "height": 2, "width": 2, "channels": 1,
		"fit": "stretch", "on_error": "fail", "format": "csv",
	}
	for k, v := range args {
		all[k] = v
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (images.Type{}).Job(&stage.Request{Args: raw, Dir: "out"}); err != nil {
		return "", nil, "", err
	}
	out := filepath.Join(t.TempDir(), "images.csv")
	var b bytes.Buffer
	metrics, err = images.Type{}.Run(t.Context(), &stage.Run{
		Spec: stage.Spec{Type: "images", Args: raw, Outputs: map[string]string{"table": out}}, Log: &b,
	})
	if err != nil {
		return "", nil, b.String(), err
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), metrics, b.String(), nil
}

const wantPhotos = `label,file,pixel_0,pixel_1,pixel_2,pixel_3
cat,cat/1.PNG,5,6,7,8
cat,cat/2.png,1,2,3,4
dog,dog/1.png,9,10,11,12
`

func TestADirectoryAndItsArchivesAreTheSameTable(t *testing.T) {
	t.Chdir(t.TempDir())
	files := photos(t)
	writeAll(t, "photos", files)
	var plain, zipped bytes.Buffer
	w, z := tar.NewWriter(&plain), zip.NewWriter(&zipped)
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names) // another order than that of the rows
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	var compressed bytes.Buffer
	g := gzip.NewWriter(&compressed)
	for _, step := range []func() error{w.Close, z.Close, func() error { _, err := g.Write(plain.Bytes()); return err }, g.Close} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	writeAll(t, ".", map[string][]byte{"photos.tar": plain.Bytes(), "photos.zip": zipped.Bytes(), "photos.tgz": compressed.Bytes()})
	for _, input := range []string{"photos", "photos.tar", "photos.zip", "photos.tgz"} {
		got, metrics, _, err := run(t, object{"input": input})
		if err != nil {
			t.Fatalf("%s: %v", input, err)
		}
		if diff := cmp.Diff(wantPhotos, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", input, diff)
		}
		if fmt.Sprint(metrics) != "map[images:3 labels:2 skipped:0]" {
			t.Errorf("%s: metrics %v", input, metrics)
		}
	}
}

func TestIDXFilesOfImagesAndLabels(t *testing.T) {
	t.Chdir(t.TempDir())
	writeAll(t, ".", map[string][]byte{
		"images": {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8},
		"labels": {0, 0, 8, 1, 0, 0, 0, 2, 7, 3},
		"other":  {0, 0, 8, 1, 0, 0, 0, 1, 7},
	})
	got, _, _, err := run(t, object{"input": "images", "labels": "labels", "label_column": "digit"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("digit,file,pixel_0,pixel_1,pixel_2,pixel_3\n7,0,1,2,3,4\n3,1,5,6,7,8\n", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, args := range map[string]object{
		"labels: Labels of other images":                            {"input": "images", "labels": "other"},
		"input: An IDX file without images":                         {"input": "labels"},
		"input: An image that cannot be read: 0: it has 1 channels": {"input": "images", "labels": "labels", "channels": 3},
	} {
		if _, _, _, err := run(t, args); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestATableOfLabels(t *testing.T) {
	t.Chdir(t.TempDir())
	writeAll(t, "photos", map[string][]byte{"a.png": gray(t, 1, 2, 3, 4), "b.png": gray(t, 5, 6, 7, 8)})
	writeAll(t, ".", map[string][]byte{"labels.csv": []byte("file,kind\nb.png,dog\n./a.png,cat\n"), "half.csv": []byte("file,kind\na.png,cat\n")})
	args := object{"input": "photos", "labels": "labels.csv", "label_column": "kind"}
	got, _, _, err := run(t, args)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("kind,file,pixel_0,pixel_1,pixel_2,pixel_3\ncat,a.png,1,2,3,4\ndog,b.png,5,6,7,8\n", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for want, change := range map[string]object{
		"labels: An image without a label: b.png": {"labels": "half.csv"},
		"labels: An image without a label: a.png": {"labels": ""},
		`label_column: No column "kin"`:           {"label_column": "kin"},
		`file_column: No column "name"`:           {"file_column": "name"},
	} {
		all := object{}
		for k, v := range args {
			all[k] = v
		}
		for k, v := range change {
			all[k] = v
		}
		if _, _, _, err := run(t, all); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestAnImageThatDoesNotDecodeIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	files := photos(t)
	files["dog/broken.png"] = files["dog/1.png"][:30]
	writeAll(t, "photos", files)
	_, _, _, err := run(t, object{"input": "photos"})
	if want := "input: An image that cannot be read: dog/broken.png: decode image: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	got, metrics, log, err := run(t, object{"input": "photos", "on_error": "skip"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantPhotos, got); diff != "" || metrics["skipped"] != 1 || !strings.Contains(log, "left out dog/broken.png") {
		t.Errorf("metrics %v, log %q (-want +got):\n%s", metrics, log, diff)
	}
}

func TestMistakesOfAPerson(t *testing.T) {
	t.Chdir(t.TempDir())
	writeAll(t, ".", map[string][]byte{"empty/note.txt": nil, "data.csv": []byte("a,b\n"), "broken.zip": []byte("PK"), "broken.tgz": []byte("?")})
	for want, args := range map[string]object{
		"channels: Not a number of channels":     {"channels": 2},
		"height: Not the size of an image":       {"height": 0},
		"height: The images are too large":       {"height": 1000, "width": 1000},
		"input: No images: empty has no PNG":     {"input": "empty"},
		"input: Not a source of images":          {"input": "data.csv"},
		"input: The images cannot be read: zip:": {"input": "broken.zip"},
		"input: The images cannot be read":       {"input": "broken.tgz"},
		"input: The images cannot be read: stat": {"input": "nowhere"},
	} {
		if _, _, _, err := run(t, args); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
