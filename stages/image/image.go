package image

import (
	"bytes"
	"errors"
	"fmt"
	stdimage "image"
	"image/color"
	"image/jpeg"
	"image/png"
)

// MostPixels is how many an image may have: a small file can claim to be huge.
const MostPixels = 1 << 26

// Image is pixels row by row, each with the bytes of its channels: one for gray,
// three for red, green and blue.
type Image struct {
	Height, Width, Channels int
	Pixels                  []byte
}

// ErrFormat is wrapped by Decode's error for what is neither PNG nor JPEG.
var ErrFormat = errors.New("neither PNG nor JPEG")

// Decode reads a PNG or JPEG image into one or three channels. What is
// transparent is white behind; orientation in metadata is not followed.
func Decode(data []byte, channels int) (*Image, error) {
	decode, config := png.Decode, png.DecodeConfig
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		decode, config = jpeg.Decode, jpeg.DecodeConfig
	default:
		return nil, fmt.Errorf("decode image: %w", ErrFormat)
	}
	c, err := config(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode image: %w", err)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > MostPixels/c.Height {
		return nil, fmt.Errorf("decode image: %d×%d pixels are too many or none", c.Height, c.Width)
	}
	m, err := decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode image: %w", err)
	}
	return from(m, channels), nil
}

// from takes the pixels of an image of the standard library.
func from(m stdimage.Image, channels int) *Image {
	b := m.Bounds()
	out := &Image{Height: b.Dy(), Width: b.Dx(), Channels: channels, Pixels: make([]byte, 0, b.Dx()*b.Dy()*channels)}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if g, ok := m.(*stdimage.Gray); ok && channels == 1 {
				out.Pixels = append(out.Pixels, g.GrayAt(x, y).Y)
				continue
			}
			p := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
			over := func(v uint8) uint32 { return (uint32(v)*uint32(p.A) + 255*(255-uint32(p.A)) + 127) / 255 }
			red, green, blue := over(p.R), over(p.G), over(p.B)
			if channels == 1 {
				// The luma of ITU-R BT.601, as JPEG has it.
				out.Pixels = append(out.Pixels, byte((299*red+587*green+114*blue+500)/1000))
			} else {
				out.Pixels = append(out.Pixels, byte(red), byte(green), byte(blue))
			}
		}
	}
	return out
}

// Resize returns an image of another size: each new pixel is the mean of the
// area that it covers, in whole numbers, so that it is the same everywhere.
func (m *Image) Resize(height, width int) *Image {
	if height == m.Height && width == m.Width {
		return m
	}
	out := &Image{Height: height, Width: width, Channels: m.Channels, Pixels: make([]byte, 0, height*width*m.Channels)}
	// In units of which a pixel of m is height×width, a new one is
	// m.Height×m.Width.
	area := uint64(m.Height) * uint64(m.Width)
	for y := range height {
		for x := range width {
			for c := range m.Channels {
				var sum uint64
				for i := y * m.Height / height; i*height < (y+1)*m.Height; i++ {
					tall := min((i+1)*height, (y+1)*m.Height) - max(i*height, y*m.Height)
					for j := x * m.Width / width; j*width < (x+1)*m.Width; j++ {
						wide := min((j+1)*width, (x+1)*m.Width) - max(j*width, x*m.Width)
						sum += uint64(tall*wide) * uint64(m.Pixels[(i*m.Width+j)*m.Channels+c])
					}
				}
				out.Pixels = append(out.Pixels, byte((sum+area/2)/area))
			}
		}
	}
	return out
}

// Crop returns the largest part from the middle that has the proportions of
// height to width.
func (m *Image) Crop(height, width int) *Image {
	h, w := m.Height, m.Width
	if h*width > w*height {
		h = max(1, w*height/width)
	} else {
		w = max(1, h*width/height)
	}
	if h == m.Height && w == m.Width {
		return m
	}
	out := &Image{Height: h, Width: w, Channels: m.Channels}
	top, left := (m.Height-h)/2, (m.Width-w)/2
	for y := top; y < top+h; y++ {
		at := (y*m.Width + left) * m.Channels
		out.Pixels = append(out.Pixels, m.Pixels[at:at+w*m.Channels]...)
	}
	return out
}
