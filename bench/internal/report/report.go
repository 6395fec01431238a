// Package report writes bench/report: what "make bench" and "make bench-peers" measured,
// as Markdown and HTML with pictures.
package report

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
	"github.com/tandem-rsa/tandem/bench/internal/comparison"
	"github.com/tandem-rsa/tandem/bench/internal/machine"
	"github.com/tandem-rsa/tandem/bench/internal/page"
)

// Bench is a run of all benchmarks.
type Bench struct {
	Machine   machine.Machine
	Count     int
	BenchTime string
	Failures  []string           // packages that did not run, and why
	Took      map[string]float64 // seconds on the clock in all rounds, by package
	Raw       string             // SHA-256 of what the benchmarks printed, which is in raw.txt
	Tables    []benchstat.Table
}

// Folders of reports, from the root of the repository.
const (
	Published = "bench/report"
	Scratch   = "bench/out" // git ignores it
)

// The sources of everything else in the folder.
const (
	benchFile = "bench.json"
	rawFile   = "raw.txt" // for benchstat
	PeersFile = "peers.json"
)

// Save keeps the run in the folder: what the benchmarks printed, and its summary.
func (b *Bench) Save(dir string, printed []byte) error {
	raw := filepath.Join(dir, rawFile)
	if err := os.WriteFile(raw, printed, 0o644); err != nil {
		return err
	}
	var err error
	if b.Tables, err = benchstat.Summarize(raw); err != nil {
		return err
	}
	b.Raw = fmt.Sprintf("%x", sha256.Sum256(printed))
	return b.save(dir)
}

func (b *Bench) save(dir string) error {
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
	// What this run does not draw is of another one.
	for _, name := range drawn {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
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
	head := page.Page{
		page.Heading{Level: 1, Text: "Benchmarks of tandem"},
		page.Paragraph("Written by \"make bench\" and \"make bench-peers\" from " + benchFile + " and " + PeersFile + ", which they measure."),
	}
	p := s.pictures()
	if len(p) > 0 {
		p = append(page.Page{page.Heading{Level: 2, Text: "In pictures"}}, p...)
	}
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
			"process, where the benchmark reports it.", s.bench.Count, s.bench.BenchTime)))
		if s.bench.Raw != "" {
			p = append(p, page.Paragraph("What they printed is in "+rawFile+": benchstat compares it with the like of another machine or revision."))
		}
		for _, f := range s.bench.Failures {
			p = append(p, page.Paragraph("Did not run: "+f))
		}
		p = append(p, s.bench.tables()...)
	}
	return append(append(head, p.Contents()), p...)
}

// readmeCell is what README.md says of the report: the sentence that ends a cell of a
// table.
var readmeCell = regexp.MustCompile(`(\[last report\]\(bench/report/report\.md\): )([^|\n]*)( \|)`)

// WriteReadme puts the sentence of the measurements in a folder into README.md.
func WriteReadme(file, dir string) error {
	s, err := load(dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if s.peers == nil || s.peers.Headline() == "" || !readmeCell.Match(text) {
		return fmt.Errorf("report: %s has no sentence to replace, or %s none to put there", file, dir)
	}
	text = readmeCell.ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(s.peers.Headline(), "$", "$$")+"${3}"))
	return os.WriteFile(file, text, 0o644)
}

// about says where and when numbers were measured.
func about(m machine.Machine, command string) page.Page {
	p := page.Page{page.Table{Header: []string{"measured by", command}, Left: true, Rows: [][]string{
		{"processor", fmt.Sprintf("%s, %d in use", m.CPU, m.CPUs)},
		{"kind", m.Kind()},
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
