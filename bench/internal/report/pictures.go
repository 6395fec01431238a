package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-rsa/tandem/bench/internal/chart"
	"github.com/tandem-rsa/tandem/bench/internal/page"
)

// drawn are the pictures of a report that has all.
var drawn = []string{"time.svg", "cost.svg", "scaling.svg"}

// pictures draws what the sources have.
func (s *sources) pictures() page.Page {
	var p page.Page
	if lines := s.exponentiations(); len(lines) > 0 {
		p = append(p, page.Picture{File: drawn[0],
			Caption: "Processor time of an exponentiation whose exponent is as long as the modulus, both axes logarithmic. All but math/big take the same time for all exponents.",
			SVG:     chart.Lines("One exponentiation, by implementation and size", "bits of the modulus and of the exponent", lines)})
	}
	if bars := s.costs(); len(bars) > 0 {
		p = append(p, page.Picture{File: drawn[1],
			Caption: "What an RSA-4096 signature of two parties consists of, every check included, beside ordinary ones by one party that has the whole key.",
			SVG:     chart.Stacked("One RSA-4096 signature", bars)})
	}
	if s.bench != nil && s.bench.Machine.Busy() {
		p = append(p, page.Paragraph("How work scales over cores is not shown, since the machine was doing other work."))
	} else if groups := s.scaling(); len(groups) > 0 {
		p = append(p, page.Picture{File: drawn[2],
			Caption: "Work done in a second by all cores, composite RSA-4096. The dashed mark is the first column times the number of cores.",
			SVG:     chart.Scaling("Scaling over cores", groups)})
	}
	return p
}

// median finds a benchmark by the end of its package's path, its name and its unit.
func (b *Bench) median(pkg, name, unit string) (float64, bool) {
	if b == nil {
		return 0, false
	}
	for _, t := range b.Tables {
		if t.Package != module+pkg || t.Unit != unit {
			continue
		}
		for _, r := range t.Rows {
			if suffix.ReplaceAllString(r.Name, "") == name {
				return r.Value.Median, true
			}
		}
	}
	return 0, false
}

func (s *sources) exponentiations() []chart.Line {
	var lines []chart.Line
	for _, i := range []struct{ name, title string }{{"ifma", "tandem: AVX-512 IFMA"}, {"adx", "tandem: MULX/ADX"}, {"bigmod", "bigmod"}} {
		points := map[int]float64{}
		for _, bits := range []int{1024, 1536, 2048, 3072, 4096} {
			if v, ok := s.bench.median("internal/modexp", fmt.Sprintf("Exp/%d/%s", bits, i.name), "cpu-sec/op"); ok {
				points[bits] = v
			}
		}
		if len(points) > 0 {
			lines = append(lines, chart.Line{Name: i.title, Points: points})
		}
	}
	if s.peers == nil {
		return lines
	}
	others := map[string]map[int]float64{}
	for _, r := range s.peers.Rows {
		if r.Task != "exponentiation" || r.Variant != "" || strings.HasPrefix(r.Name, "tandem") || r.Name == "bigmod" && s.bench != nil {
			continue
		}
		if others[r.Name] == nil {
			others[r.Name] = map[int]float64{}
		}
		others[r.Name][r.Bits] = r.Time.Median / 1e9
	}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		lines = append(lines, chart.Line{Name: name, Points: others[name]})
	}
	return lines
}

// parts of BenchmarkSteps, in order.
var parts = []struct{ unit, title string }{
	{"encode", "both: encode the digest"},
	{"partial", "device: partial signature"},
	{"check", "server: its share, is the PIN right?"},
	{"serverkey", "server: server key (CRT)"},
	{"finish", "server: join, verify"},
	{"verify", "device: verify"},
}

func (s *sources) costs() []chart.Bar {
	own := chart.Bar{Name: "tandem, composite"}
	for _, p := range parts {
		if v, ok := s.bench.median("bench", "Steps/4096/composite-multiplicative", p.unit+"-sec/op"); ok {
			own.Parts = append(own.Parts, chart.Part{Name: p.title, Seconds: v})
		}
	}
	if len(own.Parts) == 0 {
		return nil
	}
	bars := []chart.Bar{own}
	if s.peers == nil {
		return bars
	}
	for _, r := range s.peers.Rows {
		if r.Bits == 4096 && r.Primes > 0 && r.Variant == "" {
			bars = append(bars, chart.Bar{Name: strings.TrimSuffix(r.Name, ", unsplit") + ", " + r.Shape(), Parts: []chart.Part{{Name: "one party, with the primes", Seconds: r.Time.Median / 1e9}}})
		}
	}
	return bars
}

func (s *sources) scaling() []chart.Group {
	if s.bench == nil {
		return nil
	}
	var groups []chart.Group
	for _, w := range []struct{ name, title string }{{"partial", "partial signatures"}, {"complete", "completions"}} {
		g := chart.Group{Name: w.title}
		for _, t := range s.bench.Tables {
			if t.Package != module+"bench" || t.Unit != "sec/op" {
				continue
			}
			for _, r := range t.Rows {
				n, ok := strings.CutPrefix(suffix.ReplaceAllString(r.Name, ""), "Parallel/"+w.name+"/")
				if cores, err := strconv.Atoi(n); ok && err == nil {
					g.Cores, g.Rate = append(g.Cores, cores), append(g.Rate, 1/r.Value.Median)
				}
			}
		}
		if len(g.Cores) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}
