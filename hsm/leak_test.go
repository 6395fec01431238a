//go:build cgo && linux && !nopkcs11

package hsm

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

var failures = flag.Int("failures", 20_000, "number of failing operations of each kind in TestFailuresKeepNothing")

// resident is the process's memory in bytes, C and Go, after what is garbage
// was collected.
func resident(t *testing.T) int {
	runtime.GC()
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size, pages int
	_, err = fmt.Sscan(string(statm), &size, &pages)
	require.NoError(t, err)
	return pages * os.Getpagesize()
}

// Failing operations leave nothing behind: 8 bytes each, and 2 MB for whatever
// else the process does meanwhile. That is less than 10 MB for a million
// (make failures), and less than any buffer for the number of an ordinary run.
// miekg/pkcs11 v1.1.2 keeps one for each C_Sign and C_Decrypt whose second call fails:
// those of the first two kinds, if they reached it.
func TestFailuresKeepNothing(t *testing.T) {
	n := *failures
	for _, maker := range hsmtest.Modules {
		t.Run(maker.Name, func(t *testing.T) {
			tok := openToken(t, config(maker.New(t)))
			ctx := t.Context()
			key, err := tok.GenerateKey(ctx, "key", 2048)
			require.NoError(t, err)
			sealer, err := tok.GenerateSealingKey(ctx, "seal")
			require.NoError(t, err)
			sealed, err := sealer.Seal(ctx, nil, make([]byte, 300))
			require.NoError(t, err)
			sealed[40] ^= 1
			s, err := tok.mod.OpenSession(tok.slot, false)
			require.NoError(t, err)
			x := make([]byte, 256)
			x[5] = 1
			for _, kind := range []struct {
				name string
				fail func() error
			}{
				{"operand", func() error { _, err := key.Exponentiate(ctx, key.n); return err }},
				{"blob", func() error { _, err := sealer.Open(ctx, nil, sealed); return err }},
				// Past all checks, straight into the module.
				{"C_Sign", func() error {
					_, err := tok.mod.Use(bySign, s, mechanism{kind: pkcs11.CKM_RSA_X_509}, 1<<30, x)
					return err
				}},
				{"C_Decrypt", func() error {
					_, err := tok.mod.Use(byDecrypt, s, mechanism{kind: pkcs11.CKM_RSA_X_509}, 1<<30, x)
					return err
				}},
				{"C_GetAttributeValue", func() error {
					_, err := tok.mod.Attribute(s, 1<<30, pkcs11.CKA_MODULUS)
					return err
				}},
				{"C_UnwrapKey", func() error {
					_, err := tok.mod.UnwrapKey(s, mechanism{kind: pkcs11.CKM_AES_CBC_PAD, param: x[:16]}, 1<<30, x, []attribute{
						attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
					})
					return err
				}},
				{"C_FindObjects", func() error {
					_, err := tok.mod.FindObjects(1<<30, privateKeys("key"), 2)
					return err
				}},
			} {
				for range 2000 { // what is allocated once
					require.Error(t, kind.fail())
				}
				// A thread that the runtime starts on a busy machine costs more than 2
				// MB, once. What a failure leaves behind it leaves behind each time.
				limit := 2<<20 + 8*n
				grown := limit
				for round := 0; round < 3 && grown >= limit; round++ {
					before, start := resident(t), time.Now()
					for range n {
						if kind.fail() == nil {
							t.Fatal("did not fail")
						}
					}
					grown = resident(t) - before
					t.Logf("%s: %d failures in %v, %+d kB", kind.name, n, time.Since(start).Round(time.Millisecond), grown>>10)
				}
				require.Less(t, grown, limit, kind.name)
			}
			require.NoError(t, key.prove(ctx), "and the token works")
		})
	}
}
