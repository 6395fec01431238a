// Command peers does the same work with this library and with others, in turns in one
// run: exponentiations with math/big, bigmod, OpenSSL and GMP; whole signatures with
// cloudflare/circl's threshold RSA, and ordinary ones of crypto/rsa and OpenSSL. It
// prints medians of processor time, compares the ratios with what this library claims,
// and adds both to the report. It needs Linux, gcc, and the headers of OpenSSL and GMP.
//
//	go run . -rounds 15 -out ../report
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/bench/internal/comparison"
	"github.com/tandem-rsa/tandem/bench/internal/machine"
	"github.com/tandem-rsa/tandem/bench/internal/report"
)

// turn is how long a contender works in a round.
const turn = 25 * time.Millisecond

func main() {
	rounds := flag.Int("rounds", 15, "turns of each contender")
	out := flag.String("out", "../report", "folder of the report")
	flag.Parse()
	if err := run(*rounds, *out); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(rounds int, out string) error {
	if rounds < 1 {
		return fmt.Errorf("-rounds %d", rounds)
	}
	r := &comparison.Result{Machine: machine.Describe(), Rounds: rounds}
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ch, err := startAll(dir)
	if err != nil {
		return err
	}
	if r.Versions, err = ch.c.ask("info"); err != nil {
		return err
	}
	f, err := everyone(ch)
	if err != nil {
		return err
	}
	if err := f.measure(rounds, turn); err != nil {
		return err
	}
	for _, c := range []*child{ch.kernel, ch.fallback, ch.c} {
		if err := c.stop(); err != nil {
			return err
		}
	}
	r.Machine.Done()
	r.Rows, r.Targets = f.rows(), f.targets(r.Machine.Busy())
	fmt.Print(r.Page().Markdown())
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := r.Save(filepath.Join(out, report.PeersFile)); err != nil {
		return err
	}
	return report.Write(out)
}

func startAll(dir string) (children, error) {
	var ch children
	goProgram, err := buildGo(dir)
	if err != nil {
		return ch, err
	}
	cProgram, err := buildC(dir)
	if err != nil {
		return ch, err
	}
	if ch.kernel, err = start(goProgram); err != nil {
		return ch, err
	}
	if ch.fallback, err = start(goProgram, "GODEBUG=cpu.avx512ifma=off"); err != nil {
		return ch, err
	}
	ch.c, err = start(cProgram)
	return ch, err
}

func everyone(ch children) (field, error) {
	var all field
	for _, bits := range []int{2048, 3072, 4096} {
		e, err := exponentiations(bits, ch)
		if err != nil {
			return nil, err
		}
		s, err := signatures(bits, ch)
		if err != nil {
			return nil, err
		}
		all = append(append(all, e...), s...)
	}
	for _, bits := range []int{2048, 3072} {
		c, err := composites(bits)
		if err != nil {
			return nil, err
		}
		all = append(all, c...)
	}
	c, err := cores()
	return append(all, c...), err
}
