package hsm

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// question is one power m^d mod n.
type question struct{ n, d, m []byte }

// exponentQuestion derives the i-th question at a size from its name alone, so that
// nobody chose it. The four differ in what modules stumble over: an odd exponent, an even
// one, one with leading zero bytes, and a result with leading zero bytes (m is then such
// that m^d is small: d = 2).
func exponentQuestion(bits, i int) question {
	k := bits / 8
	q := question{
		n: expand(fmt.Sprintf("tandem hsm modulus %d %d", bits, i), k),
		d: expand(fmt.Sprintf("tandem hsm exponent %d %d", bits, i), k),
		m: expand(fmt.Sprintf("tandem hsm base %d %d", bits, i), k),
	}
	q.n[0] |= 0xc0
	q.n[k-1] |= 1
	q.d[0] &= 0x7f
	q.m[0] &= 0x7f
	switch i {
	case 0:
		q.d[k-1] |= 1
	case 1:
		q.d[k-1] &^= 1
	case 2:
		clear(q.d[:3])
	case 3:
		clear(q.d)
		q.d[k-1] = 2
		clear(q.m[:k/2+2])
	}
	return q
}

// expand is SHA-256 in counter mode.
func expand(name string, size int) []byte {
	var out []byte
	for i := uint32(0); len(out) < size; i++ {
		h := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(name), i))
		out = append(out, h[:]...)
	}
	return out[:size]
}

// exponentAnswers holds the SHA-256 of each answer in k bytes, computed with
// math/big (TestExponentAnswers does it again).
var exponentAnswers = map[int][]string{
	2048: {
		"9634942798e88f4b7acd5b9c71d01a4acfbed42517a8a10bcaeace9fd6a708d9",
		"ac1b96d44beff8cff0558ec37fbea392720e1d2bef072219ceb48675128afabb",
		"2abbb7bd1e37a62eb70a99a31a9c5bbc5311c74b91c0a767a81f481f595c8d79",
		"93cb4ec66f864bdd7476eef93d7656ec8b436bd99dd514d55930e5d2cc07c49d",
	},
	3072: {
		"ca7c531ff0bf810b6956706c0acac1ace9a62eae1d721328facdcc6465df031c",
		"6f3f88ee0df7ae63e6e161ab7beae40cb7105b1c4da12e751da375ae6004c082",
		"6adbeff4855e2938beba9a1036ce64d67234d63843365295ca0972bb361c5119",
		"af9fc2746c23deededc01e02a0264498de63465443436ca7364ee7ed04676387",
	},
	4096: {
		"45cddb58c235766e8411c6dd1303554eeb47cb211436cdcfe606c6c0bc5768a0",
		"d488b4df55a7fdc2c43eedcf576e2a92062e82105279f65bbc9a3437683a20f0",
		"d0b48e0ac4aa456e92a9b6baf584e741ed5fb08484ad2a439c71c95ade79dc5b",
		"4dba5f54726f36f6017c2e76af75351845b9049e550b57535a7de1bd458a2208",
	},
}
