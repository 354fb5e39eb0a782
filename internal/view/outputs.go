package view

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/key"
)

const unknownText = "(known after apply)"

// outputJSON is one output. Value is missing if it is not known or sensitive.
type outputJSON struct {
	Value       json.RawMessage `json:"value,omitempty"`
	Known       bool            `json:"known"`
	Sensitive   bool            `json:"sensitive,omitempty"`
	Description string          `json:"description,omitempty"`
	// Error is why there is no value and will be none.
	Error string `json:"error,omitempty"`
}

func outputsJSON(outs []config.Output) map[string]outputJSON {
	m := make(map[string]outputJSON, len(outs))
	for _, o := range outs {
		m[o.Name] = outputToJSON(o)
	}
	return m
}

func outputToJSON(o config.Output) outputJSON {
	j := outputJSON{Known: o.Value != cty.NilVal && o.Value.IsWhollyKnown(), Sensitive: o.Sensitive, Description: o.Description}
	if len(o.Mistakes) > 0 {
		j.Error = o.Mistakes[0].Summary
	}
	if j.Known && !j.Sensitive {
		if b, err := ctyjson.Marshal(o.Value, o.Value.Type()); err == nil {
			j.Value = b
		}
	}
	return j
}

// Outputs writes the values of the pipeline's outputs.
func (p *Printer) Outputs(outs []config.Output) {
	if len(outs) == 0 {
		return
	}
	column := 0
	for _, o := range outs {
		column = max(column, min(textWidth(o.Name), widestCell))
	}
	for _, o := range outs {
		value := strings.ReplaceAll(outputText(o), "\n", "\n"+strings.Repeat(" ", column+3))
		p.Printf("%s = %s\n", p.paint(bold, pad(o.Name, column)), value)
	}
}

func outputText(o config.Output) string {
	switch {
	case len(o.Mistakes) > 0:
		return "(error: " + o.Mistakes[0].Summary + ")"
	case o.Sensitive:
		return key.Hidden
	case o.Value == cty.NilVal || !o.Value.IsWhollyKnown():
		return unknownText
	}
	return valueText(o.Value)
}

// valueText writes a value as HCL.
func valueText(v cty.Value) string {
	return strings.TrimSpace(string(hclwrite.Format(hclwrite.TokensForValue(v).Bytes())))
}

// Value writes a value that an expression has, as HCL. What is not known in it
// stands as such.
func (p *Printer) Value(v cty.Value, sensitive bool) {
	if sensitive {
		p.Printf("%s\n", key.Hidden)
		return
	}
	if !v.IsKnown() {
		p.Printf("%s\n", unknownText)
		return
	}
	shown, err := cty.Transform(v, func(_ cty.Path, v cty.Value) (cty.Value, error) {
		if !v.IsKnown() {
			return cty.StringVal(unknownText), nil
		}
		return v, nil
	})
	if err != nil { // a list or map of something else, in which no text fits
		p.Printf("%s of values, some of which are known after apply\n", v.Type().FriendlyName())
		return
	}
	p.Printf("%s\n", strings.ReplaceAll(valueText(shown), `"`+unknownText+`"`, unknownText))
}

// OutputRaw writes a single value: a string as it is, anything else as HCL. It
// reports whether there is a value to write.
func (p *Printer) OutputRaw(o config.Output) bool {
	if o.Value == cty.NilVal || !o.Value.IsWhollyKnown() {
		return false
	}
	if o.Value.Type() == cty.String && !o.Value.IsNull() {
		p.Printf("%s\n", o.Value.AsString())
		return true
	}
	p.Printf("%s\n", valueText(o.Value))
	return true
}

// OutputsJSON writes the outputs by name.
func OutputsJSON(w io.Writer, outs []config.Output) error { return writeJSON(w, outputsJSON(outs)) }

// OutputJSON writes the value of one output that is asked for by name, even if
// it is sensitive.
func OutputJSON(w io.Writer, o config.Output) error {
	b, err := ctyjson.Marshal(o.Value, o.Value.Type())
	if err != nil {
		return err
	}
	return writeJSON(w, json.RawMessage(b))
}
