package splitkey_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// hexBytes is a byte string in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (h hexBytes) int() *big.Int { return new(big.Int).SetBytes(h) }

type vectorKey struct {
	Name         string
	P, Q, N      hexBytes
	E            int64
	PBits, QBits int
}

func (k *vectorKey) pub() *rsa.PublicKey { return &rsa.PublicKey{N: k.N.int(), E: int(k.E)} }

func (k *vectorKey) private(t *testing.T) *rsa.PrivateKey {
	key, err := splitkeytest.PrivateKey(k.P.int(), k.Q.int(), int(k.E))
	require.NoError(t, err)
	return key
}

// vectorGroup and vectorTest have the fields of all files that this package reads.
type vectorGroup struct {
	Type, Sharing, Hash string
	Key                 vectorKey
	ServerKey           *vectorKey
	N, X, DS            hexBytes
	E                   int64
	Indistinguishable   bool
	Tests               []vectorTest
}

type vectorTest struct {
	TcID    int
	Comment string
	Result  string
	Reject  struct{ Stage, Class string }
	Flags   []string

	X, XEnc, DS, ServerShareEnc hexBytes
	D, P, Q                     hexBytes
	Hash, Padding               string
	Digest, DigestEnc           hexBytes
	Salt, SaltEnc, EM           hexBytes
	N, N1, N2, OtherN           hexBytes
	E, E1, E2                   int64
	Y, YEnc, S2Enc, S2, S1, Sig hexBytes
}

var vectorErrors = map[string]error{
	"ErrKey": splitkey.ErrKey, "ErrOrdinaryPrimes": splitkey.ErrOrdinaryPrimes, "ErrShare": splitkey.ErrShare, "ErrMessage": splitkey.ErrMessage,
	"ErrMalformedPartial": splitkey.ErrMalformedPartial, "ErrPartial": splitkey.ErrPartial, "ErrServerKey": splitkey.ErrServerKey,
}

// refused fails the test unless err is what the vector names, and nothing else.
func (v *vectorTest) refused(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, "invalid", v.Result)
	require.Contains(t, vectorErrors, v.Reject.Class)
	for name, e := range vectorErrors {
		if name == v.Reject.Class {
			require.ErrorIs(t, err, e, "%d %s", v.TcID, v.Comment)
		} else {
			require.NotErrorIs(t, err, e, "%d %s", v.TcID, v.Comment)
		}
	}
}

var vectorSharing = map[string]splitkey.Sharing{"multiplicative": splitkey.Multiplicative, "additive": splitkey.Additive}

// hashes that the library knows, and some that it must not.
var vectorHash = map[string]crypto.Hash{
	"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512,
	"SHA3-256": crypto.SHA3_256, "SHA3-384": crypto.SHA3_384, "SHA3-512": crypto.SHA3_512,
	"MD5": crypto.MD5, "SHA-1": crypto.SHA1, "SHA-224": crypto.SHA224, "SHA-512/224": crypto.SHA512_224, "SHA-512/256": crypto.SHA512_256, "SHA3-224": crypto.SHA3_224,
}

// runVectors calls run for every test of a file, and counts. In short mode it calls it
// for one in sixteen of each group.
func runVectors(t *testing.T, name string, want int, run func(t *testing.T, g *vectorGroup, v *vectorTest)) {
	t.Helper()
	b, err := os.ReadFile("../vectors/" + name + ".json")
	require.NoError(t, err)
	var file struct {
		NumberOfTests int
		TestGroups    []vectorGroup
	}
	require.NoError(t, json.Unmarshal(b, &file))
	require.Equal(t, want, file.NumberOfTests)
	ran := 0
	for i := range file.TestGroups {
		g := &file.TestGroups[i]
		for j := range g.Tests {
			if !testing.Short() || j%16 == 0 {
				if fips140.Enforced() && requireFIPSRefusal(t, g, &g.Tests[j]) {
					fips140.WithoutEnforcement(func() { run(t, g, &g.Tests[j]) })
				} else {
					run(t, g, &g.Tests[j])
				}
				ran++
			}
		}
	}
	if !testing.Short() {
		require.Equal(t, want, ran)
	}
	require.NotZero(t, ran)
}

