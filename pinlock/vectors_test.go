package pinlock

import (
	"crypto/fips140"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"github.com/tandem-rsa/tandem/splitkey"
)

// hexBytes is a byte string in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type vectorParams struct {
	T, M uint32
	P    uint8
}

func (p vectorParams) params() Params { return Params{Time: p.T, MemoryKiB: p.M, Threads: p.P} }

// vectorGroup and vectorTest have the fields of all files that this package reads.
type vectorGroup struct {
	Type, Sharing, Pin      string
	Params, Limit           vectorParams
	X, CT, Salt, LockboxEnc hexBytes
	Sha256                  hexBytes
	Key                     struct{ N hexBytes }
	Tests                   []vectorTest
}

type vectorTest struct {
	TcID    int
	Comment string
	Result  string
	Reject  struct{ Stage, Class string }
	Flags   []string

	Pin, FirstPin, Rule       string
	PinEnc                    hexBytes
	Salt, X, CT, KdfKey       hexBytes
	KdfKeys, Shake256, Sha256 hexBytes
	LockboxEnc                hexBytes
	ShareLength, SharesSoFar  int
	DistinctSoFar             int
	Digits, Refused           int
}

var vectorErrors = map[string]error{
	"ErrLockbox": ErrLockbox, "ErrParams": ErrParams, "ErrPINFormat": ErrPINFormat,
}

// refused fails the test unless err is what the vector names, and nothing else.
func (v *vectorTest) refused(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, "invalid", v.Result)
	require.Contains(t, vectorErrors, v.Reject.Class)
	for name, e := range vectorErrors {
		require.Equal(t, name == v.Reject.Class, errors.Is(err, e), "%d %s: %v", v.TcID, v.Comment, err)
	}
}

func runVectors(t *testing.T, name string, want int, run func(t *testing.T, g *vectorGroup, v *vectorTest)) {
	t.Helper()
	b, err := os.ReadFile("../vectors/" + name + ".json")
	require.NoError(t, err)
	var file struct {
		NumberOfTests int
		TestGroups    []vectorGroup
	}
	require.NoError(t, json.Unmarshal(b, &file))
	ran := 0
	for i := range file.TestGroups {
		g := &file.TestGroups[i]
		for j := range g.Tests {
			// Some have e = 3: see TestFIPSOnly.
			fips140.WithoutEnforcement(func() { run(t, g, &g.Tests[j]) })
			ran++
		}
	}
	require.Equal(t, want, file.NumberOfTests)
	require.Equal(t, want, ran)
}

// TestVectorsLockbox opens every lockbox at its cost; in short mode one in sixteen.
func TestVectorsLockbox(t *testing.T) {
	runVectors(t, "lockbox", 293, func(t *testing.T, g *vectorGroup, v *vectorTest) {
		if testing.Short() && v.TcID%16 != 1 {
			return
		}
		enc := v.LockboxEnc
		if g.Type == "MalformedPIN" {
			enc = g.LockboxEnc
		}
		b, err := ParseLockbox(enc)
		require.NoError(t, err)
		again, err := b.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, []byte(enc), again)
		p := b.c.Get().params
		require.Equal(t, g.Params.params(), p)
		if g.Type == "MalformedPIN" {
			_, err = b.Unlock(v.PinEnc, DefaultParams())
			v.refused(t, err)
			share, err := splitkey.NewClientShare(b.c.Get().publicKey(), splitkey.Additive, b.c.Get().ct)
			require.NoError(t, err)
			_, err = Lock(share, v.PinEnc, g.Params.params())
			v.refused(t, err)
			return
		}
		require.Equal(t, []byte(v.KdfKey), argon2.IDKey([]byte(v.Pin), v.Salt, p.Time, p.MemoryKiB, p.Threads, 32))
		share, err := b.Unlock([]byte(v.Pin), DefaultParams())
		require.NoError(t, err)
		require.Equal(t, []byte(v.X), share.Secret(), "%d %s", v.TcID, v.Comment)
		require.Equal(t, g.Sharing, share.Sharing().String())
		require.Equal(t, []byte(g.Key.N), share.PublicKey().N.Bytes())
	})
}

