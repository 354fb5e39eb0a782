package config

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/digest"
)

// What a saved plan pins of a pipeline: what its files mean, the values of its
// variables, and the files that its expressions read.

// Variable is a variable with its value.
type Variable struct {
	Name      string
	Value     cty.Value // without marks
	Sensitive bool
}

// Variables returns all variables, sorted by name.
func (p *Pipeline) Variables() []Variable {
	var vs []Variable
	for _, name := range mapKeys(p.vars) {
		v, _ := p.vars[name].value.UnmarkDeep()
		vs = append(vs, Variable{Name: name, Value: v, Sensitive: p.vars[name].sensitive})
	}
	return vs
}

// Sources returns a digest of each file of the pipeline that does not depend
// on its comments and layout. Files with values of variables are not among
// them.
func (p *Pipeline) Sources() map[string]digest.Digest {
	sources := map[string]digest.Digest{}
	for name, f := range p.files {
		switch body, native := f.Body.(*hclsyntax.Body); {
		case f.Body == nil: // the text of a --var
		case !native:
			sources[name] = digest.OfBytes(f.Bytes)
		case len(body.Blocks) > 0: // a file of variables has none
			sources[name] = digest.OfBytes(tokens(f.Bytes, name))
		}
	}
	return sources
}

// tokens writes the tokens of a file, one a line, without comments and with
// single line breaks.
func tokens(src []byte, name string) []byte {
	ts, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	var b bytes.Buffer
	broken := true
	for _, t := range ts {
		text := t.Bytes
		if t.Type == hclsyntax.TokenComment {
			// A comment to the end of the line has the line's end in it.
			if !bytes.HasSuffix(text, []byte("\n")) {
				continue
			}
			text = []byte("\n")
		}
		if string(text) == "\n" || string(text) == "\r\n" {
			if !broken {
				b.WriteByte('\n')
			}
			broken = true
			continue
		}
		broken = false
		b.WriteString(strings.ReplaceAll(string(text), "\n", "\x00"))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// FilesRead returns the digests of the files that functions have read so far.
func (p *Pipeline) FilesRead() map[string]digest.Digest {
	files := p.funcs.files
	files.mu.Lock()
	defer files.mu.Unlock()
	read := make(map[string]digest.Digest, len(files.read))
	for _, name := range slices.Sorted(maps.Keys(files.read)) {
		read[name] = digest.OfBytes(files.read[name])
	}
	return read
}

// setPinned gives variables the values that a saved plan has for them. It wins
// over all other ways to set them.
func (p *Pipeline) setPinned(values map[string]cty.Value) {
	for name, value := range values {
		if v := p.vars[name]; v != nil && !v.sensitive {
			v.value = value
		}
	}
}
