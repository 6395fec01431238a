//go:build cgo && unix && !nopkcs11

package hsm

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// spread does b.N operations in a number of goroutines (b.Loop counts in one
// goroutine only) and reports them per second.
func spread(b *testing.B, goroutines int, worker func() (op func() error)) {
	b.Helper()
	ops := make([]func() error, goroutines)
	for i := range ops {
		ops[i] = worker()
	}
	together := func(n int) {
		var left atomic.Int64
		left.Store(int64(n))
		var all sync.WaitGroup
		for _, op := range ops {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					if err := op(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	// Until Go has started its threads, calls into C share one core.
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
		together(8 * goroutines)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	together(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpu is the processor time of this process in nanoseconds, which other processes disturb
// less than time on the clock.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkRawRSA compares Key.Exponentiate ("key") with the module alone, used through
// miekg/pkcs11 with a session for each goroutine and no check of anything ("bare"), by
// turns; and with that in a new goroutine for each operation ("goroutine"), as every call
// must be that can be given up. docs/hsm.md says where the time goes.
func BenchmarkRawRSA(b *testing.B) {
	for _, m := range hsmtest.Modules {
		b.Run(m.Name, func(b *testing.B) {
			cfg := config(m.New(b))
			cfg.Sessions = 16
			tok := openToken(b, cfg)
			keeper, err := tok.mod.OpenSession(tok.slot, false)
			require.NoError(b, err)
			for _, bits := range []int{2048, 3072} {
				// A session object, since NSS takes 25 ms for each use of a token object.
				s := &session{t: tok, mod: tok.mod, h: keeper, gen: tok.gen}
				pub, priv, err := s.generateRSA(bits, false, false, tok.guard)
				require.NoError(b, err)
				public, err := s.publicKey(pub)
				require.NoError(b, err)
				held := new(object)
				held.located.Store(&located{tok.gen, priv})
				key := tok.newKey(public, bySign, held, nil)
				x := make([]byte, bits/8)
				rand.Read(x[1:])
				counts := []int{1, 2, 4, 8, 16}
				if bits > 2048 {
					counts = []int{1, 16}
				}
				for _, goroutines := range counts {
					b.Run(fmt.Sprintf("%d/%d/key", bits, goroutines), func(b *testing.B) {
						spread(b, goroutines, func() func() error {
							return func() error { _, err := key.Exponentiate(b.Context(), x); return err }
						})
					})
					ctx := pkcs11.New(cfg.Module)
					bare := func() func() error {
						own, err := ctx.OpenSession(tok.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
						require.NoError(b, err)
						b.Cleanup(func() { _ = ctx.CloseSession(own) })
						mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_X_509, nil)}
						return func() error {
							if err := ctx.SignInit(own, mechanism, pkcs11.ObjectHandle(priv)); err != nil {
								return err
							}
							_, err := ctx.Sign(own, x)
							return err
						}
					}
					b.Run(fmt.Sprintf("%d/%d/bare", bits, goroutines), func(b *testing.B) { spread(b, goroutines, bare) })
					b.Run(fmt.Sprintf("%d/%d/goroutine", bits, goroutines), func(b *testing.B) {
						spread(b, goroutines, func() func() error { return apart(bare()) })
					})
				}
			}
		})
	}
}

// BenchmarkServerKey is a whole use of a wrapped key: unwrap, check, raw RSA,
// destroy.
func BenchmarkServerKey(b *testing.B) {
	for _, m := range hsmtest.Modules {
		b.Run(m.Name, func(b *testing.B) {
			tok := openToken(b, config(m.New(b)))
			require.NoError(b, tok.GenerateWrappingKey(b.Context(), "wrap"))
			keys, err := tok.ServerKeys(b.Context(), "wrap", 2048, 0)
			require.NoError(b, err)
			key, _, err := keys.NewKey(b.Context())
			require.NoError(b, err)
			x := make([]byte, 256)
			rand.Read(x[1:])
			for _, goroutines := range []int{1, 4} {
				b.Run(fmt.Sprintf("2048/%d", goroutines), func(b *testing.B) {
					spread(b, goroutines, func() func() error {
						return func() error { _, err := key.Exponentiate(b.Context(), x); return err }
					})
				})
			}
		})
	}
}

// apart does each operation in a goroutine of its own.
func apart(op func() error) func() error {
	return func() error {
		done := make(chan error, 1)
		go func() { done <- op() }()
		return <-done
	}
}

// BenchmarkSeal compares the Sealer with the module alone: one C_Encrypt, or one
// C_Decrypt, under the same key in one session; in a loop ("bare"), and each in a
// goroutine of its own ("goroutine"), as every call must be that can be given up.
func BenchmarkSeal(b *testing.B) {
	for _, m := range hsmtest.Modules {
		b.Run(m.Name, func(b *testing.B) {
			tok := openToken(b, config(m.New(b)))
			sealer, err := tok.GenerateSealingKey(b.Context(), "seal")
			require.NoError(b, err)
			h, err := tok.mod.OpenSession(tok.slot, false)
			require.NoError(b, err)
			s := &session{t: tok, mod: tok.mod, h: h, gen: tok.gen}
			aes, err := s.find(sealer.keys.current().aes)
			require.NoError(b, err)
			plain, aad := make([]byte, 300), make([]byte, 32)
			sealed, err := sealer.Seal(b.Context(), aad, plain)
			require.NoError(b, err)
			boxed, err := s.encryptKey(aes, plain[:secretKeyBytes])
			require.NoError(b, err)
			for _, c := range []struct {
				name string
				op   func() error
			}{
				{"seal/sealer", func() error { _, err := sealer.Seal(b.Context(), aad, plain); return err }},
				{"seal/bare", func() error { _, err := s.encryptKey(aes, plain[:secretKeyBytes]); return err }},
				{"seal/goroutine", apart(func() error { _, err := s.encryptKey(aes, plain[:secretKeyBytes]); return err })},
				{"open/sealer", func() error { _, err := sealer.Open(b.Context(), aad, sealed); return err }},
				{"open/bare", func() error { _, err := s.decryptKey(aes, boxed); return err }},
				{"open/goroutine", apart(func() error { _, err := s.decryptKey(aes, boxed); return err })},
			} {
				b.Run("300/"+c.name, func(b *testing.B) {
					b.ReportAllocs()
					before := cpu(b)
					for b.Loop() {
						if err := c.op(); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
				})
			}
		})
	}
}
