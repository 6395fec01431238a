package comparison

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown returns the tables of a result, for people.
func (r *Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Medians of %d rounds in which everyone took turns; processor time of the working thread, in milliseconds.\n", r.Rounds)
	fmt.Fprintf(&b, "%s; %s.\n", r.Machine.Go, r.Versions)
	for _, t := range r.tasks() {
		b.WriteByte('\n')
		r.table(&b, t)
	}
	b.WriteString("\n| claim | bound | measured | quartiles | |\n|---|---|---|---|---|\n")
	for _, t := range r.Targets {
		fmt.Fprintln(&b, t.row())
	}
	return b.String()
}

func (t Target) row() string {
	sign := "≥"
	if t.AtMost {
		sign = "≤"
	}
	if t.Missing != "" {
		return fmt.Sprintf("| %s | %s %g | | | not measured: %s |", t.Claim, sign, t.Bound, t.Missing)
	}
	verdict := "**not met**"
	if t.Met() {
		verdict = "met"
	}
	return fmt.Sprintf("| %s | %s %g | %.3g | %.3g to %.3g | %s |", t.Claim, sign, t.Bound, t.Ratio.Median, t.Ratio.Low, t.Ratio.High, verdict)
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
func (r *Result) table(b *strings.Builder, task string) {
	var names []string
	var sizes []int
	cells := map[string]string{}
	clock := ""
	for _, row := range r.Rows {
		if row.Task != task {
			continue
		}
		if !slices.Contains(names, row.Name) {
			names = append(names, row.Name)
		}
		if !slices.Contains(sizes, row.Bits) {
			sizes = append(sizes, row.Bits)
		}
		if row.Wall {
			clock = ", by the number of cores (time on the clock)"
		}
		cells[fmt.Sprint(row.Name, row.Bits)] = fmt.Sprintf("%.4g", row.Time.Median/1e6)
	}
	slices.Sort(sizes)
	fmt.Fprintf(b, "| %s%s |", task, clock)
	for _, s := range sizes {
		fmt.Fprintf(b, " %d |", s)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("--:|", len(sizes)))
	for _, n := range names {
		fmt.Fprintf(b, "| %s |", n)
		for _, s := range sizes {
			fmt.Fprintf(b, " %s |", cells[fmt.Sprint(n, s)])
		}
		b.WriteByte('\n')
	}
}
