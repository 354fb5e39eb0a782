package kernel

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2

//go:noescape
func tileAVX2(t *tileArgs)

//go:noescape
func reluGradientAVX2(out, h, gradient *float32, n int)

//go:noescape
func columnSumsAVX2(out, m *float32, rows, cols, n int)

//go:noescape
func addAVX2(out, a, b *float32, n int)

//go:noescape
func adamAVX2(p, gradient, m, v *float32, n int, s *AdamStep)

//go:noescape
func sgdAVX2(p, gradient, v *float32, n int, s *SGDStep)

//go:noescape
func reluAVX2(x *float32, n int)

//go:noescape
func maxBlocksAVX2(out, x *float32, c, blocks, step int)

//go:noescape
func routeBlocksAVX2(dst, x, out, rest *float32, c, blocks, step int)

func multiplyTile(t *tileArgs) {
	if hasAVX2 {
		tileAVX2(t)
		return
	}
	tilePortable(t)
}

// whole is how many of n elements the assembly takes.
func whole(n int) int {
	if !hasAVX2 {
		return 0
	}
	return n &^ (lanes - 1)
}

// The functions below do the first elements of their slices and return how many.

func vectorReLUGradient(out, h, gradient []float32) int {
	n := whole(len(out))
	if n > 0 {
		reluGradientAVX2(&out[0], &h[0], &gradient[0], n)
	}
	return n
}

func vectorColumnSums(out, m []float32) int {
	n := whole(len(out))
	if n > 0 {
		columnSumsAVX2(&out[0], &m[0], len(m)/len(out), len(out), n)
	}
	return n
}

func vectorAdd(out, a, b []float32) int {
	n := whole(len(out))
	if n > 0 {
		addAVX2(&out[0], &a[0], &b[0], n)
	}
	return n
}

func vectorAdam(p, gradient, m, v []float32, s *AdamStep) int {
	n := whole(len(p))
	if n > 0 {
		adamAVX2(&p[0], &gradient[0], &m[0], &v[0], n, s)
	}
	return n
}

func vectorSGD(p, gradient, v []float32, s *SGDStep) int {
	n := whole(len(p))
	if n > 0 {
		sgdAVX2(&p[0], &gradient[0], &v[0], n, s)
	}
	return n
}

func vectorReLU(x []float32) int {
	n := whole(len(x))
	if n > 0 {
		reluAVX2(&x[0], n)
	}
	return n
}

// Blocks are done by assembly all or not at all.

func vectorMaxBlocks(out, x []float32, c, blocks, step int) bool {
	if !hasAVX2 || c%lanes != 0 || blocks == 0 {
		return false
	}
	_, _ = out[blocks*c-1], x[(blocks-1)*step+c-1]
	maxBlocksAVX2(&out[0], &x[0], c, blocks, step)
	return true
}

func vectorRouteBlocks(dst, x, out, rest []float32, c, blocks, step int) bool {
	if !hasAVX2 || c%lanes != 0 || blocks == 0 {
		return false
	}
	_, _, _, _ = out[blocks*c-1], rest[blocks*c-1], x[(blocks-1)*step+c-1], dst[(blocks-1)*step+c-1]
	routeBlocksAVX2(&dst[0], &x[0], &out[0], &rest[0], c, blocks, step)
	return true
}
