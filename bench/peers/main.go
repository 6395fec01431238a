// Command peers does the same work with this library and with others, in turns in one
// run: exponentiations with math/big, bigmod, OpenSSL and GMP; whole signatures with
// cloudflare/circl's threshold RSA, and ordinary ones of crypto/rsa, OpenSSL, Node and
// Java, by keys of two primes and of four. This library and OpenSSL also compete without
// AVX-512 IFMA, and Go programs without assembly. It prints medians of processor time,
// compares the ratios with what this library claims, and adds both to the report. It
// needs Linux, gcc, the headers of OpenSSL and GMP, Node, and a JDK.
//
// OpenSSL is the system's; that of Debian's unstable release where .ci/openssl has
// fetched it; that of the folder $OPENSSL, and of /usr/local and /opt, where there is one
// (libcrypto.so.3).
//
//	go run . -rounds 15 -benchtime 25ms -out ../out
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/bench/internal/comparison"
	"github.com/tandem-rsa/tandem/bench/internal/machine"
	"github.com/tandem-rsa/tandem/bench/internal/report"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		exit(serve(os.Stdin, os.Stdout))
		return
	}
	rounds := flag.Int("rounds", 15, "turns of each contender")
	benchTime := flag.String("benchtime", "25ms", "how long a turn is, or 1x: once")
	out := flag.String("out", "../../"+report.Scratch, "folder of the report")
	flag.Parse()
	turn, err := parseTurn(*benchTime)
	if err == nil {
		err = run(*rounds, turn, *out)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// parseTurn returns 0 for "1x".
func parseTurn(s string) (time.Duration, error) {
	if s == "1x" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is neither a time for each turn (25ms) nor 1x", s)
	}
	return d, nil
}

func run(rounds int, turn time.Duration, out string) (err error) {
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
	defer func() { err = errors.Join(err, ch.stop()) }()
	r.Versions = ch.versions()
	f, err := everyone(ch)
	if err != nil {
		return err
	}
	if err := f.measure(rounds, turn); err != nil {
		return err
	}
	r.Machine.Done()
	r.Rows, r.Targets = f.rows(), f.targets(r.Machine, ch.openssl[0].name)
	fmt.Print(r.Page().Markdown())
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := r.Save(filepath.Join(out, report.PeersFile)); err != nil {
		return err
	}
	return report.Write(out)
}

func everyone(ch *children) (field, error) {
	var all field
	for _, bits := range []int{2048, 3072, 4096} {
		e, err := exponentiations(bits, ch)
		if err != nil {
			return nil, err
		}
		all = append(all, e...)
	}
	for _, bits := range []int{2048, 3072, 4096, 6144} {
		s, err := signatures(bits, ch)
		if err != nil {
			return nil, err
		}
		all = append(all, s...)
	}
	for _, bits := range []int{4096, 6144} {
		c, err := composites(bits, ch)
		if err != nil {
			return nil, err
		}
		all = append(all, c...)
	}
	c, err := cores()
	return append(all, c...), err
}
