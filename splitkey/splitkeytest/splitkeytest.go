// Package splitkeytest has fixed keys and deterministic splits for tests. Nothing in
// it is random, so nothing made with it is secret: never use it outside tests.
package splitkeytest

import (
	"crypto/rsa"
	"crypto/x509"
	"embed"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
)

//go:embed testdata/*.pem
var keys embed.FS

// Names of the fixed keys: for each size a client key with l-safe primes, a server key,
// and (2048 only) an ordinary key, whose primes are not l-safe.
const (
	Device   = "device"
	Server   = "server"
	Ordinary = "ordinary"
)

// Key returns the fixed test key with l-safe primes of 2048, 3072 or 4096 bits. It
// panics for any other size.
func Key(bits int) *rsa.PrivateKey { return NamedKey(Device, bits) }

// NamedKey returns a fixed test key by name and size. It panics where there is none.
func NamedKey(name string, bits int) *rsa.PrivateKey {
	b, err := keys.ReadFile(fmt.Sprintf("testdata/%s-%d.pem", name, bits))
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key.(*rsa.PrivateKey)
}

// Split deals shares of key for the client's secret x, which has 8 bytes more than the
// modulus. It returns an error where 2x+1 is not invertible (multiplicative sharing), and
// does not check that the primes are l-safe.
func Split(key *rsa.PrivateKey, s splitkey.Sharing, x []byte) (*splitkey.ClientShare, *splitkey.ServerShare, error) {
	dealer, err := deal.New(key.Primes[0].Bytes(), key.Primes[1].Bytes(), key.Size(), uint(key.E))
	if err != nil {
		return nil, nil, err
	}
	defer dealer.Wipe()
	c, err := splitkey.NewClientShare(&key.PublicKey, s, x)
	if err != nil {
		return nil, nil, err
	}
	var d []byte
	switch s {
	case splitkey.Multiplicative:
		var ok bool
		if d, ok = dealer.Multiplicative(x); !ok {
			return nil, nil, fmt.Errorf("splitkeytest: 2x+1 is not invertible")
		}
	case splitkey.Additive:
		d = dealer.Additive(x)
	}
	srv, err := ServerShare(&key.PublicKey, s, d)
	return c, srv, err
}

// ServerShare returns the server's share with the secret d_s, which has the length of the
// modulus.
func ServerShare(pub *rsa.PublicKey, s splitkey.Sharing, d []byte) (*splitkey.ServerShare, error) {
	b := append([]byte("TDss"), 1, byte(s))
	b = binary.BigEndian.AppendUint32(b, uint32(pub.E))
	b = binary.BigEndian.AppendUint16(b, uint16(pub.Size()))
	b = append(append(b, pub.N.Bytes()...), d...)
	defer clear(b)
	return splitkey.ParseServerShare(b)
}

// ServerKey returns the fixed server key of so many bits. It panics where there is none.
func ServerKey(bits int) *splitkey.SoftwareKey {
	k, err := SoftwareKey(NamedKey(Server, bits))
	if err != nil {
		panic(err)
	}
	return k
}

// SoftwareKey returns a key whose two primes have the same length.
func SoftwareKey(key *rsa.PrivateKey) (*splitkey.SoftwareKey, error) {
	p, q := key.Primes[0].Bytes(), key.Primes[1].Bytes()
	defer clear(p)
	defer clear(q)
	b := append([]byte("TDsk"), 1)
	b = binary.BigEndian.AppendUint32(b, uint32(key.E))
	b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	b = slices.Concat(b, p, q)
	defer clear(b)
	return splitkey.ParseSoftwareKey(b)
}

// FinalKey returns the final key of a two-prime key: the client key itself.
func FinalKey(tb testing.TB, client *rsa.PublicKey) *splitkey.FinalKey {
	tb.Helper()
	k, err := splitkey.CheckFinalKey(client, client)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// Assembly reports whether this process computes in assembly modulo a number of 2048
// bits.
func Assembly() bool {
	return modexp.Assembly(2048)
}

// PrivateKey returns the RSA key with the given primes, for vectors that publish
// primes or nothing but n, e and d.
func PrivateKey(p, q *big.Int, e int) (*rsa.PrivateKey, error) {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	lambda := new(big.Int).Mul(p1, q1)
	lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
	d := new(big.Int).ModInverse(big.NewInt(int64(e)), lambda)
	if d == nil {
		return nil, fmt.Errorf("splitkeytest: %d has no inverse", e)
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: e}, D: d, Primes: []*big.Int{p, q}}
	key.Precompute()
	return key, key.Validate()
}
