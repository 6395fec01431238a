package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"slices"

	"github.com/tandem-rsa/tandem/splitkey"
)

// keyFor reads one of the fixed keys of package splitkeytest, which only tests may
// import.
func keyFor(name string, bits int) *rsa.PrivateKey {
	return readKey(fmt.Sprintf("../../splitkey/splitkeytest/testdata/%s-%d.pem", name, bits))
}

func readKey(file string) *rsa.PrivateKey {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key.(*rsa.PrivateKey)
}

// twoPrimes is an ordinary key of two primes.
func twoPrimes(bits int) *rsa.PrivateKey {
	if bits == 6144 {
		return readKey("testdata/unsplit-6144.pem")
	}
	return keyFor("device", bits)
}

// fourPrimes is the final key of a composite as an ordinary key of one party, which has
// all four of its primes.
func fourPrimes(bits int) (*rsa.PrivateKey, error) {
	client, server := keyFor("device", bits/2), keyFor("server", bits/2)
	key := &rsa.PrivateKey{Primes: slices.Concat(client.Primes, server.Primes)}
	lambda := big.NewInt(1) // lcm of all p-1
	key.N, key.E = big.NewInt(1), client.E
	for _, p := range key.Primes {
		key.N.Mul(key.N, p)
		less := new(big.Int).Sub(p, big.NewInt(1))
		lambda.Mul(lambda, new(big.Int).Div(less, new(big.Int).GCD(nil, nil, lambda, less)))
	}
	if key.D = new(big.Int).ModInverse(big.NewInt(int64(key.E)), lambda); key.D == nil {
		return nil, fmt.Errorf("no private exponent for %d", key.E)
	}
	return key, key.Validate()
}

// serverKey is a fixed server key.
func serverKey(bits int) (*splitkey.SoftwareKey, error) {
	key := keyFor("server", bits)
	b := append([]byte("TDsk"), 1)
	b = binary.BigEndian.AppendUint32(b, uint32(key.E))
	b = binary.BigEndian.AppendUint16(b, uint16(bits/16))
	return splitkey.ParseSoftwareKey(slices.Concat(b, key.Primes[0].Bytes(), key.Primes[1].Bytes()))
}
