package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/bench/internal/comparison"
	"github.com/tandem-rsa/tandem/bench/internal/machine"
)

// Classes for which claims were set.
const (
	zen5 = "AMD Zen 5"
	zen4 = "AMD Zen 4"
)

// targets are the claims that this library makes about its speed, with what this run
// says. Most are for one class of processors. On a busy machine the run says nothing
// about several cores, which other work takes time of. debian is the system's OpenSSL.
func (f field) targets(m machine.Machine, debian string) []comparison.Target {
	var out []comparison.Target
	// claim takes two contenders of the same run and the bound of the ratio of their
	// times.
	claim := func(classes []string, missing string, atMost bool, bound float64, text string, numerator, denominator *contender) {
		t := comparison.Target{Claim: text, Bound: bound, AtMost: atMost, Missing: missing}
		t.For = strings.Join(classes, ", ")
		t.Elsewhere = len(classes) > 0 && !slices.Contains(classes, m.Class())
		if missing == "" {
			t.Ratio = comparison.Ratio(numerator.samples, denominator.samples)
		}
		out = append(out, t)
	}
	ifma, two := "", ""
	if !m.IFMA {
		ifma = "this processor has no AVX-512 IFMA"
	}
	if runtime.GOMAXPROCS(0) < 2 {
		two = "this process has one core"
	} else if m.Busy() {
		two = "the machine was doing other work"
	}
	five, everywhere := []string{zen5}, []string(nil)

	exp := func(bits int, name string, v variant) *contender {
		return f.find("exponentiation", bits, name, 0, v)
	}
	for _, c := range []struct {
		bits          int
		bigmod, other float64
	}{{2048, 7.5, 5}, {3072, 17, 5.5}, {4096, 18, 6}} {
		claim(five, ifma, false, c.bigmod, fmt.Sprintf("exponentiation, %d bits: times faster than bigmod", c.bits),
			exp(c.bits, "bigmod", fastest), exp(c.bits, "tandem", fastest))
		claim(five, ifma, false, c.other, fmt.Sprintf("exponentiation, %d bits: times faster than %s's in constant time", c.bits, debian),
			exp(c.bits, debian, fastest), exp(c.bits, "tandem", fastest))
	}
	for _, c := range []struct {
		bits  int
		bound float64
	}{{2048, 1}, {3072, 2.2}, {4096, 2.2}} {
		claim(everywhere, "", false, c.bound, fmt.Sprintf("exponentiation without IFMA, %d bits: times faster than bigmod", c.bits),
			exp(c.bits, "bigmod", fastest), exp(c.bits, "tandem", noIFMA))
	}
	part := f.find("partial", 2048, partial, 0, fastest)
	claim(everywhere, "", true, 1.08, "partial signature, 2048 bits: times the exponentiation in it", part, exp(2048, "tandem", fastest))
	out = append(out, comparison.Target{Claim: "partial signature, 2048 bits: allocations", Bound: 10, AtMost: true,
		Ratio: comparison.QuartilesOf(part.allocs)})
	out = append(out, comparison.Target{Claim: "exponentiation, 2048 bits: allocations", Bound: 0, AtMost: true,
		Ratio: comparison.QuartilesOf(exp(2048, "tandem", fastest).allocs)})

	sig := func(bits int, name string, primes int, v variant) *contender {
		return f.find("signature", bits, name, primes, v)
	}
	ssl := debian + ", unsplit"
	two2048, four4096 := sig(2048, twoPrime, 0, fastest), sig(4096, composite, 0, fastest)
	claim(five, ifma, true, 0.8, "whole two-prime signature, 2048 bits: times crypto/rsa's unsplit one", two2048, sig(2048, cryptoRSA, 2, fastest))
	claim(five, ifma, true, 0.25, "whole composite signature, 4096 bits: times crypto/rsa's unsplit one with two primes", four4096, sig(4096, cryptoRSA, 2, fastest))
	claim(five, ifma, true, 0.35, "whole composite signature, 4096 bits: times "+debian+"'s unsplit one with two primes", four4096, sig(4096, ssl, 2, fastest))
	claim(five, ifma, true, 1, "whole composite signature, 4096 bits: times "+debian+"'s unsplit one with four primes", four4096, sig(4096, ssl, 4, fastest))
	claim([]string{zen4}, ifma, true, 1.15, "whole composite signature, 4096 bits: times "+debian+"'s unsplit one with four primes", four4096, sig(4096, ssl, 4, fastest))
	claim(five, "", true, 0.9, "whole composite signature without IFMA, 4096 bits: times "+debian+"'s unsplit one with two primes, without IFMA",
		sig(4096, composite, 0, noIFMA), sig(4096, ssl, 2, noIFMA))
	claim(five, ifma, false, 8, "whole two-prime signature, 2048 bits: times faster than circl's", sig(2048, "circl", 0, fastest), two2048)
	claim(five, ifma, false, 16, "whole two-prime signature, 2048 bits: times faster than circl's, blinded", sig(2048, "circl, blinded", 0, fastest), two2048)
	claim(five, ifma, false, 30, "whole composite signature, 4096 bits: times faster than circl's", sig(4096, "circl", 0, fastest), four4096)
	for _, task := range []string{"partials", "completions"} {
		claim(everywhere, two, false, 1.9, task+", composite 4096: times faster on two cores than on one",
			f.find(task, 4096, "1", 0, fastest), f.find(task, 4096, "2", 0, fastest))
	}
	return out
}
