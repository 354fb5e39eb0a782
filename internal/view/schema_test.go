package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/pinned"
)

// Programs rely on the fields of documents. Whoever adds one, or takes one away,
// raises the version that goes with it, and says so in docs/commands.md; then
// UPDATE=1 writes the list anew.
func TestFieldsOfDocumentsGoWithTheirVersion(t *testing.T) {
	for name, test := range map[string]struct {
		version   string
		documents map[string]any
	}{
		"documents": {FormatVersion, map[string]any{
			"plan": planJSON{}, "validate": diagnosticsJSON{}, "status": statusJSON{}, "show": showJSON{}, "runs list": runsJSON{},
			"checkout": checkoutJSON{}, "graph": graphJSON{}, "explain": explainJSON{}, "diff": diffJSON{}, "output": map[string]outputJSON{},
			"cache du": cacheUseJSON{}, "cache gc": gcJSON{}, "cache verify": verifyJSON{},
		}},
		"saved-plan": {pinned.FormatVersion, map[string]any{"plan --out": pinned.Document{}}},
		"stream":     {UIVersion, map[string]any{"hook": hookJSON{}, "diagnostic": diagnosticJSON{}, "outputs": map[string]outputJSON{}, "logs --json": event.Event{}}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			fmt.Fprintf(&b, "version %s\n", test.version)
			names := make([]string, 0, len(test.documents))
			for n := range test.documents {
				names = append(names, n)
			}
			slices.Sort(names)
			for _, n := range names {
				fmt.Fprintf(&b, "\n%s\n", n)
				for _, f := range fields(reflect.TypeOf(test.documents[n]), "", nil) {
					fmt.Fprintf(&b, "  %s\n", f)
				}
			}
			file := filepath.Join("testdata", "fields-"+name+".txt")
			golden, err := os.ReadFile(file)
			if err != nil && os.Getenv("UPDATE") == "" {
				t.Fatal(err)
			}
			d := cmp.Diff(string(golden), b.String())
			if d == "" {
				return
			}
			before, fieldsBefore, _ := strings.Cut(string(golden), "\n")
			now, fieldsNow, _ := strings.Cut(b.String(), "\n")
			if before == now && fieldsBefore != fieldsNow {
				t.Fatalf("fields have changed, and the version has not: raise it (and tell of it in docs/commands.md).\n%s", d)
			}
			if os.Getenv("UPDATE") == "" {
				t.Fatalf("-want +got; UPDATE=1 writes the new list\n%s", d)
			}
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What programs can rely on is documented.
func TestFieldsOfDocumentsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"documents " + FormatVersion, "saved plans " + pinned.FormatVersion, "stream " + UIVersion} {
		if !strings.Contains(string(doc), "| "+v+" |") {
			t.Errorf("docs/json.md does not say what is new in %s", v)
		}
	}
	lists, err := filepath.Glob(filepath.Join("testdata", "fields-*.txt"))
	if err != nil || len(lists) < 3 {
		t.Fatal(lists, err)
	}
	for _, file := range lists {
		list, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(list)) {
			path, _, field := strings.Cut(strings.TrimPrefix(line, "  "), " ")
			if !field || !strings.HasPrefix(line, "  ") {
				continue
			}
			for name := range strings.SplitSeq(strings.NewReplacer("[]", "", "{}", "").Replace(path), ".") {
				if name != "" && !strings.Contains(string(doc), "`"+name+"`") && !strings.Contains(string(doc), "`"+name+"[]`") {
					t.Errorf("docs/json.md does not have %s (%s)", name, path)
				}
			}
		}
	}
}

// fields lists what a type becomes in JSON, a path and a kind of value a line.
func fields(t reflect.Type, path string, around []reflect.Type) []string {
	own := reflect.New(t).Elem().Interface()
	_, text := own.(interface{ MarshalText() ([]byte, error) })
	m, marshals := own.(json.Marshaler)
	switch {
	case text, t == reflect.TypeFor[json.Number]():
		return []string{path + " string"}
	case marshals && t.PkgPath() != "encoding/json" && t.Kind() == reflect.Struct:
		return marshalled(t, path, m)
	case slices.Contains(around, t):
		return []string{path + " …"}
	}
	around = append(slices.Clip(around), t)
	switch t.Kind() {
	case reflect.Pointer:
		return fields(t.Elem(), path, around)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return []string{path + " value"}
		}
		return fields(t.Elem(), path+"[]", around)
	case reflect.Map:
		return fields(t.Elem(), path+"{}", around)
	case reflect.Interface:
		return []string{path + " value"}
	case reflect.Struct:
		var all []string
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || !f.IsExported() || name == "-" {
				continue
			}
			if name == "" {
				name = f.Name
			}
			all = append(all, fields(f.Type, strings.TrimPrefix(path+"."+name, "."), around)...)
		}
		return all
	}
	return []string{fmt.Sprintf("%s %s", path, strings.TrimRight(t.Kind().String(), "0123456789"))}
}

// marshalled lists the names that a type of struct with a form of its own has in
// JSON, when all of it is filled in.
func marshalled(t reflect.Type, path string, _ json.Marshaler) []string {
	v := reflect.New(t).Elem()
	for i := range t.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString("x")
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		}
	}
	b, err := json.Marshal(v.Interface())
	var object map[string]any
	if err != nil || json.Unmarshal(b, &object) != nil {
		return []string{path + " value"}
	}
	var all []string
	for name, value := range object {
		all = append(all, fmt.Sprintf("%s.%s %T", path, name, value))
	}
	slices.Sort(all)
	return all
}
