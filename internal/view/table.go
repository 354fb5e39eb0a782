package view

import "strings"

// table is rows whose cells stand in columns. The last column takes what is
// left of the width, and is cut there.
type table struct {
	rows [][]string
	// indent is in front of each row.
	indent string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

const gap = 2

// widestCell bounds what one long cell can do to all rows.
const widestCell = 48

func (t *table) print(p *Printer) {
	var widths []int
	for _, r := range t.rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(textWidth(c), widestCell))
		}
	}
	for _, r := range t.rows {
		line := t.indent
		for i, c := range r {
			if i == len(r)-1 {
				line += c
				break
			}
			line += pad(c, widths[i]) + strings.Repeat(" ", gap)
		}
		p.row(line)
	}
}
