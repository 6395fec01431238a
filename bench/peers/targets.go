package main

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/cpu"

	"github.com/tandem-rsa/tandem/bench/internal/comparison"
)

// targets are the claims that this library makes about its speed, with what this run
// says. On a busy machine it says nothing about several cores, which other work takes
// time of.
func (f field) targets(busy bool) []comparison.Target {
	var out []comparison.Target
	// claim takes two contenders of the same run and the bound of the ratio of their
	// times.
	claim := func(missing string, atMost bool, bound float64, text string, numerator, denominator *contender) {
		t := comparison.Target{Claim: text, Bound: bound, AtMost: atMost, Missing: missing}
		if missing == "" {
			t.Ratio = comparison.Ratio(numerator.samples, denominator.samples)
		}
		out = append(out, t)
	}
	ifma, two := "", ""
	if !cpu.X86.HasAVX512IFMA {
		ifma = "this processor has no AVX-512 IFMA"
	}
	if runtime.GOMAXPROCS(0) < 2 {
		two = "this process has one core"
	} else if busy {
		two = "the machine was doing other work"
	}

	exp := func(bits int, name string) *contender { return f.find("exponentiation", bits, name) }
	for _, c := range []struct {
		bits          int
		bigmod, other float64
	}{{2048, 7.5, 5}, {3072, 17, 5.5}, {4096, 18, 6}} {
		claim(ifma, false, c.bigmod, fmt.Sprintf("exponentiation, %d bits: times faster than bigmod", c.bits),
			exp(c.bits, "bigmod"), exp(c.bits, "tandem"))
		claim(ifma, false, c.other, fmt.Sprintf("exponentiation, %d bits: times faster than OpenSSL's in constant time", c.bits),
			exp(c.bits, "OpenSSL"), exp(c.bits, "tandem"))
	}
	for _, c := range []struct {
		bits  int
		bound float64
	}{{2048, 1}, {3072, 2.2}, {4096, 2.2}} {
		claim("", false, c.bound, fmt.Sprintf("exponentiation without IFMA, %d bits: times faster than bigmod", c.bits),
			exp(c.bits, "bigmod"), exp(c.bits, "tandem, no IFMA"))
	}
	partial := f.find("partial", 2048, "tandem")
	claim("", true, 1.08, "partial signature, 2048 bits: times the exponentiation in it", partial, exp(2048, "tandem"))
	out = append(out, comparison.Target{Claim: "partial signature, 2048 bits: allocations", Bound: 10, AtMost: true,
		Ratio: comparison.QuartilesOf(partial.allocs)})
	out = append(out, comparison.Target{Claim: "exponentiation, 2048 bits: allocations", Bound: 0, AtMost: true,
		Ratio: comparison.QuartilesOf(exp(2048, "tandem").allocs)})

	sig := func(bits int, name string) *contender { return f.find("signature", bits, name) }
	twoPrime, composite := sig(2048, "tandem, two-prime"), sig(4096, "tandem, composite")
	claim(ifma, true, 1, "whole two-prime signature, 2048 bits: times crypto/rsa's unsplit one", twoPrime, sig(2048, "crypto/rsa, unsplit"))
	claim(ifma, true, 0.25, "whole composite signature, 4096 bits: times crypto/rsa's unsplit one", composite, sig(4096, "crypto/rsa, unsplit"))
	claim(ifma, true, 0.35, "whole composite signature, 4096 bits: times OpenSSL's unsplit one", composite, sig(4096, "OpenSSL, unsplit"))
	claim(ifma, false, 8, "whole two-prime signature, 2048 bits: times faster than circl's", sig(2048, "circl"), twoPrime)
	claim(ifma, false, 16, "whole two-prime signature, 2048 bits: times faster than circl's, blinded", sig(2048, "circl, blinded"), twoPrime)
	claim(ifma, false, 30, "whole composite signature, 4096 bits: times faster than circl's", sig(4096, "circl"), composite)
	for _, task := range []string{"partials", "completions"} {
		claim(two, false, 1.9, task+", composite 4096: times faster on two cores than on one",
			f.find(task, 4096, "1"), f.find(task, 4096, "2"))
	}
	return out
}
