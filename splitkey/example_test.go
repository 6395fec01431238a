package splitkey_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"math/big"

	"github.com/tandem-rsa/tandem/splitkey"
)

// A key that is split between a client and a server, who sign together.
func Example() {
	client, server, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	completer, err := splitkey.NewCompleter(server, nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("I agree."))

	// The client's half. The client checks each final key that a server tells it.
	final, err := splitkey.CheckFinalKey(completer.PublicKey(), client.PublicKey())
	if err != nil {
		log.Fatal(err)
	}
	message, err := final.Encode(digest[:], crypto.SHA256)
	if err != nil {
		log.Fatal(err)
	}
	partial, err := client.SignPartial(message)
	if err != nil {
		log.Fatal(err)
	}

	// The server encodes the digest itself, checks and completes.
	message, err = completer.FinalKey().EncodeWithSalt(digest[:], crypto.SHA256, nil)
	if err != nil {
		log.Fatal(err)
	}
	checked, err := completer.Check(message, partial)
	if err != nil {
		log.Fatal(err)
	}
	defer checked.Wipe()
	signature, err := completer.Finish(context.Background(), checked)
	if err != nil {
		log.Fatal(err)
	}

	// Anybody verifies, without knowing of halves.
	fmt.Println(rsa.VerifyPKCS1v15(completer.PublicKey(), crypto.SHA256, digest[:], signature))
	// Output: <nil>
}

// The server has an RSA key, here in software. The final key is the product of both: no
// whole private exponent of it has ever existed.
func ExampleNewCompleter_composite() {
	serverKey, err := splitkey.GenerateSoftwareKey(2048)
	if err != nil {
		log.Fatal(err)
	}
	_, server, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	completer, err := splitkey.NewCompleter(server, serverKey, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(server)
	fmt.Println("final key:", completer.PublicKey().Size(), "bytes")
	// Output:
	// splitkey.ServerShare(2048 bits, multiplicative, secret hidden)
	// final key: 512 bytes
}

// A wrong share (here: one that belongs to another key of the same size) is found by
// the server, and only there.
func ExampleCompleter_Check() {
	client, server, err := splitkey.GenerateKey(2048, splitkey.Additive)
	if err != nil {
		log.Fatal(err)
	}
	completer, err := splitkey.NewCompleter(server, nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	x := client.Secret()
	x[17]++ // what a wrong PIN makes of the share
	wrong, err := splitkey.NewClientShare(client.PublicKey(), client.Sharing(), x)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("I agree."))
	message, err := completer.FinalKey().Encode(digest[:], crypto.SHA256)
	if err != nil {
		log.Fatal(err)
	}
	partial, err := wrong.SignPartial(message)
	fmt.Println(len(partial), err)
	_, err = completer.Check(message, partial)
	fmt.Println(errors.Is(err, splitkey.ErrPartial))
	// Output:
	// 256 <nil>
	// true
}

// The square of the client key is no final key: the server could sign without a key of
// its own.
func ExampleCheckFinalKey() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	key := client.PublicKey()
	final, err := splitkey.CheckFinalKey(key, key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(final.PublicKey().Size(), "bytes")
	square := &rsa.PublicKey{N: new(big.Int).Mul(key.N, key.N), E: key.E}
	_, err = splitkey.CheckFinalKey(square, key)
	fmt.Println(err)
	// Output:
	// 256 bytes
	// splitkey: unacceptable RSA key: the two moduli have a common factor
}

// A crypto.Signer of a split key signs a certificate request.
func ExampleClientShare_Signer() {
	client, server, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	completer, err := splitkey.NewCompleter(server, nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	// Over the network, as a rule. A server that guards a PIN counts between the two.
	ask := func(ctx context.Context, m *splitkey.Message, partial []byte) ([]byte, error) {
		checked, err := completer.Check(m, partial)
		if err != nil {
			return nil, err
		}
		defer checked.Wipe()
		return completer.Finish(ctx, checked)
	}
	signer := client.Signer(context.Background(), completer.FinalKey(), ask)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Alice"},
	}, signer)
	if err != nil {
		log.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(request.Subject, request.CheckSignature())
	// Output: CN=Alice <nil>
}

// The server encodes the message again, with the salt that the client drew.
func ExampleFinalKey_EncodeWithSalt() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	// Two-prime: the final key is the client key itself.
	final, err := splitkey.CheckFinalKey(client.PublicKey(), client.PublicKey())
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("I agree."))
	pss := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	sent, err := final.Encode(digest[:], pss)
	if err != nil {
		log.Fatal(err)
	}
	rebuilt, err := final.EncodeWithSalt(digest[:], pss, sent.Salt())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(sent.Salt()), bytes.Equal(sent.Bytes(), rebuilt.Bytes()))
	// Output: 32 true
}

// The server's share in the form that is sealed and stored.
func ExampleServerShare_Bytes() {
	_, server, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	stored := server.Bytes() // a secret: encrypt it before it goes to the disk
	restored, err := splitkey.ParseServerShare(stored)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(stored), "bytes,", restored)
	// Output: 524 bytes, splitkey.ServerShare(2048 bits, multiplicative, secret hidden)
}

// A server key in software, as it is stored and used.
func ExampleSoftwareKey() {
	key, err := splitkey.GenerateSoftwareKey(2048)
	if err != nil {
		log.Fatal(err)
	}
	stored := key.Bytes() // a secret: encrypt it before it goes to the disk
	restored, err := splitkey.ParseSoftwareKey(stored)
	if err != nil {
		log.Fatal(err)
	}
	x := make([]byte, 256) // a number below n, as long as n
	x[255] = 2
	y, err := restored.Exponentiate(context.Background(), x)
	if err != nil {
		log.Fatal(err)
	}
	pub := key.Public().(*rsa.PublicKey)
	z := new(big.Int).SetBytes(y)
	fmt.Println(z.Exp(z, big.NewInt(int64(pub.E)), pub.N))
	// Output: 2
}

// Either party, or anybody else, verifies what both signed.
func ExampleMessage() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	final, err := splitkey.CheckFinalKey(client.PublicKey(), client.PublicKey())
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("I agree."))
	message, err := final.Encode(digest[:], crypto.SHA256)
	if err != nil {
		log.Fatal(err)
	}
	partial, err := client.SignPartial(message)
	if err != nil {
		log.Fatal(err)
	}
	// Half a signature does not verify.
	fmt.Println(message.Verify(partial))
	// Output: splitkey: signature does not verify
}

// A key that exists is split, and destroyed. Its primes are ordinary ones, so the
// sharing must be additive.
func ExampleSplit() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	client, server, err := splitkey.Split(key, splitkey.Additive)
	if err != nil {
		log.Fatal(err)
	}
	key = nil // and every copy of it, wherever it came from
	fmt.Println(client)
	fmt.Println(server)
	// Output:
	// splitkey.ClientShare(2048 bits, additive, secret hidden)
	// splitkey.ServerShare(2048 bits, additive, secret hidden)
}
