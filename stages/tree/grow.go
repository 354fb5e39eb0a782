package tree

// leaf is a leaf of a tree that grows.
type leaf struct {
	// rows [from, to) of grower.rows are in it.
	from, to int
	total    entry
	// hist is nil if it need not be split.
	hist  []entry
	depth int
	// node is its place in the tree.
	node int
	best split
}

func (l *leaf) rows() int { return l.to - l.from }

// grower grows one tree after another over the same columns.
type grower struct {
	options Options
	columns []column
	layout  layout
	pairs   []pair
	units   units
	// rows are those of the tree, those of a leaf together and in order.
	rows, spare []int32
	// used are the columns of this tree, in order.
	used []int
	free [][]entry
	// tree and bins are what grows; bins has a node's bin beside its threshold.
	tree   Tree
	bins   []uint8
	leaves []*leaf
}

// parallelWork is how many additions make it worth to start goroutines.
const parallelWork = 1 << 14

func (g *grower) threads(work int) int {
	if work < parallelWork {
		return 1
	}
	return g.options.Threads
}

func (g *grower) histogram() []entry {
	if n := len(g.free); n > 0 {
		h := g.free[n-1]
		g.free = g.free[:n-1]
		return h
	}
	return make([]entry, g.layout.size)
}

// grow grows a tree over g.rows by g.pairs.
func (g *grower) grow() {
	g.tree = Tree{Nodes: []Node{{Feature: Leaf}}}
	g.bins = append(g.bins[:0], 0)
	root := &leaf{to: len(g.rows)}
	for _, row := range g.rows {
		p := g.pairs[row]
		root.total.add(entry{int64(p.g), uint64(p.h)<<g.units.countBits | 1})
	}
	g.leaves = append(g.leaves[:0], root)
	if g.splittable(root) {
		root.hist = g.histogram()
		share(g.threads(len(g.rows)*len(g.used)), len(g.used), func(i int) { g.fill(root, i) })
		g.settle(root)
	}
	for len(g.leaves) < g.options.MaxLeaves {
		next := g.next()
		if next == nil {
			break
		}
		g.split(next)
	}
	for _, l := range g.leaves {
		g.release(l)
	}
}

func (g *grower) splittable(l *leaf) bool {
	return l.rows() >= 2*g.options.MinRows && (g.options.MaxDepth == 0 || l.depth < g.options.MaxDepth)
}

func (g *grower) release(l *leaf) {
	if l.hist != nil {
		g.free = append(g.free, l.hist)
		l.hist = nil
	}
}

// next is the leaf whose split gains most, of equals the one that is older.
func (g *grower) next() *leaf {
	var best *leaf
	for _, l := range g.leaves {
		if l.best.gain > g.options.MinGain && (best == nil || l.best.gain > best.best.gain) {
			best = l
		}
	}
	return best
}

// fill computes the histogram of a leaf for the i-th used column.
func (g *grower) fill(l *leaf, i int) {
	j := g.used[i]
	hist := l.hist[g.layout.offsets[j]:]
	clear(hist[:g.columns[j].bins()])
	fill(hist, g.columns[j].codes, g.rows[l.from:l.to], g.pairs, g.units.countBits)
}

// settle finds the best split of a leaf, of equals that of the first column.
func (g *grower) settle(l *leaf) {
	found := make([]split, len(g.used))
	share(g.threads(len(g.used)*1024), len(g.used), func(i int) { found[i] = g.search(l, i) })
	l.choose(found)
}

func (g *grower) search(l *leaf, i int) split {
	j := g.used[i]
	return g.options.search(l.hist[g.layout.offsets[j]:], &g.columns[j], j, l.total, g.units)
}

func (l *leaf) choose(found []split) {
	l.best = split{}
	for _, s := range found {
		if s.gain > l.best.gain {
			l.best = s
		}
	}
}

