// Package report writes bench/report: what "make bench" and "make bench-peers" measured,
// as Markdown and HTML with pictures.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
	"github.com/tandem-rsa/tandem/bench/internal/comparison"
	"github.com/tandem-rsa/tandem/bench/internal/machine"
	"github.com/tandem-rsa/tandem/bench/internal/page"
)

// Bench is a run of all benchmarks.
type Bench struct {
	Machine   machine.Machine
	Count     int
	BenchTime time.Duration
	Failures  []string // packages that did not run, and why
	Tables    []benchstat.Table
}

// The sources of everything else in the folder.
const (
	benchFile = "bench.json"
	PeersFile = "peers.json"
)

// Save keeps the run in the folder.
func (b *Bench) Save(dir string) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, benchFile), append(text, '\n'), 0o644)
}

// sources are the measurements in the folder; nil for what was not run.
type sources struct {
	bench *Bench
	peers *comparison.Result
}

func load(dir string) (*sources, error) {
	s := new(sources)
	text, err := os.ReadFile(filepath.Join(dir, benchFile))
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &s.bench); err != nil {
			return nil, fmt.Errorf("%s: %w", benchFile, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if s.peers, err = comparison.Load(filepath.Join(dir, PeersFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", PeersFile, err)
	}
	if s.bench == nil && s.peers == nil {
		return nil, fmt.Errorf("report: %s has neither %s nor %s", dir, benchFile, PeersFile)
	}
	return s, nil
}

// Write makes report.md, report.html and the pictures from the measurements in the
// folder.
func Write(dir string) error {
	s, err := load(dir)
	if err != nil {
		return err
	}
	p := s.page()
	for _, block := range p {
		if picture, ok := block.(page.Picture); ok {
			if err := os.WriteFile(filepath.Join(dir, picture.File), picture.SVG, 0o644); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "report.md"), []byte(p.Markdown()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "report.html"), []byte(p.HTML()), 0o644)
}

func (s *sources) page() page.Page {
	p := page.Page{
		page.Heading{Level: 1, Text: "Benchmarks of tandem"},
		page.Paragraph("Written by \"make bench\" and \"make bench-peers\" from " + benchFile + " and " + PeersFile + ", which they measure."),
	}
	p = append(p, s.pictures()...)
	if s.peers != nil {
		p = append(p, page.Heading{Level: 2, Text: "Compared with other libraries"})
		p = append(p, about(s.peers.Machine, "make bench-peers")...)
		p = append(p, s.peers.Page()...)
	}
	if s.bench != nil {
		p = append(p, page.Heading{Level: 2, Text: "All benchmarks"})
		p = append(p, about(s.bench.Machine, "make bench")...)
		p = append(p, page.Paragraph(fmt.Sprintf("Medians of %d runs of %v each, every run one round through all benchmarks, with half the "+
			"width of the 95 %% confidence interval (benchstat). Time is on the clock; \"cpu\" is the processor time of the working thread or "+
			"process, where the benchmark reports it. Benchmarks have the names that they had at that revision.", s.bench.Count, s.bench.BenchTime)))
		for _, f := range s.bench.Failures {
			p = append(p, page.Paragraph("Did not run: "+f))
		}
		p = append(p, s.bench.tables()...)
	}
	return p
}

// about says where and when numbers were measured.
func about(m machine.Machine, command string) page.Page {
	p := page.Page{page.Table{Header: []string{"", command}, Left: true, Rows: [][]string{
		{"processor", fmt.Sprintf("%s, %d in use", m.CPU, m.CPUs)},
		{"system", m.System},
		{"Go", m.Go},
		{"revision", m.Revision},
		{"date", m.Date},
		{"load average before", m.Load},
		{"load average after", m.LoadEnd},
	}}}
	if m.Busy() {
		p = append(p, page.Paragraph("The machine was doing other work at the same time. Processor times, and ratios of them, then vary by about a "+
			"fifth from run to run; times on the clock, and how work scales over cores, mean nothing. Measure again on a quiet machine."))
	}
	return p
}
