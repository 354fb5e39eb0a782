package kernel

// Window is how a convolution or a pooling moves over an image of
// Height×Width×Channels. Images are stored with the channels of a pixel side by
// side (HWC), so that a run of pixels is one piece of memory; so are outputs.
type Window struct {
	Height, Width, Channels int
	// Rows and Cols are the window's own size, Stride how far it moves.
	Rows, Cols, Stride int
	// Top and Left are how many pixels of zeros stand before the image; as many
	// as the last window needs stand behind.
	Top, Left int
	// OutHeight and OutWidth are the positions of the window.
	OutHeight, OutWidth int
}

// Same returns a window with OutHeight = ⌈Height/Stride⌉ positions, and Valid one
// that never leaves the image. Where the zeros cannot be the same on both
// sides, the side behind has one more (SAME_UPPER of ONNX).
func Same(height, width, channels, size, stride int) Window {
	w := Window{
		Height: height, Width: width, Channels: channels, Rows: size, Cols: size, Stride: stride,
		OutHeight: (height + stride - 1) / stride, OutWidth: (width + stride - 1) / stride,
	}
	w.Top = max(0, (w.OutHeight-1)*stride+size-height) / 2
	w.Left = max(0, (w.OutWidth-1)*stride+size-width) / 2
	return w
}

// Valid returns a window that never leaves the image; without a position if the
// image is smaller.
func Valid(height, width, channels, size, stride int) Window {
	w := Window{Height: height, Width: width, Channels: channels, Rows: size, Cols: size, Stride: stride}
	if height >= size && width >= size {
		w.OutHeight, w.OutWidth = (height-size)/stride+1, (width-size)/stride+1
	}
	return w
}

// Whole returns a window of the size of the image, which has one position.
func Whole(height, width, channels int) Window {
	return Window{Height: height, Width: width, Channels: channels, Rows: height, Cols: width, Stride: 1, OutHeight: 1, OutWidth: 1}
}

// In is the numbers of an image.
func (w Window) In() int { return w.Height * w.Width * w.Channels }

// Positions is how many places the window moves to.
func (w Window) Positions() int { return w.OutHeight * w.OutWidth }

// Patch is the numbers that the window sees at one of them.
func (w Window) Patch() int { return w.Rows * w.Cols * w.Channels }

// planar says that patches writes element by element rather than window by
// window: with one channel the runs of a window are too short to copy.
func (w Window) planar() bool { return w.Channels == 1 && w.Stride == 1 }

// patches writes what the window sees at each position, in the order of rows,
// columns, channels, and returns it as an operand of Positions×Patch.
func (w Window) patches(dst, image []float32) Operand {
	if w.planar() {
		w.planes(dst, image)
		return Operand{dst, 1, w.Positions()}
	}
	patch, run, line := w.Patch(), w.Cols*w.Channels, w.Width*w.Channels
	at := 0
	for oy := range w.OutHeight {
		for ox := range w.OutWidth {
			x0 := (ox*w.Stride - w.Left) * w.Channels
			before, after := max(0, -x0), max(0, x0+run-line)
			for ky := range w.Rows {
				d := dst[at+ky*run : at+(ky+1)*run]
				y := oy*w.Stride - w.Top + ky
				if y < 0 || y >= w.Height {
					clear(d)
					continue
				}
				if before|after == 0 {
					copy(d, image[y*line+x0:y*line+x0+run])
					continue
				}
				clear(d[:before])
				copy(d[before:run-after], image[y*line+x0+before:])
				clear(d[run-after:])
			}
			at += patch
		}
	}
	return Rows(dst, patch)
}

// planes is patches for one channel and stride 1, one element of the window
// after the other for all positions.
func (w Window) planes(dst, image []float32) {
	for ky := range w.Rows {
		for kx := range w.Cols {
			plane := dst[(ky*w.Cols+kx)*w.Positions():][:w.Positions()]
			first := min(max(0, w.Left-kx), w.OutWidth)
			last := max(first, min(w.OutWidth, w.Width+w.Left-kx))
			for oy := range w.OutHeight {
				d := plane[oy*w.OutWidth : (oy+1)*w.OutWidth]
				y := oy - w.Top + ky
				if y < 0 || y >= w.Height {
					clear(d)
					continue
				}
				clear(d[:first])
				if first < last {
					copy(d[first:last], image[y*w.Width+first-w.Left+kx:])
				}
				clear(d[last:])
			}
		}
	}
}

// scatter adds patches of Positions×Patch to the pixels they are of, in the
// order of positions.
func (w Window) scatter(image, patches []float32) {
	run, line := w.Cols*w.Channels, w.Width*w.Channels
	at := 0
	for oy := range w.OutHeight {
		for ox := range w.OutWidth {
			x0 := (ox*w.Stride - w.Left) * w.Channels
			before, after := max(0, -x0), max(0, x0+run-line)
			for ky := range w.Rows {
				s := patches[at : at+run]
				at += run
				if y := oy*w.Stride - w.Top + ky; y >= 0 && y < w.Height {
					d := image[y*line+x0+before : y*line+x0+run-after]
					Add(d, d, s[before:])
				}
			}
		}
	}
}
