package report

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
	"github.com/tandem-rsa/tandem/bench/internal/chart"
	"github.com/tandem-rsa/tandem/bench/internal/page"
)

const module = "github.com/tandem-rsa/tandem/"

// columns that every table has; other units follow in one column.
var columns = []struct{ unit, title string }{{"sec/op", "time"}, {"cpu-sec/op", "cpu"}, {"B/op", "bytes"}, {"allocs/op", "allocations"}}

// suffix is the GOMAXPROCS that package testing appends.
var suffix = regexp.MustCompile(`-\d+$`)

// tables has a table for each package, a line for each benchmark.
func (b *Bench) tables() page.Page {
	var packages []string
	for _, t := range b.Tables {
		if !slices.Contains(packages, t.Package) {
			packages = append(packages, t.Package)
		}
	}
	slices.Sort(packages)
	var p page.Page
	for _, pkg := range packages {
		p = append(p, page.Heading{Level: 3, Text: strings.TrimPrefix(pkg, module)}, table(b.Tables, pkg))
	}
	return p
}

func table(tables []benchstat.Table, pkg string) page.Table {
	var names []string
	cells := map[string]map[string]string{} // by name and title
	for _, t := range tables {
		if t.Package != pkg {
			continue
		}
		title := "more"
		for _, c := range columns {
			if c.unit == t.Unit {
				title = c.title
			}
		}
		for _, r := range t.Rows {
			name := suffix.ReplaceAllString(r.Name, "")
			if cells[name] == nil {
				names = append(names, name)
				cells[name] = map[string]string{}
			}
			text := quantity(r.Value.Median, t.Unit)
			if title == "more" {
				if what, isTime := strings.CutSuffix(t.Unit, "-sec/op"); isTime {
					text = what + " " + text
				} else {
					text += " " + strings.TrimSuffix(t.Unit, "/op")
				}
				if before := cells[name][title]; before != "" {
					text = before + ", " + text
				}
			} else if r.Value.CI != "0%" {
				text += " ± " + r.Value.CI
			}
			cells[name][title] = text
		}
	}
	out := page.Table{Header: []string{"benchmark"}}
	titles := []string{}
	for _, c := range append(columns, struct{ unit, title string }{"", "more"}) {
		if slices.ContainsFunc(names, func(n string) bool { return cells[n][c.title] != "" }) {
			titles = append(titles, c.title)
		}
	}
	out.Header = append(out.Header, titles...)
	for _, n := range names {
		row := []string{n}
		for _, t := range titles {
			row = append(row, cells[n][t])
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// quantity writes a value of a unit.
func quantity(v float64, unit string) string {
	if strings.HasSuffix(unit, "sec/op") {
		return chart.Duration(v)
	}
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
