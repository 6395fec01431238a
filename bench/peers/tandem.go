package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"github.com/tandem-rsa/tandem/splitkey"
)

// text is what is signed. Some sign its digest, others want all of it.
const text = "what is signed"

var digest = sha256.Sum256([]byte(text))

// tandem is a split key: two-prime, or composite with a server key of the same size.
type tandem struct {
	client    *splitkey.ClientShare
	completer *splitkey.Completer
	message   *splitkey.Message
	signer    crypto.Signer
}

func newTandem(bits int, composite bool) (*tandem, error) {
	client, server, err := splitkey.Split(keyFor("device", bits), splitkey.Multiplicative)
	if err != nil {
		return nil, err
	}
	var own splitkey.RSAKey
	if composite {
		if own, err = serverKey(bits); err != nil {
			return nil, err
		}
	}
	t := &tandem{client: client}
	if t.completer, err = splitkey.NewCompleter(server, own, nil); err != nil {
		return nil, err
	}
	if t.message, err = t.completer.FinalKey().Encode(digest[:], crypto.SHA256); err != nil {
		return nil, err
	}
	t.signer = client.Signer(context.Background(), t.completer.FinalKey(), t.complete)
	return t, nil
}

// complete encodes the digest again, as a server does, which gets nothing else.
func (t *tandem) complete(ctx context.Context, _ *splitkey.Message, y []byte) ([]byte, error) {
	m, err := t.completer.FinalKey().Encode(digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	checked, err := t.completer.Check(m, y)
	if err != nil {
		return nil, err
	}
	defer checked.Wipe()
	return t.completer.Finish(ctx, checked)
}

// sign is all that both parties do, every check included.
func (t *tandem) sign() ([]byte, error) { return t.signer.Sign(nil, digest[:], crypto.SHA256) }

func (t *tandem) partial() error {
	_, err := t.client.SignPartial(t.message)
	return err
}

// What this program signs with: names of contenders.
const (
	twoPrime  = "tandem, two-prime"
	composite = "tandem, composite"
	partial   = "tandem"
	cryptoRSA = "crypto/rsa, unsplit"
)

// work returns what a contender of these names repeats. The final key has that many bits.
func work(name string, bits int) (func() ([]byte, error), error) {
	switch name {
	case cryptoRSA:
		key := twoPrimes(bits)
		return func() ([]byte, error) { return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]) }, nil
	case composite:
		t, err := newTandem(bits/2, true)
		if err != nil {
			return nil, err
		}
		return t.sign, nil
	case twoPrime:
		t, err := newTandem(bits, false)
		if err != nil {
			return nil, err
		}
		return t.sign, nil
	case partial:
		t, err := newTandem(bits, false)
		if err != nil {
			return nil, err
		}
		return func() ([]byte, error) { return t.client.SignPartial(t.message) }, nil
	}
	return nil, fmt.Errorf("no contender %q", name)
}
