package exploretest

// chooser takes the choices of one run of the real code: whether a write succeeds, say. A
// run that reaches a choice for the first time takes 0, which is that nothing fails; each
// then takes the run again with the next choice, until all were taken.
type chooser struct {
	script []int8
	taken  []int8
	widths []int8
	told   []string // the choices other than 0, in words
	faults bool     // else all goes well
	fixed  int      // so many choices were taken by an earlier step of the same call
}

func (c *chooser) choose(words ...string) int {
	if !c.faults {
		return 0
	}
	n := int8(0)
	if i := len(c.taken); i < len(c.script) {
		n = c.script[i]
	}
	c.taken, c.widths = append(c.taken, n), append(c.widths, int8(len(words)))
	if n > 0 && len(c.taken) > c.fixed {
		c.told = append(c.told, words[n])
	}
	return int(n)
}

// each runs f with every series of choices that begins with prefix.
func each(prefix []int8, faults bool, f func(c *chooser)) {
	for script := prefix; ; {
		c := &chooser{script: script, faults: faults, fixed: len(prefix)}
		f(c)
		i := len(c.taken) - 1
		for i >= len(prefix) && c.taken[i]+1 == c.widths[i] {
			i--
		}
		if i < len(prefix) {
			return
		}
		script = append(append([]int8(nil), c.taken[:i]...), c.taken[i]+1)
	}
}
