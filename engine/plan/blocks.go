package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/stage"
)

// blocks compares the nested blocks of two manifests of a stage. What was written
// as a block is told as one: a step that was put before others is a new block, and
// not as many changed arguments as there are in all steps behind it.
type blocks struct {
	before, after map[string]key.Fact // arguments, by their paths
	reasons       []Reason
}

// blockChanges explains which blocks there are now and were not, and the other
// way round. It returns the manifests without these, and with the blocks of before
// under the numbers that they have in after. Facts for which skip returns true are
// not looked at.
func blockChanges(body stage.Body, before, after key.Manifest, skip func(key.Fact) bool) (rs []Reason, was, is key.Manifest) {
	arguments := func(m key.Manifest) (args map[string]key.Fact, rest key.Manifest) {
		args = map[string]key.Fact{}
		for _, f := range m {
			if f.Kind == key.Argument && (skip == nil || !skip(f)) {
				args[f.Name] = f
			} else {
				rest = append(rest, f)
			}
		}
		return args, rest
	}
	b := &blocks{}
	b.before, was = arguments(before)
	b.after, is = arguments(after)
	b.compare(body, "")
	for _, f := range b.before {
		was = append(was, f)
	}
	for _, f := range b.after {
		is = append(is, f)
	}
	return b.reasons, was.Sorted(), is.Sorted()
}

// compare goes through the blocks of a body at the path.
func (b *blocks) compare(body stage.Body, at string) {
	for i := range body.Blocks {
		blk := &body.Blocks[i]
		name := joined(at, blk.Name)
		old, now := under(b.before, name), under(b.after, name)
		switch {
		case len(old)+len(now) == 0:
		case blk.Kind == stage.Repeated || blk.Kind == stage.Steps:
			b.list(blk, name)
		case len(old) == 0:
			b.added(blk, name, now)
		case len(now) == 0:
			b.removed(blk, name, old)
		case blk.Kind == stage.Choice:
			b.choice(blk, name)
		default:
			b.both(blk.Body, name)
		}
	}
}

// both goes on in a block that was there and is.
func (b *blocks) both(body stage.Body, at string) {
	// A block in which all is by default is a fact by itself.
	delete(b.before, at)
	delete(b.after, at)
	b.compare(body, at)
}

// choice compares blocks whose label chooses what they are.
func (b *blocks) choice(blk *stage.Block, name string) {
	old, now := variantAt(blk, b.before, name), variantAt(blk, b.after, name)
	switch {
	case old == nil || now == nil:
	case old == now:
		b.both(now.Body, joined(name, now.Name))
	default:
		take(b.before, name)
		take(b.after, name)
		b.because(fmt.Sprintf("block %s: %s → %s", name, old.Name, now.Name), key.Change{
			Kind: key.Argument, Name: name, Old: strconv.Quote(old.Name), New: strconv.Quote(now.Name), HasOld: true, HasNew: true,
		})
	}
}

func variantAt(blk *stage.Block, facts map[string]key.Fact, at string) *stage.Block {
	for i := range blk.Variants {
		if len(under(facts, joined(at, blk.Variants[i].Name))) > 0 {
			return &blk.Variants[i]
		}
	}
	return nil
}

// element is a block of a list.
type element struct {
	at    string       // its path
	block *stage.Block // what is in it
	facts []key.Fact   // with paths relative to it
}

func elements(blk *stage.Block, facts map[string]key.Fact, name string) []element {
	var all []element
	for i := 0; ; i++ {
		at := fmt.Sprintf("%s[%d]", name, i)
		if len(under(facts, at)) == 0 {
			return all
		}
		e := element{at: at, block: blk}
		if blk.Kind == stage.Steps {
			if v := variantAt(blk, facts, at); v != nil {
				e.at, e.block = joined(at, v.Name), v
			}
		}
		e.facts = relative(under(facts, e.at), e.at)
		all = append(all, e)
	}
}

// label is that of the block, "" if it has none.
func (e element) label() string {
	for _, f := range e.facts {
		if e.block.Label != "" && f.Name == "."+e.block.Label {
			return f.Value
		}
	}
	return ""
}

// same reports whether two blocks say the same. A sensitive value that was not
// written down counts as equal.
func (e element) same(o element) bool {
	return e.block == o.block && slices.EqualFunc(e.facts, o.facts, func(a, b key.Fact) bool {
		return a.Name == b.Name && (a.Value == b.Value || a.Value == key.Hidden)
	})
}

