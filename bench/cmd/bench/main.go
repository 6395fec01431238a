// Command bench runs the benchmarks of all modules and writes the report, with what the
// benchmarks printed beside it. Run it in the root of the repository. The report names a
// package whose benchmarks fail, and the command then ends with an error.
//
//	go run ./bench/cmd/bench -count 10 -benchtime 200ms [package folder ...]
//
// What is published is in bench/report, and a sentence of it in README.md. This writes
// both again from the measurements that are there:
//
//	go run ./bench/cmd/bench -render -publish
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/bench/internal/machine"
	"github.com/tandem-rsa/tandem/bench/internal/report"
	"github.com/tandem-rsa/tandem/bench/internal/suite"
)

func main() {
	count := flag.Int("count", 10, "rounds")
	benchTime := flag.String("benchtime", "200ms", "time for each benchmark in a round, or how many times (1x)")
	expression := flag.String("bench", ".", "regular expression of benchmarks")
	out := flag.String("out", report.Scratch, "folder of the report")
	publish := flag.Bool("publish", false, "write "+report.Published+" and the sentence in README.md")
	render := flag.Bool("render", false, "run nothing, write the report again")
	flag.Parse()
	if *publish {
		*out = report.Published
	}
	err := os.MkdirAll(*out, 0o755)
	if err == nil && !*render {
		err = run(".", *count, suite.Options{Bench: *expression, BenchTime: *benchTime, Timeout: 30 * time.Minute}, *out, flag.Args())
	}
	if err == nil || errors.Is(err, errPackages) {
		err = errors.Join(err, report.Write(*out))
	}
	if *publish && (err == nil || errors.Is(err, errPackages)) {
		err = errors.Join(err, report.WriteReadme("README.md", *out))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errPackages is returned after the report was written.
var errPackages = errors.New("some packages did not run: the report says why")

func run(root string, count int, o suite.Options, out string, packages []string) error {
	if count < 1 {
		return fmt.Errorf("-count %d", count)
	}
	if err := o.Check(); err != nil {
		return err
	}
	b := &report.Bench{Machine: machine.Describe(), Count: count, BenchTime: o.BenchTime}
	var err error
	if len(packages) == 0 {
		if packages, err = suite.Find(root); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binaries, err := suite.Build(root, dir, packages)
	if err != nil {
		return err
	}
	var results bytes.Buffer
	b.Took = map[string]float64{}
	for i := range count {
		binaries = slices.DeleteFunc(binaries, func(p *suite.Binary) bool {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s", i+1, count, p.Package)
			began := time.Now()
			err := p.Run(&results, o)
			took := time.Since(began)
			b.Took[p.Package] += took.Seconds()
			fmt.Fprintf(os.Stderr, ": %.1f s\n", took.Seconds())
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				first, _, _ := strings.Cut(err.Error(), "\n")
				b.Failures = append(b.Failures, first)
			}
			return err != nil
		})
	}
	b.Machine.Done()
	if err := b.Save(out, results.Bytes()); err != nil {
		return err
	}
	if len(b.Failures) > 0 {
		return errPackages
	}
	return nil
}
