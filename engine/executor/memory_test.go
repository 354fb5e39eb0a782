package executor_test

import (
	"testing"

	"github.com/flow-pipelines/flow/engine/executor"
)

// The lines are what the programs print, as their sources and bug reports have it.
func TestOutOfMemoryIsRecognised(t *testing.T) {
	for _, line := range []string{
		"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB",
		"RuntimeError: CUDA error: out of memory",
		"RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
		"tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor with shape[1024,1024]",
		"jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
		"cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 8,589,934,592 bytes",
		"MemoryError",
		"numpy._core._exceptions._ArrayMemoryError: Unable to allocate 745. GiB for an array with shape (100000, 1000000) and data type float64",
		"  what():  std::bad_alloc",
		"Error: cannot allocate vector of size 74.5 Gb",
		"java.lang.OutOfMemoryError: Java heap space",
		"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
		"fatal error: runtime: out of memory",
		"ERROR: LoadError: OutOfMemoryError()",
	} {
		if got := executor.OutOfMemory([]string{"before", line, "after"}); got == "" {
			t.Errorf("%q is not recognised", line)
		}
	}
	for _, line := range []string{"", "memory: 3 GB", "ValueError: x", "class MyMemoryErrorHandler", "allocated 3 GiB"} {
		if got := executor.OutOfMemory([]string{line}); got != "" {
			t.Errorf("%q is taken for the end of memory", line)
		}
	}
}
