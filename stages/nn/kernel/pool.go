package kernel

// MaxPool writes the largest value that the window sees, for each channel; a NaN
// counts as larger than anything. The window does not leave the image.
func (w Window) MaxPool(out, image []float32) {
	c, line := w.Channels, w.OutWidth*w.Channels
	for oy := range w.OutHeight {
		d := out[oy*line : (oy+1)*line]
		for ky := range w.Rows {
			for kx := range w.Cols {
				x := image[((oy*w.Stride+ky)*w.Width+kx)*c:]
				if ky|kx == 0 {
					w.each(func(o, i int) { copy(d[o:o+c], x[i:i+c]) })
					continue
				}
				maxBlocks(d, x, c, w.OutWidth, w.Stride*c)
			}
		}
	}
}

// MaxPoolGradient writes the gradient of the image: that of each output goes to
// the first pixel, by rows, that has its value.
func (w Window) MaxPoolGradient(dst, image, out, gradient []float32) {
	c, line := w.Channels, w.OutWidth*w.Channels
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.patches = grow(s.patches, line)
	rest := s.patches // of the gradient of one line of outputs
	clear(dst)
	for oy := range w.OutHeight {
		copy(rest, gradient[oy*line:])
		for ky := range w.Rows {
			for kx := range w.Cols {
				at := ((oy*w.Stride+ky)*w.Width + kx) * c
				routeBlocks(dst[at:], image[at:], out[oy*line:(oy+1)*line], rest, c, w.OutWidth, w.Stride*c)
			}
		}
	}
}

// AveragePool writes the mean of what the window sees, for each channel, added
// up row by row. The window does not leave the image.
func (w Window) AveragePool(out, image []float32) {
	c, line := w.Channels, w.OutWidth*w.Channels
	scale := 1 / float32(w.Rows*w.Cols)
	for oy := range w.OutHeight {
		d := out[oy*line : (oy+1)*line]
		clear(d)
		for ky := range w.Rows {
			for kx := range w.Cols {
				x := image[((oy*w.Stride+ky)*w.Width+kx)*c:]
				w.each(func(o, i int) { Add(d[o:o+c], d[o:o+c], x[i:i+c]) })
			}
		}
		for i := range d {
			d[i] *= scale
		}
	}
}

// AveragePoolGradient writes the gradient of the image.
func (w Window) AveragePoolGradient(dst, gradient []float32) {
	c, line := w.Channels, w.OutWidth*w.Channels
	scale := 1 / float32(w.Rows*w.Cols)
	clear(dst)
	for oy := range w.OutHeight {
		g := gradient[oy*line : (oy+1)*line]
		for ky := range w.Rows {
			for kx := range w.Cols {
				d := dst[((oy*w.Stride+ky)*w.Width+kx)*c:]
				w.each(func(o, i int) {
					for j, v := range g[o : o+c] {
						d[i+j] += float32(v * scale)
					}
				})
			}
		}
	}
}

// each calls f for each position of a line, with the offset of its output and of
// the pixel that the window starts at.
func (w Window) each(f func(out, pixel int)) {
	for ox := range w.OutWidth {
		f(ox*w.Channels, ox*w.Stride*w.Channels)
	}
}

// maxBlocks replaces each of so many blocks of c numbers in out by the larger of
// it and of a block of x; those of x are step apart.
func maxBlocks(out, x []float32, c, blocks, step int) {
	if vectorMaxBlocks(out, x, c, blocks, step) {
		return
	}
	for b := range blocks {
		o := out[b*c : (b+1)*c]
		for j, v := range x[b*step : b*step+c] {
			if v > o[j] || v != v {
				o[j] = v
			}
		}
	}
}

// routeBlocks adds to dst what is left of the gradient in rest wherever x is the
// largest, and takes it from rest.
func routeBlocks(dst, x, out, rest []float32, c, blocks, step int) {
	if vectorRouteBlocks(dst, x, out, rest, c, blocks, step) {
		return
	}
	for b := range blocks {
		d, o, r := dst[b*step:b*step+c], out[b*c:(b+1)*c], rest[b*c:(b+1)*c]
		for j, v := range x[b*step : b*step+c] {
			if v == o[j] {
				d[j] += r[j]
				r[j] = 0
			}
		}
	}
}
