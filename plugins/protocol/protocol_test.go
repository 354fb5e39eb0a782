package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same fails if a message, read and written again, has lost something.
func same(t *testing.T, before []byte, v any) {
	t.Helper()
	after, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(before, &a), json.Unmarshal(after, &b)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("-golden +written again\n%s", d)
	}
}

// The golden examples of version 1: what they say must be understood for ever.
func TestMessagesOfVersion1(t *testing.T) {
	b := golden(t, "v1-description.json")
	d, err := protocol.ParseDescription(b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, b, d)

	b = golden(t, "v1-spec.json")
	var spec protocol.Spec
	if err := json.Unmarshal(b, &spec); err != nil {
		t.Fatal(err)
	}
	same(t, b, spec)

	for line := range bytes.Lines(golden(t, "v1-events.jsonl")) {
		e, err := protocol.ParseEvent(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		same(t, line, e)
	}

	for line := range bytes.Lines(golden(t, "v1-check.jsonl")) {
		var check protocol.Check
		if err := json.Unmarshal(line, &check); err != nil {
			t.Fatal(err)
		}
		same(t, line, check)
	}
	for line := range bytes.Lines(golden(t, "v1-verdict.jsonl")) {
		v, err := protocol.ParseVerdict(line)
		if err != nil {
			t.Fatal(err)
		}
		same(t, line, v)
	}
}

// A schema goes to the protocol and back without a loss.
func TestSchemasOfFlowsOwnFormFit(t *testing.T) {
	d, err := protocol.ParseDescription(golden(t, "v1-description.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range d.Types {
		s, err := typ.Schema()
		if err != nil {
			t.Fatal(err)
		}
		again, err := protocol.BodyOf(s.Body)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(typ.Body, again, cmp.Transformer("json", func(r json.RawMessage) string { return string(r) })); d != "" {
			t.Errorf("%s: -golden +schema\n%s", typ.Name, d)
		}
	}
}

func known(string) bool { return false }

func TestOutputsFollowFromTheArguments(t *testing.T) {
	typ := protocol.Type{
		Name: "sql",
		Body: protocol.Body{
			Arguments: []protocol.Argument{{Name: "format", Type: "string"}, {Name: "tables", Type: "map(string)"}, {Name: "report", Type: "bool"}},
			Blocks:    []protocol.Block{{Name: "query", Kind: "repeated", Label: "name"}},
		},
		Outputs: []protocol.Output{
			{Name: "data", Path: "data.{format}"},
			{Name: "tables", Path: "t/{key}", Each: "tables", Dir: true},
			{Name: "queries", Path: "{key}.{format}", Each: "query"},
			{Name: "report", Path: "report.html", If: "report"},
		},
	}
	for name, c := range map[string]struct {
		args string
		want []stage.Output
	}{
		"plain":    {`{"format":"csv"}`, []stage.Output{{Name: "data", Path: "data.csv"}}},
		"a map":    {`{"format":"csv","tables":{"b":"1","a":"2"}}`, []stage.Output{{Name: "data", Path: "data.csv"}, {Name: "a", Path: "t/a", Dir: true}, {Name: "b", Path: "t/b", Dir: true}}},
		"a flag":   {`{"format":"csv","report":true}`, []stage.Output{{Name: "data", Path: "data.csv"}, {Name: "report", Path: "report.html"}}},
		"no flag":  {`{"format":"csv","report":false}`, []stage.Output{{Name: "data", Path: "data.csv"}}},
		"blocks":   {`{"format":"csv","query":[{"name":"y","format":"parquet"},{"name":"x"}]}`, []stage.Output{{Name: "data", Path: "data.csv"}, {Name: "y", Path: "y.parquet"}, {Name: "x", Path: "x.csv"}}},
		"no block": {`{"format":"csv","query":[]}`, []stage.Output{{Name: "data", Path: "data.csv"}}},
	} {
		got, err := typ.OutputsOf(json.RawMessage(c.args), known)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
	for args, want := range map[string]string{
		`{"format":"../x"}`:                     "format",
		`{"format":".hidden"}`:                  "format",
		`{}`:                                    "format",
		`{"format":"csv","tables":{"a/b":"1"}}`: "tables[0]",
		`{"format":"csv","query":[{"name":"x"},{"name":"x"}]}`:    "query[1]",
		`{"format":"csv","query":[{"name":"x","format":"a b"}]}`:  "format",
		`{"format":"csv","query":[{"name":"../../etc/passwd"}]}`:  "query[0]",
		`{"format":"csv","query":[{"name":"ok"},{"name":"a b"}]}`: "query[1]",
	} {
		_, err := typ.OutputsOf(json.RawMessage(args), known)
		if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != want {
			t.Errorf("%s: got %v, want a problem at %s", args, err, want)
		}
	}
	_, err := typ.OutputsOf(json.RawMessage(`{"format":"csv"}`), func(name string) bool { return name == "query" })
	if ps := stage.ProblemsIn(err); len(ps) != 1 || !strings.Contains(ps[0].Summary, "not known yet") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	for _, line := range []string{"", "hello", "3", `{"type":"progress"} {}`, `{"type":"problem"}`, `{"type":"progress","step":"one"}`, `{"type":"metrics","values":3}`} {
		if e, err := protocol.ParseEvent([]byte(line)); err == nil {
			t.Errorf("%q: got %+v, want an error", line, e)
		}
	}
	// What a later version adds is passed over.
	if _, err := protocol.ParseEvent([]byte(`{"type":"progress","step":1,"eta":3.5}`)); err != nil {
		t.Error(err)
	}
	if _, err := protocol.ParseDescription([]byte(`{"protocol":2}`)); !errors.Is(err, protocol.ErrVersion) {
		t.Errorf("got %v, want %v", err, protocol.ErrVersion)
	}
}

// The messages in the documentation are messages: documents, lines, and events in
// a table.
func TestTheDocumentationHasMessages(t *testing.T) {
	raw, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]int{}
	message := func(text string) {
		t.Helper()
		var has map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &has); err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		def := "verdict"
		switch {
		case has["types"] != nil:
			def = "description"
			_, err = protocol.ParseDescription([]byte(text))
		case has["cpus"] != nil:
			def = "spec"
		case has["args"] != nil:
			def = "check"
		case has["type"] != nil:
			def = "event"
			_, err = protocol.ParseEvent([]byte(text))
		default:
			_, err = protocol.ParseVerdict([]byte(text))
		}
		read[def]++
		if err = errors.Join(err, validate(t, def, []byte(text))); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, text, _ := strings.Cut(string(raw), "\n## The protocol\n")
	for i, part := range strings.Split(text, "\n```json\n") {
		if i == 0 {
			continue
		}
		s, _, _ := strings.Cut(part, "\n```")
		if json.Valid([]byte(s)) {
			message(s)
			continue
		}
		for line := range strings.Lines(s) {
			message(line)
		}
	}
	for line := range strings.Lines(text) {
		if e, ok := strings.CutPrefix(line, "| `{"); ok {
			e, _, _ = strings.Cut(e, "` |")
			message("{" + e)
		}
	}
	if want := map[string]int{"description": 1, "spec": 1, "event": 4, "check": 2, "verdict": 2}; !cmp.Equal(read, want) {
		t.Errorf("got %v, want %v", read, want)
	}
}

// validate holds a message against the JSON Schema.
func validate(t *testing.T, def string, doc []byte) error {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("protocol.schema.json#/$defs/" + def)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// The JSON Schema, which is for plugins in other languages, takes the golden
// examples, and refuses what the parser refuses.
func TestTheJSONSchemaDescribesTheMessages(t *testing.T) {
	for def, file := range map[string]string{"description": "v1-description.json", "spec": "v1-spec.json"} {
		if err := validate(t, def, golden(t, file)); err != nil {
			t.Errorf("%s: %v", def, err)
		}
	}
	for def, file := range map[string]string{"event": "v1-events.jsonl", "check": "v1-check.jsonl", "verdict": "v1-verdict.jsonl"} {
		for line := range bytes.Lines(golden(t, file)) {
			if err := validate(t, def, line); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	for _, def := range []string{"description", "spec", "event", "check", "verdict"} {
		if err := validate(t, def, []byte(`[]`)); err == nil {
			t.Errorf("%s: a list is accepted", def)
		}
	}
	for _, line := range []string{`{"type":"song"}`, `{"type":"problem"}`, `{"type":"progress","step":"one"}`} {
		if err := validate(t, "event", []byte(line)); err == nil {
			t.Errorf("%s is accepted", line)
		}
	}
}

// What a run can go on over is a number of the type's own, in a checkpoint.
func TestWhatRunsGoOnOverIsANumber(t *testing.T) {
	const description = `{"protocol":1,"name":"p","version":"1","summary":"s","types":[{"name":"t","version":1,"summary":"s",%s,"outputs":[]}]}`
	const body = `"body":{"arguments":[{"name":"epochs","type":"number"},{"name":"how","type":"string"}]}`
	for text, want := range map[string]string{
		`"checkpoint":true,"resume_over":["epochs"],` + body: "",
		`"resume_over":["epochs"],` + body:                   "want checkpoint as well",
		`"checkpoint":true,"resume_over":["how"],` + body:    `no argument "how" that is a number`,
		`"checkpoint":true,"resume_over":["what"],` + body:   `no argument "what"`,
		`"checkpoint":true,"resume_over":["n"],"body":{"arguments":[{"name":"n","type":"number"},{"name":"resume_over","type":"any"}]}`: "which is flow's",
	} {
		d, err := protocol.ParseDescription(fmt.Appendf(nil, description, text))
		switch {
		case want != "":
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", text, err, want)
			}
		case err != nil:
			t.Errorf("%s: %v", text, err)
		default:
			s, err := d.Types[0].Schema()
			last := s.Body.Attributes[len(s.Body.Attributes)-1]
			if err != nil || last.Name != "resume_over" || !last.Unkeyed {
				t.Errorf("schema %+v, %v", s.Body, err)
			}
		}
	}
}

func TestPathsAreMadeFromArguments(t *testing.T) {
	const description = `{"protocol":1,"name":"p","version":"1","summary":"s","types":[{"name":"t","version":1,"summary":"s","body":{
		"arguments":[{"name":"format","type":"string"}],
		"blocks":[{"name":"part","kind":"repeated","label":"name","body":{"arguments":[{"name":"kind","type":"string"}]}}]},
		"outputs":[%s]}]}`
	for output, want := range map[string]string{
		`{"name":"o","path":"o.{format}"}`:                 "",
		`{"name":"o","path":"{name}.csv","each":"part"}`:   "",
		`{"name":"o","path":"{key}.{kind}","each":"part"}`: "",
		`{"name":"o","path":"o.{fromat}"}`:                 `there is no argument "fromat"`,
		`{"name":"o","path":"{key}.csv"}`:                  `there is no argument "key"`,
		`{"name":"o","path":"o.{kind}"}`:                   `there is no argument "kind"`,
	} {
		_, err := protocol.ParseDescription(fmt.Appendf(nil, description, output))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", output, err, want)
		}
	}
}

func TestNamesThatEveryStageHasAreFlows(t *testing.T) {
	const description = `{"protocol":1,"name":"p","version":"1","summary":"s","types":[{"name":"t","version":1,"summary":"s","body":%s,"outputs":[]}]}`
	for body, want := range map[string]string{
		`{"arguments":[{"name":"patience","type":"string"}]}`: "",
		`{"arguments":[{"name":"timeout","type":"string"}]}`:  "argument timeout: every stage has that",
		`{"blocks":[{"name":"resources","kind":"single"}]}`:   "argument resources: every stage has that",
	} {
		_, err := protocol.ParseDescription(fmt.Appendf(nil, description, body))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", body, err, want)
		}
	}
}
