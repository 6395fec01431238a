// Package splitkeytest has fixed keys and deterministic splits for tests. Nothing in
// it is random, so nothing made with it is secret: never use it outside tests.
package splitkeytest

import (
	"crypto/rsa"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
)

//go:embed testdata/*.pem
var keys embed.FS

// Names of the fixed keys: for each size a device key with l-safe primes, a server key,
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
// modulus. It returns an error where 2x+1 is not invertible (multiplicative sharing),
// and does not ask whether the primes are l-safe.
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
	srv, err := splitkey.NewServerShare(&key.PublicKey, s, d)
	return c, srv, err
}

// FinalKey returns the final key of a two-prime key: the device key itself.
func FinalKey(tb testing.TB, device *rsa.PublicKey) *splitkey.FinalKey {
	tb.Helper()
	k, err := splitkey.CheckFinalKey(device, device)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// Assembly reports whether this process computes in assembly modulo a number of 2048 bits.
func Assembly() bool {
	return modexp.NewModulus(Key(2048).N.Bytes()).Implementation() != "bigmod"
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
