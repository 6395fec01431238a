package comparison

import (
	"fmt"
	"slices"

	"github.com/tandem-rsa/tandem/bench/internal/page"
)

// Page returns the tables of a result.
func (r *Result) Page() page.Page {
	p := page.Page{page.Paragraph(fmt.Sprintf("Medians of %d rounds in which everyone took turns: processor time of the working thread, in milliseconds, unless a table says otherwise. "+
		"What the garbage collector does on other threads is not counted; Node's other threads are. Where time is on the clock it is, in a process with a heap of 64 MB. Against %s.", r.Rounds, r.Versions))}
	if s := r.Headline(); s != "" {
		p = append(p, page.Paragraph(upper(s)+"."))
	}
	for _, t := range r.tasks() {
		p = append(p, page.Heading{Level: 3, Text: upper(t)}, r.table(t))
	}
	p = append(p, page.Paragraph("\"Unsplit\" is one party that has the whole key. A composite is a product of two keys: by one party, that is a key of four primes, and the same arithmetic; Java takes no such key, and crypto/rsa makes no use of its primes. "+
		"\"No IFMA\" is a process that makes no use of AVX-512 IFMA, as on processors without; circl, crypto/rsa and Java never do. \"Pure Go\" has no assembly, Go's own included."))
	claims := page.Table{Header: []string{"what", "on", "claim", "measured", "quartiles", ""}, Left: true}
	for _, t := range r.Targets {
		claims.Rows = append(claims.Rows, t.row())
	}
	p = append(p, page.Heading{Level: 3, Text: "Claims"})
	return append(p, page.Paragraph("Ratios are taken within each round. Zen 5 does two 512-bit IFMA multiplications in a cycle; processors that do one are about half as fast at what uses them. What is claimed for one class of processors is measured on others, but not judged."), claims)
}

func (t Target) row() []string {
	bound := fmt.Sprintf("≥ %g", t.Bound)
	if t.AtMost {
		bound = fmt.Sprintf("≤ %g", t.Bound)
	}
	if t.Missing != "" {
		return []string{t.Claim, t.For, bound, "", "", "not measured: " + t.Missing}
	}
	verdict := "not met"
	switch {
	case t.Elsewhere:
		verdict = "not claimed here"
	case t.Met():
		verdict = "met"
	}
	return []string{t.Claim, t.For, bound, fmt.Sprintf("%.3g", t.Ratio.Median), fmt.Sprintf("%.3g to %.3g", t.Ratio.Low, t.Ratio.High), verdict}
}

// tasks in the order in which they come.
func (r *Result) tasks() []string {
	var out []string
	for _, row := range r.Rows {
		if !slices.Contains(out, row.Task) {
			out = append(out, row.Task)
		}
	}
	return out
}

// table has a line for each name and a column for each size.
func (r *Result) table(task string) page.Table {
	type cell struct {
		name string
		bits int
	}
	var names []string
	var sizes []int
	cells := map[cell]string{}
	t := page.Table{Header: []string{task}}
	for _, row := range r.Rows {
		if row.Task != task {
			continue
		}
		if !slices.Contains(names, row.Label()) {
			names = append(names, row.Label())
		}
		if !slices.Contains(sizes, row.Bits) {
			sizes = append(sizes, row.Bits)
		}
		if row.Wall {
			t.Header[0] = task + ", by the number of cores (time on the clock)"
		}
		cells[cell{row.Label(), row.Bits}] = fmt.Sprintf("%.4g", row.Time.Median/1e6)
	}
	slices.Sort(sizes)
	for _, s := range sizes {
		t.Header = append(t.Header, fmt.Sprint(s))
	}
	for _, n := range names {
		line := []string{n}
		for _, s := range sizes {
			line = append(line, cells[cell{n, s}])
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}
