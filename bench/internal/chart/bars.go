package chart

import (
	"fmt"
	"math"
)

// Part is a piece of a bar, in seconds. Parts of the same name have the same colour.
type Part struct {
	Name    string
	Seconds float64
}

// Bar is one thing and its parts.
type Bar struct {
	Name  string
	Parts []Part
}

// Stacked draws a horizontal bar for each thing, one below the other on the same scale,
// and a legend with the numbers of the first.
func Stacked(title string, bars []Bar) []byte {
	const width, left, right, top, row = 940, 230, 90, 56, 52
	var names []string
	longest := 0.0
	index := map[string]int{}
	for _, b := range bars {
		for _, p := range b.Parts {
			if _, seen := index[p.Name]; !seen {
				index[p.Name] = len(names)
				names = append(names, p.Name)
			}
		}
		longest = max(longest, b.total())
	}
	legend := float64(top + row*len(bars) + 24)
	c := newCanvas(width, legend+float64(22*((len(names)+1)/2))+12, title)
	if longest == 0 {
		c.text(width/2, top, "middle", "normal", ink, "nothing was measured")
		return c.done()
	}
	scale := (width - left - right) / longest
	for i, b := range bars {
		y := float64(top + row*i)
		c.text(left-12, y+22, "end", "normal", ink, b.Name)
		x := float64(left)
		for _, p := range b.Parts {
			w := p.Seconds * scale
			// A sliver of paper keeps neighbours apart.
			c.rect(x, y, max(w-1, 0.5), 34, colour(index[p.Name]))
			x += w
		}
		c.text(x+8, y+22, "start", "bold", ink, Duration(b.total()))
	}
	for i, name := range names {
		x, y := float64(left+i%2*340), legend+float64(i/2*22)
		c.rect(x, y, 13, 13, colour(i))
		text := name
		if v, ok := bars[0].part(name); ok {
			text = fmt.Sprintf("%s  %s (%.0f %%)", name, Duration(v), 100*v/bars[0].total())
		}
		c.text(x+20, y+11, "start", "normal", ink, text)
	}
	return c.done()
}

func (b Bar) total() float64 {
	sum := 0.0
	for _, p := range b.Parts {
		sum += p.Seconds
	}
	return sum
}

func (b Bar) part(name string) (float64, bool) {
	for _, p := range b.Parts {
		if p.Name == name {
			return p.Seconds, true
		}
	}
	return 0, false
}

// Group is something done on 1, 2, ... cores: how many times a second.
type Group struct {
	Name  string
	Cores []int
	Rate  []float64
}

// Scaling draws a column for each number of cores, with a mark at what it would be if
// each core did as much as a single one.
func Scaling(title string, groups []Group) []byte {
	const width, height, left, right, top, bottom = 900, 420, 80, 30, 60, 70
	c := newCanvas(width, height, title)
	columns, highest := 0, 0.0
	for _, g := range groups {
		columns += len(g.Cores)
		for i := range g.Rate {
			highest = max(highest, g.Rate[i], g.ideal(i))
		}
	}
	if columns == 0 || highest == 0 {
		c.text(width/2, height/2, "middle", "normal", ink, "nothing was measured")
		return c.done()
	}
	step := linearStep(highest)
	limit := step * math.Ceil(highest*1.05/step)
	y := func(v float64) float64 { return height - bottom - v/limit*(height-top-bottom) }
	for v := 0.0; v <= limit+step/2; v += step {
		c.line(left, y(v), width-right, y(v), faint, 1, "")
		c.text(left-8, y(v)+4, "end", "normal", ink, fmt.Sprintf("%.0f", v))
	}
	c.text(left-8, top-14, "end", "normal", ink, "a second")
	pitch := (width - left - right) / float64(columns+len(groups))
	x := float64(left) + pitch/2
	for i, g := range groups {
		c.text(x+pitch*float64(len(g.Cores))/2, height-22, "middle", "bold", ink, g.Name)
		for j, n := range g.Cores {
			w := min(pitch*0.7, 110)
			at := x + (pitch-w)/2
			c.rect(at, y(g.Rate[j]), w, y(0)-y(g.Rate[j]), colour(i))
			c.line(at-6, y(g.ideal(j)), at+w+6, y(g.ideal(j)), "dash", 2, "5 3")
			c.text(at+w/2, y(g.Rate[j])+18, "middle", "bold", light, fmt.Sprintf("%.0f", g.Rate[j]))
			c.text(at+w/2, y(g.Rate[j])+36, "middle", "normal", light, fmt.Sprintf("× %.2f", g.Rate[j]/g.Rate[0]))
			c.text(at+w/2, height-bottom+18, "middle", "normal", ink, plural(n))
			x += pitch
		}
		x += pitch
	}
	return c.done()
}

// ideal is the first column's rate for each of the cores.
func (g Group) ideal(i int) float64 { return g.Rate[0] / float64(g.Cores[0]) * float64(g.Cores[i]) }

func plural(cores int) string {
	if cores == 1 {
		return "1 core"
	}
	return fmt.Sprintf("%d cores", cores)
}

// linearStep is 1, 2 or 5 times a power of ten, for about five steps.
func linearStep(highest float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(highest/5)))
	for _, m := range []float64{1, 2, 5} {
		if highest/(m*p) <= 6 {
			return m * p
		}
	}
	return 10 * p
}