// requireFIPSRefusal reports whether a vector has something that FIPS 140-only mode
// forbids: e below 2^16, a final modulus of an odd number of bits, a salt longer than the
// hash. If so, it is refused, and the vector is run without enforcement.
func requireFIPSRefusal(t *testing.T, g *vectorGroup, v *vectorTest) (forbidden bool) {
	refused := func(class, err error) {
		t.Helper()
		require.ErrorIs(t, err, class, "%d %s", v.TcID, v.Comment)
		require.ErrorIs(t, err, splitkey.ErrFIPS, "%d %s", v.TcID, v.Comment)
		forbidden = true
	}
	for _, e := range []int64{g.E, g.Key.E, v.E, v.E1, v.E2} {
		if e >= 3 && e&1 == 1 && e <= 1<<16 {
			pub := &rsa.PublicKey{N: splitkeytest.Key(2048).N, E: int(e)}
			_, err := splitkey.CheckFinalKey(pub, pub)
			refused(splitkey.ErrKey, err)
		}
	}
	for _, n := range []hexBytes{g.N, v.N, v.OtherN} {
		if bits := n.int().BitLen(); bits >= 2048 && bits <= 16384 && bits%2 == 1 && n.int().Bit(0) == 1 {
			_, err := splitkey.EncodingKey(&rsa.PublicKey{N: n.int(), E: 65537})
			refused(splitkey.ErrKey, err)
		}
	}
	h := cmp.Or(vectorHash[v.Hash], vectorHash[g.Hash])
	if salt := append(v.Salt, v.SaltEnc...); slices.Contains(hashes, h) && len(salt) > h.Size() {
		final := splitkeytest.FinalKey(t, &splitkeytest.Key(4096).PublicKey)
		_, err := final.EncodeWithSalt(make([]byte, h.Size()), &rsa.PSSOptions{Hash: h, SaltLength: len(salt)}, salt)
		refused(splitkey.ErrMessage, err)
	}
	return forbidden
}

func (v *vectorTest) encode(final *splitkey.FinalKey) (*splitkey.Message, error) {
	h := vectorHash[v.Hash]
	if v.Padding == "PSS" {
		return final.EncodeWithSalt(v.Digest, &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash}, v.Salt)
	}
	return final.Encode(v.Digest, h)
}

// finalOf is the final key (n, e) of a client key, as a client checks it.
func finalOf(t *testing.T, n hexBytes, e int64, device *rsa.PublicKey) *splitkey.FinalKey {
	k, err := splitkey.CheckFinalKey(&rsa.PublicKey{N: n.int(), E: int(e)}, device)
	require.NoError(t, err)
	return k
}

func TestVectorsSplit(t *testing.T) {
	for name, want := range map[string]int{
		"split_multiplicative_2048": 164, "split_multiplicative_3072": 164, "split_additive_2048": 195, "split_additive_3072": 195,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			split, weak := map[string]bool{}, 0
			runVectors(t, name, want, func(t *testing.T, g *vectorGroup, v *vectorTest) {
				s := vectorSharing[g.Sharing]
				switch g.Type {
				case "Split":
					key := g.Key.private(t)
					_, share, err := splitkeytest.Split(key, s, v.X)
					if v.Result == "invalid" {
						require.Error(t, err, v.Comment)
						return
					}
					require.NoError(t, err)
					require.Equal(t, []byte(v.DS), share.Secret(), "%d %s", v.TcID, v.Comment)
					require.Equal(t, []byte(v.ServerShareEnc), share.Bytes())
					parsed, err := splitkey.ParseServerShare(v.ServerShareEnc)
					require.NoError(t, err)
					require.Equal(t, []byte(v.ServerShareEnc), parsed.Bytes())
					// The key itself, with a random x; in short mode two keys of a file.
					if !split[g.Key.Name] && (!testing.Short() || len(split) < 2) {
						split[g.Key.Name] = true
						require.NoError(t, splitkey.CheckModulus(&key.PublicKey))
						c, srv, err := splitkey.Split(key, s)
						require.NoError(t, err)
						requireSharesFit(t, key, s, c.Secret(), srv.Secret())
					}
				case "Key":
					_, _, err := splitkey.Split(&rsa.PrivateKey{
						PublicKey: rsa.PublicKey{N: v.N.int(), E: int(v.E)}, D: v.D.int(), Primes: []*big.Int{v.P.int(), v.Q.int()},
					}, s)
					v.refused(t, err)
					// n1 shows these defects by itself.
					if slices.Contains(v.Flags, "ROCA") || slices.Contains(v.Flags, "NearlyEqual") {
						weak++
						v.refused(t, splitkey.CheckModulus(&rsa.PublicKey{N: v.N.int(), E: int(v.E)}))
					}
				case "ServerShare":
					share, err := splitkey.ParseServerShare(v.ServerShareEnc)
					if v.Result == "invalid" {
						v.refused(t, err)
						return
					}
					require.NoError(t, err)
					require.Equal(t, []byte(v.ServerShareEnc), share.Bytes())
				default:
					require.Fail(t, g.Type)
				}
			})
			if !testing.Short() {
				require.Equal(t, 3, weak)
			}
		})
	}
}

