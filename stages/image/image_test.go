package image_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	stdimage "image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/stages/image"
)

func encoded(t *testing.T, m stdimage.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPixelsComeByRowsAndChannels(t *testing.T) {
	m := stdimage.NewNRGBA(stdimage.Rect(0, 0, 2, 2))
	m.Set(0, 0, color.NRGBA{255, 0, 0, 255})
	m.Set(1, 0, color.NRGBA{0, 255, 0, 255})
	m.Set(0, 1, color.NRGBA{0, 0, 255, 255})
	m.Set(1, 1, color.NRGBA{0, 0, 0, 51}) // a fifth of black before white
	for channels, want := range map[int][]byte{
		3: {255, 0, 0, 0, 255, 0, 0, 0, 255, 204, 204, 204},
		1: {76, 150, 29, 204},
	} {
		got, err := image.Decode(encoded(t, m), channels)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&image.Image{Height: 2, Width: 2, Channels: channels, Pixels: want}, got); diff != "" {
			t.Errorf("%d channels (-want +got):\n%s", channels, diff)
		}
	}
}

func TestAJPEGIsRead(t *testing.T) {
	m := stdimage.NewGray(stdimage.Rect(0, 0, 16, 8))
	for i := range m.Pix {
		m.Pix[i] = 200
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	got, err := image.Decode(b.Bytes(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Height != 8 || got.Width != 16 || got.Pixels[37] != 200 {
		t.Errorf("%d×%d with a pixel of %d", got.Height, got.Width, got.Pixels[37])
	}
}

func TestWhatIsNoImageIsRefused(t *testing.T) {
	whole := encoded(t, stdimage.NewGray(stdimage.Rect(0, 0, 40, 40)))
	huge := encoded(t, stdimage.NewGray(stdimage.Rect(0, 0, 1, 1)))
	copy(huge[16:], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff})
	for name, data := range map[string][]byte{
		"half": whole[:len(whole)/2], "nothing": nil, "text": []byte("not an image"), "a head alone": []byte("\xff\xd8"), "huge": huge,
	} {
		if _, err := image.Decode(data, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := image.Decode([]byte("GIF89a"), 1); !errors.Is(err, image.ErrFormat) {
		t.Errorf("a GIF: error %v, want ErrFormat", err)
	}
}

func TestResizingKeepsTheMean(t *testing.T) {
	m := &image.Image{Height: 2, Width: 4, Channels: 1, Pixels: []byte{0, 100, 20, 40, 200, 100, 60, 80}}
	if diff := cmp.Diff([]byte{100, 50}, m.Resize(1, 2).Pixels); diff != "" {
		t.Errorf("smaller (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]byte{67, 50, 33}, (&image.Image{Height: 1, Width: 2, Channels: 1, Pixels: []byte{67, 33}}).Resize(1, 3).Pixels); diff != "" {
		t.Errorf("larger (-want +got):\n%s", diff)
	}
	rapid.Check(t, func(t *rapid.T) {
		size := func(label string) int { return rapid.IntRange(1, 12).Draw(t, label) }
		h, w, c := size("height"), size("width"), rapid.SampledFrom([]int{1, 3}).Draw(t, "channels")
		m := &image.Image{Height: h, Width: w, Channels: c, Pixels: rapid.SliceOfN(rapid.Byte(), h*w*c, h*w*c).Draw(t, "pixels")}
		out := m.Resize(size("new height"), size("new width"))
		if len(out.Pixels) != out.Height*out.Width*c {
			t.Fatalf("%d pixels", len(out.Pixels))
		}
		mean := func(m *image.Image) float64 {
			var sum float64
			for _, v := range m.Pixels {
				sum += float64(v)
			}
			return sum / float64(len(m.Pixels))
		}
		if d := mean(m) - mean(out); d > 0.5 || d < -0.5 {
			t.Fatalf("the mean of the pixels changed by %v", d)
		}
	})
}

func TestCroppingTakesTheMiddle(t *testing.T) {
	m := &image.Image{Height: 1, Width: 5, Channels: 1, Pixels: []byte{1, 2, 3, 4, 5}}
	if diff := cmp.Diff([]byte{3}, m.Crop(28, 28).Pixels); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]byte{2, 3, 4}, m.Crop(10, 30).Pixels); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnIDXFileIsRead(t *testing.T) {
	data := []byte{0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"plain": data, "gzip": z.Bytes()} {
		x, err := image.ReadIDX(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]byte{4, 5, 6}, x.Item(1)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, b := range map[string][]byte{
		"short": data[:15], "long": append(data[:len(data):len(data)], 7), "floats": {0, 0, 13, 1, 0, 0, 0, 0}, "head": data[:6], "nothing": nil,
		"huge": {0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if _, err := image.ReadIDX(bytes.NewReader(b)); err == nil || !strings.HasPrefix(err.Error(), "read IDX: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
