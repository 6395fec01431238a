package prove

import (
	"fmt"
	"math/big"
	"testing"
)

const modexp = ".."

// TestKernels proves every contract.
func TestKernels(t *testing.T) {
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := complete(texts); err != nil {
		t.Fatal(err)
	}
	for _, c := range contracts {
		t.Run(c.name, func(t *testing.T) {
			p := c.check(texts)
			if p.err != nil {
				t.Fatal(p.err)
			}
			for _, f := range p.facts {
				if f.bound != nil && f.bound.Cmp(provenBound) >= 0 {
					t.Errorf("z is only known to be below %s N", f.bound.FloatString(6))
				}
			}
			if c.body == nil {
				kernelsProved++
			}
			t.Log(p)
		})
	}
}

// provenBound is what _asm/ifma.go proves, and what the tests of internal/modexp expect.
var provenBound = big.NewRat(3*256+1, 256)

var kernelsProved int

// String is a line for the log.
func (p proof) String() string {
	if p.body != nil {
		return fmt.Sprintf("read, not proved: %s", p.about)
	}
	last := p.facts[len(p.facts)-1]
	s := fmt.Sprintf("%s: %d instructions, %d numbers", p.about, p.instructions, last.numbers)
	if last.bound != nil {
		s += fmt.Sprintf(", lanes up to %v * 2^52, z < %s N", new(big.Int).Rsh(last.lane, 52), last.bound.FloatString(6))
	}
	return s
}
