package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	circl "github.com/cloudflare/circl/tss/rsa"

	"github.com/tandem-rsa/tandem/splitkey"
)

var digest = sha256.Sum256([]byte("what is signed"))

// keyFor reads one of the fixed keys of package splitkeytest, which only tests may
// import.
func keyFor(name string, bits int) *rsa.PrivateKey {
	text, err := os.ReadFile(fmt.Sprintf("../../splitkey/splitkeytest/testdata/%s-%d.pem", name, bits))
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
		if own, err = splitkey.GenerateSoftwareKey(bits); err != nil {
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

// signatures are the contenders for a PKCS #1 v1.5 signature of a SHA-256 digest by one
// key. All have shown that they make the same one.
func signatures(bits int, ch children) (field, error) {
	key := keyFor("device", bits)
	f := field{}
	var want []byte
	add := func(name string, sign func() ([]byte, error)) error {
		got, err := sign()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s: wrong signature", name)
		}
		f = append(f, &contender{task: "signature", bits: bits, name: name, run: inProcess(func() error {
			_, err := sign()
			return err
		})})
		return nil
	}
	if err := add("crypto/rsa, unsplit", func() ([]byte, error) {
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	}); err != nil {
		return nil, err
	}

	t, err := newTandem(bits, false)
	if err != nil {
		return nil, err
	}
	if err := add("tandem, two-prime", t.sign); err != nil {
		return nil, err
	}
	f = append(f, &contender{task: "partial", bits: bits, name: "tandem", run: inProcess(t.partial)})

	shares, err := circl.Deal(rand.Reader, 2, 2, key, true)
	if err != nil {
		return nil, err
	}
	if err := add("circl", func() ([]byte, error) { return signCircl(key, shares, false) }); err != nil {
		return nil, err
	}
	if err := add("circl, blinded", func() ([]byte, error) { return signCircl(key, shares, true) }); err != nil {
		return nil, err
	}

	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	result, run, err := ch.c.load("sign", fmt.Sprintf("%x", der), fmt.Sprintf("%x", digest))
	if err != nil {
		return nil, err
	}
	if result != fmt.Sprintf("%x", want) {
		return nil, fmt.Errorf("OpenSSL: wrong signature")
	}
	return append(f, &contender{task: "signature", bits: bits, name: "OpenSSL, unsplit", run: run}), nil
}

// composites are the contenders for a signature of two keys with moduli of the given
// size.
func composites(bits int) (field, error) {
	t, err := newTandem(bits, true)
	if err != nil {
		return nil, err
	}
	return field{{task: "signature", bits: 2 * bits, name: "tandem, composite", run: inProcess(func() error {
		_, err := t.sign()
		return err
	})}}, nil
}

func signCircl(key *rsa.PrivateKey, shares []circl.KeyShare, blinded bool) ([]byte, error) {
	em, err := (circl.PKCS1v15Padder{}).Pad(&key.PublicKey, crypto.SHA256, digest[:])
	if err != nil {
		return nil, err
	}
	signed := make([]circl.SignShare, len(shares))
	for i := range shares {
		// Without a source of randomness there is no blinding.
		if blinded {
			signed[i], err = shares[i].Sign(rand.Reader, &key.PublicKey, em, false)
		} else {
			signed[i], err = shares[i].Sign(nil, &key.PublicKey, em, false)
		}
		if err != nil {
			return nil, err
		}
	}
	return circl.CombineSignShares(&key.PublicKey, 2, 2, signed, em)
}