// requireSharesFit checks the invariants of sections 2.2 and 2.3.
func requireSharesFit(t *testing.T, key *rsa.PrivateKey, s splitkey.Sharing, x, d []byte) {
	t.Helper()
	one := big.NewInt(1)
	e, dc, ds := big.NewInt(int64(key.E)), new(big.Int).SetBytes(x), new(big.Int).SetBytes(d)
	require.Len(t, x, key.Size()+8)
	require.Len(t, d, key.Size())
	for _, p := range key.Primes {
		p1 := new(big.Int).Sub(p, one)
		sum := new(big.Int).Add(dc, ds)
		if s == splitkey.Multiplicative {
			sum.Lsh(dc, 1).Add(sum, one).Mul(sum, ds)
		}
		require.Zero(t, sum.Mul(sum, e).Mod(sum, p1).Cmp(one))
	}
}

func TestVectorsEncode(t *testing.T) {
	for name, want := range map[string]int{"encode_pkcs1": 268, "encode_pss": 472} {
		runVectors(t, name, want, func(t *testing.T, g *vectorGroup, v *vectorTest) {
			h := vectorHash[g.Hash]
			pub, err := splitkey.EncodingKey(&rsa.PublicKey{N: g.N.int(), E: int(g.E)})
			if err != nil {
				v.refused(t, err)
				return
			}
			digest, salt := append(v.Digest, v.DigestEnc...), append(v.Salt, v.SaltEnc...)
			var m *splitkey.Message
			if name == "encode_pss" {
				m, err = pub.EncodeWithSalt(digest, &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthAuto}, salt)
			} else {
				m, err = pub.Encode(digest, h)
			}
			if v.Result == "invalid" {
				v.refused(t, err)
				if len(salt) > 0 {
					_, err = pub.EncodeWithSalt(digest, &rsa.PSSOptions{Hash: h, SaltLength: len(salt)}, salt)
					v.refused(t, err)
					_, err = pub.Encode(digest, &rsa.PSSOptions{Hash: h, SaltLength: len(salt)})
					v.refused(t, err)
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, []byte(v.EM), m.Bytes(), "%d %s", v.TcID, v.Comment)
			require.True(t, bytes.Equal(salt, m.Salt()))
		})
	}
}

func TestVectorsPartial(t *testing.T) {
	runVectors(t, "partial", 267, func(t *testing.T, g *vectorGroup, v *vectorTest) {
		s := vectorSharing[g.Sharing]
		if g.Type == "Partial" {
			m, err := v.encode(finalOf(t, g.N, g.E, g.Key.pub()))
			require.NoError(t, err)
			require.Equal(t, []byte(v.EM), m.Bytes())
			share, err := splitkey.NewClientShare(g.Key.pub(), s, v.X)
			require.NoError(t, err)
			y, err := share.SignPartial(m)
			require.NoError(t, err)
			require.Equal(t, []byte(v.Y), y, "%d %s", v.TcID, v.Comment)
			return
		}
		require.Equal(t, "PartialRefused", g.Type)
		share, err := splitkey.NewClientShare(&rsa.PublicKey{N: v.N1.int(), E: int(v.E1)}, s, append(v.X, v.XEnc...))
		if v.Reject.Stage == "check-message" {
			require.NoError(t, err)
			n1, n := &rsa.PublicKey{N: v.N1.int(), E: int(v.E1)}, &rsa.PublicKey{N: v.N.int(), E: int(v.E)}
			_, err := splitkey.CheckFinalKey(n, n1)
			require.ErrorIs(t, err, splitkey.ErrKey)
			foreign, err := splitkey.EncodingKey(n)
			require.NoError(t, err)
			m, err := v.encode(foreign)
			require.NoError(t, err)
			_, err = share.SignPartial(m)
			v.refused(t, err)
			return
		}
		v.refused(t, err)
	})
}