// list compares lists of blocks: what is the same is put beside each other, as
// much as can be in order; of what is between, blocks of one type have changed.
func (b *blocks) list(blk *stage.Block, name string) {
	old, now := elements(blk, b.before, name), elements(blk, b.after, name)
	take(b.before, name)
	pairs := common(old, now)
	i, j := 0, 0
	for _, p := range append(pairs, [2]int{len(old), len(now)}) {
		b.between(old[i:p[0]], now[j:p[1]])
		if p[0] < len(old) {
			take(b.after, now[p[1]].at)
		}
		i, j = p[0]+1, p[1]+1
	}
}

// between pairs blocks that differ, those of one type and label.
func (b *blocks) between(old, now []element) {
	for _, n := range now {
		i := slices.IndexFunc(old, func(o element) bool { return o.block == n.block && o.label() == n.label() })
		if i < 0 {
			b.added(n.block, n.at, under(b.after, n.at))
			continue
		}
		for _, o := range old[:i] {
			b.told(o.block, o.at, o.facts, false)
		}
		for _, f := range old[i].facts { // under the new number
			f.Name = n.at + f.Name
			b.before[f.Name] = f
		}
		old = old[i+1:]
		b.both(n.block.Body, n.at)
	}
	for _, o := range old {
		b.told(o.block, o.at, o.facts, false)
	}
}

// common is a longest common subsequence, as pairs of indices.
func common(old, now []element) [][2]int {
	length := make([][]int, len(old)+1)
	for i := range length {
		length[i] = make([]int, len(now)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if old[i].same(now[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(old) && j < len(now); {
		switch {
		case old[i].same(now[j]):
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

func (b *blocks) added(blk *stage.Block, at string, facts []key.Fact) {
	take(b.after, at)
	b.told(blk, at, relative(facts, at), true)
}

func (b *blocks) removed(blk *stage.Block, at string, facts []key.Fact) {
	take(b.before, at)
	b.told(blk, at, relative(facts, at), false)
}

// told says of a whole block that it is new, or gone.
func (b *blocks) told(blk *stage.Block, at string, facts []key.Fact, isNew bool) {
	title, detail := blockText(blk, at, facts)
	c := key.Change{Kind: key.Argument, Name: at, HasOld: !isNew, HasNew: isNew}
	if isNew {
		c.New = detail
		if detail != "" {
			title += ": " + Shorten(detail)
		}
		b.because("new block "+title, c)
		return
	}
	c.Old = detail
	b.because("block "+title+" was removed", c)
}

// blockText names a block as it is written, and lists what is in it.
func blockText(blk *stage.Block, at string, facts []key.Fact) (title, detail string) {
	title = at
	if i := strings.LastIndexByte(title, ']'); i > 0 && i < len(title)-1 { // of a step its own name
		title = title[i+2:]
	} else if i == len(title)-1 {
		title = title[:strings.LastIndexByte(title, '[')]
	}
	var parts []string
	for i, f := range facts {
		name, value := strings.TrimPrefix(f.Name, "."), f.Value
		if blk.Kind == stage.Choice {
			label, rest, _ := strings.Cut(name, ".")
			if name = rest; i == 0 {
				title += " " + strconv.Quote(label)
			}
		}
		if f.Sensitive {
			value = key.Hidden
		}
		if source, ok := strings.CutSuffix(name, ".source"); ok {
			if text, err := strconv.Unquote(value); err == nil {
				name, value = source, text
			}
		}
		switch {
		case name == "":
		case name == blk.Label && blk.Label != "":
			title += " " + value
		default:
			parts = append(parts, name+" "+value)
		}
	}
	return title, strings.Join(parts, ", ")
}

func (b *blocks) because(text string, c key.Change) {
	b.reasons = append(b.reasons, Reason{Kind: Changed, Text: text, Change: &c})
}

func joined(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// under are the facts at or below a path, sorted.
func under(facts map[string]key.Fact, at string) []key.Fact {
	var all []key.Fact
	for name, f := range facts {
		if rest, ok := strings.CutPrefix(name, at); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b key.Fact) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// take takes them out.
func take(facts map[string]key.Fact, at string) {
	for _, f := range under(facts, at) {
		delete(facts, f.Name)
	}
}

func relative(facts []key.Fact, at string) []key.Fact {
	out := slices.Clone(facts)
	for i := range out {
		out[i].Name = strings.TrimPrefix(out[i].Name, at)
	}
	return out
}
