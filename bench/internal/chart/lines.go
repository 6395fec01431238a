package chart

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Line is one implementation: seconds by size.
type Line struct {
	Name   string
	Points map[int]float64
}

// Lines draws time by size on two logarithmic axes. The names are at the ends of the
// lines, pushed apart where they would overlap.
func Lines(title, xLabel string, lines []Line) []byte {
	const width, height, left, right, top, bottom = 940, 560, 70, 290, 50, 60
	c := newCanvas(width, height, title)
	var sizes []int
	low, high := math.Inf(1), 0.0
	for _, l := range lines {
		for size, v := range l.Points {
			if !slices.Contains(sizes, size) {
				sizes = append(sizes, size)
			}
			low, high = min(low, v), max(high, v)
		}
	}
	if len(sizes) == 0 {
		c.text(width/2, height/2, "middle", "normal", ink, "nothing was measured")
		return c.done()
	}
	slices.Sort(sizes)
	x := func(size int) float64 {
		if len(sizes) == 1 {
			return left + (width-left-right)/2
		}
		from, to := math.Log(float64(sizes[0])), math.Log(float64(sizes[len(sizes)-1]))
		return left + (math.Log(float64(size))-from)/(to-from)*(width-left-right)
	}
	ticks := logTicks(low, high)
	from, to := math.Log(ticks[0]), math.Log(ticks[len(ticks)-1])
	y := func(v float64) float64 {
		return height - bottom - (math.Log(v)-from)/(to-from)*(height-top-bottom)
	}
	for _, t := range ticks {
		c.line(left, y(t), width-right, y(t), faint, 1, "")
		c.text(left-8, y(t)+4, "end", "normal", ink, tick(t))
	}
	for _, s := range sizes {
		c.line(x(s), top, x(s), height-bottom, faint, 1, "")
		c.text(x(s), height-bottom+20, "middle", "normal", ink, fmt.Sprint(s))
	}
	c.text(left+(width-left-right)/2, height-16, "middle", "normal", ink, xLabel)

	var labels []label
	for i, l := range lines {
		path, last := "", 0
		for _, s := range sizes {
			v, ok := l.Points[s]
			if !ok {
				continue
			}
			command := "L"
			if path == "" {
				command = "M"
			}
			path += fmt.Sprintf("%s%g %g", command, round(x(s)), round(y(v)))
			fmt.Fprintf(c, `<circle cx="%g" cy="%g" r="3.5" fill="%s"/>`+"\n", round(x(s)), round(y(v)), colour(i))
			last = s
		}
		if last == 0 {
			continue
		}
		fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path, colour(i))
		labels = append(labels, label{x(last), y(l.Points[last]), i, l.Name + "  " + Duration(l.Points[last])})
	}
	for _, l := range spread(labels, 17) {
		fmt.Fprintf(c, `<circle cx="%g" cy="%g" r="4" fill="%s"/>`+"\n", float64(width-right+14), round(l.y), colour(l.colour))
		c.text(width-right+24, l.y+4, "start", "normal", ink, l.text)
	}
	return c.done()
}

type label struct {
	x, y   float64
	colour int
	text   string
}

// spread moves labels apart until they are gap apart. Those that touch form a block,
// which stands where its labels would on average.
func spread(labels []label, gap float64) []label {
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	type block struct {
		first, count int
		sum          float64 // of where the labels would be if the first were at 0
	}
	top := func(b block) float64 { return b.sum / float64(b.count) }
	var blocks []block
	for i, l := range labels {
		blocks = append(blocks, block{i, 1, l.y})
		for n := len(blocks); n > 1; n-- {
			a, b := blocks[n-2], blocks[n-1]
			height := gap * float64(a.count)
			if top(a)+height <= top(b) {
				break
			}
			blocks = append(blocks[:n-2], block{a.first, a.count + b.count, a.sum + b.sum - height*float64(b.count)})
		}
	}
	for _, b := range blocks {
		for i := range b.count {
			labels[b.first+i].y = top(b) + gap*float64(i)
		}
	}
	return labels
}

// logTicks are 1, 2 and 5 times powers of ten around the values.
func logTicks(low, high float64) []float64 {
	var all []float64
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, m := range []float64{1, 2, 5} {
			all = append(all, m*math.Pow(10, e))
		}
	}
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= low {
		first++
	}
	for last-1 > first && all[last-1] >= high {
		last--
	}
	return all[first : last+1]
}

func tick(seconds float64) string {
	switch {
	case seconds < 0.99e-3:
		return fmt.Sprintf("%.3g µs", seconds*1e6)
	case seconds < 0.99:
		return fmt.Sprintf("%.3g ms", seconds*1e3)
	}
	return fmt.Sprintf("%.3g s", seconds)
}
