package executor

import (
	"regexp"
	"strings"
)

// ranOut recognises what programs say when they get no more memory: of a GPU
// (PyTorch, TensorFlow, JAX, CuPy, CUDA and its libraries, HIP), or of the
// machine (Python, numpy, C++, R, Java, Node, Go, Julia, the C library).
var ranOut = regexp.MustCompile(`OutOfMemoryError|out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|hipErrorOutOfMemory|` +
	`CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED|ResourceExhaustedError|OOM when allocating|` +
	`^MemoryError\b|Unable to allocate [0-9.]+ [KMGT]?i?B|std::bad_alloc|[cC]annot allocate (vector|memory)|` +
	`heap out of memory|OutOfMemory\(\)|memory exhausted`)

// OutOfMemory returns the line of a failed program's log, given by its last
// lines, that says that memory ran out, the last of several; "" if none does.
func OutOfMemory(log []string) string {
	for i := len(log) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(log[i]); ranOut.MatchString(line) {
			return line
		}
	}
	return ""
}
