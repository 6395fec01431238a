package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"math/big"

	"filippo.io/bigmod"
)

// exponentiations are the contenders for base^exponent mod n, with an exponent as long as
// n. All but math/big take constant time, and all have shown that they get the same
// result.
func exponentiations(bits int, ch *children) (field, error) {
	const task = "exponentiation"
	n := keyFor("device", bits).N
	size := bits / 8
	base, exponent := make([]byte, size), make([]byte, size)
	rand.Read(base[1:])
	rand.Read(exponent)
	exponent[0] |= 0x80
	b, e := new(big.Int).SetBytes(base), new(big.Int).SetBytes(exponent)
	want := new(big.Int).Exp(b, e, n)

	f := field{{task: task, bits: bits, name: "math/big", run: inProcess(func() error {
		new(big.Int).Exp(b, e, n)
		return nil
	})}}

	m, err := bigmod.NewModulus(n.Bytes())
	if err != nil {
		return nil, err
	}
	x, err := bigmod.NewNat().SetBytes(base, m)
	if err != nil {
		return nil, err
	}
	z := bigmod.NewNat().ExpandFor(m)
	if got := z.Exp(x, exponent, m).Bytes(m); !bytes.Equal(got, want.FillBytes(make([]byte, size))) {
		return nil, fmt.Errorf("bigmod: wrong result")
	}
	f = append(f, &contender{task: task, bits: bits, name: "bigmod", run: inProcess(func() error {
		z.Exp(x, exponent, m)
		return nil
	})})

	type other struct {
		name, kind string
		variant    variant
		child      *child
	}
	others := []other{{"GMP", "gmp", fastest, ch.openssl[0].fast}}
	for _, v := range variants {
		others = append(others, other{"tandem", "exp", v, ch.arithmetic[v]})
	}
	for _, o := range ch.openssl {
		others = append(others, other{o.name, "openssl", fastest, o.fast})
	}
	for _, o := range others {
		result, run, err := o.child.load(o.kind, fmt.Sprintf("%x", base), fmt.Sprintf("%x", exponent), fmt.Sprintf("%x", n))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		if err := same(result, want); err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		f = append(f, &contender{task: task, bits: bits, name: o.name, variant: o.variant, run: run})
	}
	return f, nil
}

func same(hexadecimal string, want *big.Int) error {
	got, ok := new(big.Int).SetString(hexadecimal, 16)
	if !ok || got.Cmp(want) != 0 {
		return fmt.Errorf("wrong result")
	}
	return nil
}