// split divides a leaf: it becomes the left child, a new leaf the right one.
func (g *grower) split(l *leaf) {
	s := l.best
	middle := g.partition(l, s)
	right := &leaf{from: middle, to: l.to, total: l.total, depth: l.depth + 1, node: len(g.tree.Nodes) + 1}
	right.total.subtract(s.left)
	left := &leaf{from: l.from, to: middle, total: s.left, depth: l.depth + 1, node: len(g.tree.Nodes)}
	g.tree.Nodes[l.node] = Node{
		Feature: int32(s.column), Threshold: g.columns[s.column].threshold(s.bin), MissingLeft: s.missingLeft,
		Left: int32(left.node), Right: int32(right.node),
	}
	g.bins[l.node] = uint8(s.bin)
	g.tree.Nodes = append(g.tree.Nodes, Node{Feature: Leaf}, Node{Feature: Leaf})
	g.bins = append(g.bins, 0, 0)

	if len(g.leaves)+1 < g.options.MaxLeaves && (g.splittable(left) || g.splittable(right)) {
		g.histograms(l, left, right)
	}
	g.release(l)
	*l = *left
	g.leaves = append(g.leaves, right)
}

// histograms gives both children theirs: the smaller one's is added up, the
// larger one's is what the parent's has besides.
func (g *grower) histograms(parent, left, right *leaf) {
	small, large := left, right
	if small.rows() > large.rows() {
		small, large = large, small
	}
	small.hist = g.histogram()
	large.hist, parent.hist = parent.hist, nil
	searchSmall, searchLarge := g.splittable(small), g.splittable(large)
	found, foundLarge := make([]split, len(g.used)), make([]split, len(g.used))
	share(g.threads((small.rows()+256)*len(g.used)), len(g.used), func(i int) {
		g.fill(small, i)
		if searchSmall {
			found[i] = g.search(small, i)
		}
		if !searchLarge {
			return
		}
		j := g.used[i]
		at, n := g.layout.offsets[j], g.columns[j].bins()
		less := small.hist[at : at+n]
		for b, h := range large.hist[at : at+n] {
			h.subtract(less[b])
			large.hist[at+b] = h
		}
		foundLarge[i] = g.search(large, i)
	})
	small.choose(found)
	large.choose(foundLarge)
	for _, l := range []*leaf{small, large} {
		if l.best.gain <= g.options.MinGain {
			g.release(l)
		}
	}
}

// partition puts the rows that go left before the others, both in their order,
// and returns where the others begin.
func (g *grower) partition(l *leaf, s split) int {
	c := &g.columns[s.column]
	var goes [256]uint8
	for code := range c.values() {
		if code <= s.bin {
			goes[code] = 1
		}
	}
	if s.missingLeft {
		goes[c.missing()] = 1
	}
	rows := g.rows[l.from:l.to]
	right := g.spare[:len(rows)]
	left, others := 0, 0
	for _, row := range rows {
		// Both are written and one is kept: a branch here is hard to predict.
		yes := int(goes[c.codes[row]])
		rows[left] = row
		right[others] = row
		left += yes
		others += 1 - yes
	}
	copy(rows[left:], right[:others])
	return l.from + left
}

// setValues gives each leaf its value and adds it to the scores of its rows.
func (g *grower) setValues(l *objective, scores []float64) {
	share(g.threads(len(g.rows)), len(g.leaves), func(i int) {
		leaf := g.leaves[i]
		rows := g.rows[leaf.from:leaf.to]
		t := g.units.of(leaf.total)
		value := 0.0
		switch {
		case l.options.Loss == Absolute && len(rows) > 0:
			value = l.median(rows, scores)
		case t.h+g.options.L2 > 0:
			value = -t.g / (t.h + g.options.L2)
		}
		v := float32(value * g.options.LearningRate)
		g.tree.Nodes[leaf.node].Value = v
		for _, row := range rows {
			scores[row] += float64(v)
		}
	})
}

// follow returns the value of the leaf that a row of columns is in.
func (g *grower) follow(columns []column, row int) float32 {
	at := 0
	for {
		n := &g.tree.Nodes[at]
		if n.Feature == Leaf {
			return n.Value
		}
		c := &columns[n.Feature]
		code := c.codes[row]
		if code == c.missing() && n.MissingLeft || code != c.missing() && code <= g.bins[at] {
			at = int(n.Left)
		} else {
			at = int(n.Right)
		}
	}
}
