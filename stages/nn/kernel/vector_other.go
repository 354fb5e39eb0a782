//go:build !amd64

package kernel

// Without assembly everything is left to Go.

func multiplyTile(t *tileArgs) { tilePortable(t) }

func vectorReLUGradient(_, _, _ []float32) int         { return 0 }
func vectorColumnSums(_, _ []float32) int              { return 0 }
func vectorAdd(_, _, _ []float32) int                  { return 0 }
func vectorAdam(_, _, _, _ []float32, _ *AdamStep) int { return 0 }
func vectorSGD(_, _, _ []float32, _ *SGDStep) int      { return 0 }

func vectorReLU(_ []float32) int                               { return 0 }
func vectorMaxBlocks(_, _ []float32, _, _, _ int) bool         { return false }
func vectorRouteBlocks(_, _, _, _ []float32, _, _, _ int) bool { return false }
