package nn_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// On arm64 the compiler fuses a product with the sum around it unless the
// product is converted or assigned first, and then the bits differ from those
// of other machines. There is no arm64 machine here, but its instructions tell.
// The only lines that may be fused are those whose product is exact, or whose
// result is not part of a model.
func TestNothingIsFusedOnARM64(t *testing.T) {
	if os.Getenv("CI") == "" {
		t.Skip("builds for another architecture, which takes a while: set CI=1 to run it")
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-S", ".", "./kernel", "../portable")
	cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("build for arm64: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "FMULS") {
		t.Fatal("the listing has no arm64 instructions")
	}
	allowed := regexp.MustCompile(`layer\.go`)
	fused := regexp.MustCompile(`\((\S+:\d+)\)\s+FN?M(ADD|SUB)[SD]\b.*`)
	for _, line := range strings.Split(string(out), "\n") {
		if m := fused.FindString(line); m != "" && !allowed.MatchString(m) {
			t.Errorf("fused: %s", m)
		}
	}
}
