package builtin_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/builtin"
)

// arguments are the arguments of a stage type with their defaults, by path, as
// they were at a version of it.
type arguments struct {
	name     string
	version  int
	defaults map[string]string
}

// none is the default of an argument that has none.
const none = "none"

// A key holds the arguments that differ from their defaults. So a default that
// becomes another one would give old results for new arguments, unless the
// version of the type, which is in the key as well, is raised.
func TestAnotherDefaultIsAnotherVersion(t *testing.T) {
	golden := filepath.Join("testdata", "defaults.txt")
	before := readArguments(t, golden)
	var now []arguments
	for _, typ := range builtin.Types() {
		s := typ.Schema()
		a := arguments{name: s.Name, version: s.Version, defaults: map[string]string{}}
		a.collect("", s.Body)
		now = append(now, a)
		if old, ok := before[a.name]; ok && old.version == a.version {
			for _, path := range slices.Sorted(maps.Keys(old.defaults)) {
				got, there := a.defaults[path]
				if want := old.defaults[path]; there && got != want {
					t.Errorf("%s: the default of %s was %s and is %s. Keys do not hold defaults: raise the Version of the type from %d, so that no result of the old default is taken for one of the new.", a.name, path, want, got, a.version)
				}
			}
		}
	}
	if t.Failed() {
		return
	}
	got := writeArguments(now)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("The arguments are others than %s has (-has +are). The default of a new argument has to mean what was done before there was one, since results of that time are found under the same key; if it means something else, or is written into the result as the parameters of a model are, raise the Version of the type. Then: UPDATE=1 go test ./stages/builtin\n%s", golden, diff)
	}
}

func (a *arguments) collect(prefix string, b stage.Body) {
	for _, attr := range b.Attributes {
		text := none
		if attr.Default != cty.NilVal {
			j, err := ctyjson.Marshal(attr.Default, attr.Default.Type())
			if err != nil {
				panic(err)
			}
			text = string(j)
		}
		a.defaults[prefix+attr.Name] = text
	}
	for _, block := range b.Blocks {
		a.collect(prefix+block.Name+".", block.Body)
		for _, v := range block.Variants {
			a.collect(prefix+block.Name+"."+v.Name+".", v.Body)
		}
	}
}

func writeArguments(all []arguments) []byte {
	var b bytes.Buffer
	for _, a := range all {
		fmt.Fprintf(&b, "%s version %d\n", a.name, a.version)
		for _, path := range slices.Sorted(maps.Keys(a.defaults)) {
			fmt.Fprintf(&b, "\t%s = %s\n", path, a.defaults[path])
		}
	}
	return b.Bytes()
}

func readArguments(t *testing.T, path string) map[string]*arguments {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*arguments{}
	var a *arguments
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "\t"); ok {
			name, value, _ := strings.Cut(rest, " = ")
			a.defaults[name] = value
			continue
		}
		a = &arguments{defaults: map[string]string{}}
		if _, err := fmt.Sscanf(line, "%s version %d", &a.name, &a.version); err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		out[a.name] = a
	}
	return out
}
