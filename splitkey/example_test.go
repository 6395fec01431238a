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
	completer, err := splitkey.NewCompleter(server, nil)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("I agree."))

	// The client's half. Of the final key that a server tells it, the client signs for none
	// that it has not checked.
	final, err := splitkey.CheckFinalKey(completer.PublicKey(), client.PublicKey())
	if err != nil {
		log.Fatal(err)
	}
	message, err := splitkey.Encode(final, digest[:], crypto.SHA256)
	if err != nil {
		log.Fatal(err)
	}
	partial, err := client.SignPartial(message)
	if err != nil {
		log.Fatal(err)
	}

	// The server encodes the digest itself, checks and completes.
	message, err = splitkey.EncodeWithSalt(completer.FinalKey(), digest[:], crypto.SHA256, nil)
	if err != nil {
		log.Fatal(err)
	}
	signature, err := completer.Complete(context.Background(), message, partial)
	if err != nil {
		log.Fatal(err)
	}

	// Anybody verifies, without knowing of halves.
	fmt.Println(rsa.VerifyPKCS1v15(completer.PublicKey(), crypto.SHA256, digest[:], signature))
	// Output: <nil>
}

// The server has an RSA key of its own, here in software. The final key is the product of
// both: no whole private exponent of it has ever existed.
func ExampleNewCompleter_composite() {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	serverKey, err := splitkey.NewSoftwareKey(own)
	if err != nil {
		log.Fatal(err)
	}
	_, server, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	completer, err := splitkey.NewCompleter(server, serverKey)
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
	completer, err := splitkey.NewCompleter(server, nil)
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
	message, err := splitkey.Encode(completer.FinalKey(), digest[:], crypto.SHA256)
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

// What a server may call the final key of a device key: not its square, for which the server
// needs no key of its own.
func ExampleCheckFinalKey() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	device := client.PublicKey()
	final, err := splitkey.CheckFinalKey(device, device)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(final.PublicKey().Size(), "bytes")
	square := &rsa.PublicKey{N: new(big.Int).Mul(device.N, device.N), E: device.E}
	_, err = splitkey.CheckFinalKey(square, device)
	fmt.Println(err)
	// Output:
	// 256 bytes
	// splitkey: unacceptable RSA key: the two moduli have a common factor
}

// A Signer is a crypto.Signer: here it signs a certificate request.
func ExampleSigner() {
	client, server, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	completer, err := splitkey.NewCompleter(server, nil)
	if err != nil {
		log.Fatal(err)
	}
	signer := splitkey.NewSigner(completer.FinalKey(), client, completer.Complete)
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
func ExampleEncodeWithSalt() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	// Two-prime: the final key is the device key itself.
	final, err := splitkey.CheckFinalKey(client.PublicKey(), client.PublicKey())
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("I agree."))
	pss := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	sent, err := splitkey.Encode(final, digest[:], pss)
	if err != nil {
		log.Fatal(err)
	}
	rebuilt, err := splitkey.EncodeWithSalt(final, digest[:], pss, sent.Salt())
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

// A whole RSA key as the server's own half of a composite.
func ExampleSoftwareKey() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	own, err := splitkey.NewSoftwareKey(key)
	if err != nil {
		log.Fatal(err)
	}
	x := make([]byte, 256) // a number below n, as long as n
	x[255] = 2
	y, err := own.Exponentiate(context.Background(), x)
	if err != nil {
		log.Fatal(err)
	}
	z := new(big.Int).SetBytes(y)
	fmt.Println(z.Exp(z, big.NewInt(int64(key.E)), key.N))
	// Output: 2
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
