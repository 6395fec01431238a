package splitkey_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/costtest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

var benchSizes = []int{2048, 3072, 4096}

// BenchmarkGenerateKey compares with an ordinary key of the same size,
// BenchmarkGenerateKey/size/crypto-rsa.
func BenchmarkGenerateKey(b *testing.B) {
	for _, bits := range benchSizes {
		b.Run(fmt.Sprintf("%d/multiplicative", bits), func(b *testing.B) {
			defer costtest.Report(b)()
			for b.Loop() {
				_, _, err := splitkey.GenerateKey(bits, splitkey.Multiplicative)
				require.NoError(b, err)
			}
		})
		b.Run(fmt.Sprintf("%d/crypto-rsa", bits), func(b *testing.B) {
			defer costtest.Report(b)()
			for b.Loop() {
				_, err := rsa.GenerateKey(rand.Reader, bits)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	for _, bits := range benchSizes {
		for _, s := range sharings {
			b.Run(fmt.Sprintf("%d/%v", bits, s), func(b *testing.B) {
				key := splitkeytest.Key(bits)
				defer costtest.Report(b)()
				for b.Loop() {
					_, _, err := splitkey.Split(key, s)
					require.NoError(b, err)
				}
			})
		}
	}
}

// eachKey runs a benchmark for every shape, size and sharing. The composite of two
// keys of 2048 bits is named 4096.
func eachKey(b *testing.B, run func(b *testing.B, p *pair, m *splitkey.Message, y []byte)) {
	for _, shape := range []string{"two-prime", "composite"} {
		for _, bits := range benchSizes {
			for _, s := range sharings {
				if shape == "composite" && bits == 4096 {
					continue
				}
				var own splitkey.RSAKey
				name := bits
				if shape == "composite" {
					own, name = splitkeytest.ServerKey(bits), 2*bits
				}
				p := splitOf(b, splitkeytest.Key(bits), s, own)
				m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
				require.NoError(b, err)
				y, err := p.client.SignPartial(m)
				require.NoError(b, err)
				b.Run(fmt.Sprintf("%d/%s-%v", name, shape, s), func(b *testing.B) {
					run(b, p, m, y)
				})
			}
		}
	}
}

func BenchmarkPartial(b *testing.B) {
	eachKey(b, func(b *testing.B, p *pair, m *splitkey.Message, _ []byte) {
		defer costtest.Report(b)()
		for b.Loop() {
			_, err := p.client.SignPartial(m)
			require.NoError(b, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	eachKey(b, func(b *testing.B, p *pair, m *splitkey.Message, y []byte) {
		defer costtest.Report(b)()
		for b.Loop() {
			_, err := p.completer.Check(m, y)
			require.NoError(b, err)
		}
	})
}

func BenchmarkFinish(b *testing.B) {
	eachKey(b, func(b *testing.B, p *pair, m *splitkey.Message, y []byte) {
		ch, err := p.completer.Check(m, y)
		require.NoError(b, err)
		defer costtest.Report(b)()
		for b.Loop() {
			_, err := p.completer.Finish(ctx, ch)
			require.NoError(b, err)
		}
	})
}

func BenchmarkComplete(b *testing.B) {
	eachKey(b, func(b *testing.B, p *pair, m *splitkey.Message, y []byte) {
		defer costtest.Report(b)()
		for b.Loop() {
			_, err := p.complete(ctx, m, y)
			require.NoError(b, err)
		}
	})
}

// BenchmarkSign is a whole signature: encoding, both halves, all checks, and the
// verification on the client's side.
func BenchmarkSign(b *testing.B) {
	for name, opts := range map[string]crypto.SignerOpts{"pkcs1": crypto.SHA256, "pss": &rsa.PSSOptions{Hash: crypto.SHA256}} {
		b.Run(name, func(b *testing.B) {
			eachKey(b, func(b *testing.B, p *pair, _ *splitkey.Message, _ []byte) {
				digest := digestFor(crypto.SHA256, "x")
				s := signer(b, p)
				// The first signature checks the final key, the only one to do so.
				_, err := s.Sign(nil, digest, opts)
				require.NoError(b, err)
				defer costtest.Report(b)()
				for b.Loop() {
					_, err := s.Sign(nil, digest, opts)
					require.NoError(b, err)
				}
			})
		})
	}
	for _, bits := range benchSizes {
		b.Run(fmt.Sprintf("pkcs1/%d/crypto-rsa", bits), func(b *testing.B) {
			key := splitkeytest.Key(bits)
			digest := digestFor(crypto.SHA256, "x")
			defer costtest.Report(b)()
			for b.Loop() {
				_, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkNewCompleter(b *testing.B) {
	_, srv, err := splitkey.Split(splitkeytest.Key(2048), splitkey.Multiplicative)
	require.NoError(b, err)
	own := splitkeytest.ServerKey(2048)
	c, err := splitkey.NewCompleter(srv, own, nil)
	require.NoError(b, err)
	pre := c.Precomputed()
	b.Run("4096/new", func(b *testing.B) {
		defer costtest.Report(b)()
		for b.Loop() {
			_, err := splitkey.NewCompleter(srv, own, nil)
			require.NoError(b, err)
		}
	})
	b.Run("4096/restored", func(b *testing.B) {
		defer costtest.Report(b)()
		for b.Loop() {
			_, err := splitkey.NewCompleter(srv, own, pre)
			require.NoError(b, err)
		}
	})
}

func BenchmarkSoftwareKey(b *testing.B) {
	for _, bits := range benchSizes {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			k := splitkeytest.ServerKey(bits)
			x := make([]byte, bits/8)
			rand.Read(x[1:])
			defer costtest.Report(b)()
			for b.Loop() {
				_, err := k.Exponentiate(ctx, x)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkParseServerShare(b *testing.B) {
	enc := encodedShare(b, splitkey.Multiplicative)
	defer costtest.Report(b)()
	for b.Loop() {
		_, err := splitkey.ParseServerShare(enc)
		require.NoError(b, err)
	}
}

func BenchmarkEncode(b *testing.B) {
	final := splitkeytest.FinalKey(b, &splitkeytest.Key(2048).PublicKey)
	digest := digestFor(crypto.SHA256, "x")
	for name, opts := range map[string]crypto.SignerOpts{"pkcs1": crypto.SHA256, "pss": &rsa.PSSOptions{Hash: crypto.SHA256}} {
		b.Run("2048/"+name, func(b *testing.B) {
			defer costtest.Report(b)()
			for b.Loop() {
				_, err := final.Encode(digest, opts)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	eachKey(b, func(b *testing.B, p *pair, m *splitkey.Message, y []byte) {
		sig, err := p.complete(ctx, m, y)
		require.NoError(b, err)
		for b.Loop() {
			require.NoError(b, m.Verify(sig))
		}
	})
}

func BenchmarkCheckModulus(b *testing.B) {
	for _, bits := range benchSizes {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			pub := &splitkeytest.Key(bits).PublicKey
			defer costtest.Report(b)()
			for b.Loop() {
				require.NoError(b, splitkey.CheckModulus(pub))
			}
		})
	}
}

func BenchmarkParseSoftwareKey(b *testing.B) {
	for _, bits := range benchSizes {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			stored := splitkeytest.ServerKey(bits).Bytes()
			defer costtest.Report(b)()
			for b.Loop() {
				_, err := splitkey.ParseSoftwareKey(stored)
				require.NoError(b, err)
			}
		})
	}
}
