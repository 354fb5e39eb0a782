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
	narrow := t.squeeze(p, widths)
	for _, r := range t.rows {
		line := t.indent
		for i, c := range r {
			if i == len(r)-1 {
				line += c
				break
			}
			if i == 0 && narrow {
				c = middle(c, widths[0])
			}
			line += pad(c, widths[i]) + strings.Repeat(" ", gap)
		}
		p.row(line)
	}
}

// leastLast is how much of the last cell is to be seen.
const leastLast = 20

// squeeze makes the first column narrower, a name most often, if it would push
// the others out of the terminal, and reports whether it did.
func (t *table) squeeze(p *Printer, widths []int) bool {
	if len(widths) < 2 || p.width >= unlimited {
		return false
	}
	others := textWidth(t.indent) + min(widths[len(widths)-1], leastLast)
	for _, w := range widths[1 : len(widths)-1] {
		others += w + gap
	}
	room := max(p.width-others-gap, p.width/2)
	if widths[0] <= room {
		return false
	}
	widths[0] = room
	return true
}