// TestVectorsLockboxExhaustive opens one lockbox with every PIN of four digits; in short
// mode with the first thousand.
func TestVectorsLockboxExhaustive(t *testing.T) {
	all := sha3.NewSHAKE256()
	seen, want := map[string]bool{}, 10_000
	if testing.Short() {
		want = 1000
	}
	runVectors(t, "lockbox_exhaustive_4", 10, func(t *testing.T, g *vectorGroup, v *vectorTest) {
		if len(seen) == want {
			return
		}
		b, err := ParseLockbox(g.LockboxEnc)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%04d", 1000*(v.TcID-1)), v.FirstPin)
		for i := range 1000 {
			pin := fmt.Appendf(nil, "%04d", 1000*(v.TcID-1)+i)
			p := g.Params
			require.Equal(t, []byte(v.KdfKeys[32*i:32*i+32]), argon2.IDKey(pin, g.Salt, p.T, p.M, p.P, 32))
			share, err := b.Unlock(pin, DefaultParams())
			require.NoError(t, err)
			x := share.Secret()
			require.Len(t, x, v.ShareLength)
			seen[string(x)] = true
			all.Write(x)
			if string(pin) == g.Pin {
				require.Equal(t, []byte(g.X), x)
			}
		}
		require.Len(t, seen, v.DistinctSoFar)
		require.Equal(t, 1000*v.TcID, v.SharesSoFar)
		soFar := *all
		digest := make([]byte, 32)
		soFar.Read(digest)
		require.Equal(t, []byte(v.Shake256), digest)
	})
	require.Len(t, seen, want)
}

func TestVectorsLockboxMalformed(t *testing.T) {
	runVectors(t, "lockbox_malformed", 426, func(t *testing.T, g *vectorGroup, v *vectorTest) {
		b, err := ParseLockbox(v.LockboxEnc)
		if v.Reject.Stage == "parse-lockbox" {
			v.refused(t, err)
			require.Nil(t, b)
			return
		}
		require.NoError(t, err, "%d %s", v.TcID, v.Comment)
		share, err := b.Unlock([]byte(g.Pin), g.Limit.params())
		if v.Result == "invalid" {
			v.refused(t, err)
			// Whatever the PIN, even one that is malformed.
			_, other := b.Unlock([]byte("none"), g.Limit.params())
			require.Equal(t, err.Error(), other.Error())
			return
		}
		require.NoError(t, err)
		require.Equal(t, []byte(v.X), share.Secret(), "%d %s", v.TcID, v.Comment)
	})
}

func TestVectorsWeakPINs(t *testing.T) {
	lines := sha256.New()
	runVectors(t, "weak_pins", 981, func(t *testing.T, g *vectorGroup, v *vectorTest) {
		switch g.Type {
		case "CheckPIN":
			err := CheckPIN([]byte(v.Pin))
			var weak *WeakPINError
			if errors.As(err, &weak) {
				require.Equal(t, v.Rule, weak.Rule, v.Pin)
				require.Equal(t, "WeakPINError", v.Reject.Class)
			} else {
				require.NoError(t, err)
				require.Equal(t, "valid", v.Result, v.Pin)
			}
			fmt.Fprintf(lines, "%s %s\n", v.Pin, v.Rule)
			if v.TcID == len(g.Tests) {
				require.Equal(t, []byte(g.Sha256), lines.Sum(nil))
			}
		case "MalformedPIN":
			v.refused(t, CheckPIN(v.PinEnc))
		case "AllPINs":
			h, refused := sha256.New(), 0
			all := 1
			for range v.Digits {
				all *= 10
			}
			for i := range all {
				pin := fmt.Sprintf("%0*d", v.Digits, i)
				var weak *WeakPINError
				if errors.As(CheckPIN([]byte(pin)), &weak) {
					refused++
					fmt.Fprintf(h, "%s %s\n", pin, weak.Rule)
				}
			}
			require.Equal(t, v.Refused, refused)
			require.Equal(t, []byte(v.Sha256), h.Sum(nil))
		default:
			require.Fail(t, g.Type)
		}
	})
}