// bigKey is a server key of any form, also one that a SoftwareKey refuses. If answer is
// not nil, it gives that answer.
type bigKey struct {
	key    *rsa.PrivateKey
	answer *hexBytes
}

func (k bigKey) Public() crypto.PublicKey { return &k.key.PublicKey }

func (k bigKey) Exponentiate(_ context.Context, x []byte) ([]byte, error) {
	if k.answer != nil {
		return *k.answer, nil
	}
	return new(big.Int).Exp(new(big.Int).SetBytes(x), k.key.D, k.key.N).FillBytes(make([]byte, k.key.Size())), nil
}

// server returns the group's server key, and keeps it, since making one tries it.
func (g *vectorGroup) server(t *testing.T, made map[string]splitkey.RSAKey) splitkey.RSAKey {
	if g.ServerKey == nil {
		return nil
	}
	k := made[g.ServerKey.Name]
	if k == nil {
		key := g.ServerKey.private(t)
		k = bigKey{key: key}
		if g.ServerKey.PBits == g.ServerKey.QBits {
			var err error
			k, err = splitkeytest.SoftwareKey(key)
			require.NoError(t, err)
		}
		made[g.ServerKey.Name] = k
	}
	return k
}

func TestVectorsComplete(t *testing.T) {
	for name, want := range map[string]int{"complete": 309, "complete_composite": 696} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := map[string]splitkey.RSAKey{}
			same := map[*vectorGroup]string{}
			runVectors(t, name, want, func(t *testing.T, g *vectorGroup, v *vectorTest) {
				s := vectorSharing[g.Sharing]
				share, err := splitkey.NewServerShare(g.Key.pub(), s, g.DS)
				require.NoError(t, err)
				if g.Type == "Compose" {
					key := g.ServerKey.private(t)
					key.PublicKey = rsa.PublicKey{N: v.N2.int(), E: int(v.E2)}
					_, err := splitkey.NewCompleter(share, bigKey{key: key}, nil)
					if v.Result == "invalid" {
						v.refused(t, err)
						return
					}
					require.NoError(t, err)
					return
				}
				own := g.server(t, made)
				c, err := splitkey.NewCompleter(share, own, nil)
				require.NoError(t, err)
				final := finalOf(t, g.N, g.E, g.Key.pub())
				require.True(t, final.PublicKey().Equal(c.PublicKey()))
				client, err := splitkey.NewClientShare(g.Key.pub(), s, g.X)
				require.NoError(t, err)
				m, err := v.encode(final)
				require.NoError(t, err)
				switch g.Type {
				case "Complete":
					require.Equal(t, []byte(v.EM), m.Bytes())
					y, err := client.SignPartial(m)
					require.NoError(t, err)
					require.Equal(t, []byte(v.Y), y)
					c, err = splitkey.NewCompleter(share, own, c.Precomputed())
					require.NoError(t, err)
					sig, err := complete(ctx, c, m, y)
					require.NoError(t, err)
					require.Equal(t, []byte(v.Sig), sig, "%d %s", v.TcID, v.Comment)
					require.NoError(t, m.Verify(v.Sig))
				case "Malformed":
					_, err := c.Check(m, v.YEnc)
					v.refused(t, err)
				case "Wrong":
					_, err := c.Check(m, v.Y)
					v.refused(t, err)
					require.True(t, g.Indistinguishable)
					if same[g] == "" {
						same[g] = err.Error()
					}
					require.Equal(t, same[g], err.Error(), "%d %s", v.TcID, v.Comment)
				case "OtherMessage":
					other, err := splitkey.EncodingKey(&rsa.PublicKey{N: v.OtherN.int(), E: int(g.E)})
					require.NoError(t, err)
					m, err := v.encode(other)
					require.NoError(t, err)
					_, err = c.Check(m, v.Y)
					v.refused(t, err)
				case "Fault":
					y, err := client.SignPartial(m)
					require.NoError(t, err)
					require.Equal(t, []byte(v.Y), y)
					c, err := splitkey.NewCompleter(share, bigKey{g.ServerKey.private(t), &v.S2Enc}, nil)
					require.NoError(t, err)
					ch, err := c.Check(m, y)
					require.NoError(t, err, "the client is not at fault")
					sig, err := c.Finish(context.Background(), ch)
					v.refused(t, err)
					require.Nil(t, sig)
				default:
					require.Fail(t, g.Type)
				}
			})
		})
	}
}
