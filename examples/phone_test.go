package examples_test

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"log"
	"log/slog"
	"math/big"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// newSigner returns a signer of a phone, which keeps its storage in the folder, and which
// it enrols with a service in this process. The user is not asked: his PIN is known.
func newSigner(ctx context.Context, folder string) *device.Signer {
	pin := []byte("4917")
	private, err := hpke.MLKEM768X25519().GenerateKey()
	check(err)
	sealer, err := server.NewSoftwareSealer(random(server.SealerKeySize))
	check(err)
	pool, err := server.NewKeyPool(2048, 1)
	check(err)
	pool.Close() // no need to make more than this example uses
	service, err := server.New(server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: random(32), Log: slog.New(slog.DiscardHandler),
	})
	check(err)
	storage, err := device.NewFileStorage(folder)
	check(err)
	phone, err := device.New(device.Config{
		Storage: storage, Transport: service.Handle, HPKEKey: service.HPKEKey(),
		Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}, // for a fast example only: leave it out
	})
	check(err)
	id, challenge, err := service.ChallengeEnroll(ctx)
	check(err)
	check(phone.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: pin}))
	check(phone.Confirm(ctx, nil, pin))
	signer, err := phone.NewSigner(ctx, device.SignerConfig{
		Challenge: func(ctx context.Context, r *device.Request) ([]byte, error) {
			return service.ChallengeSignAll(ctx, id, r.Digests, r.Options)
		},
		PIN: func(context.Context, *device.Request) ([]byte, error) { return append([]byte(nil), pin...), nil },
	})
	check(err)
	return signer
}

// selfSigned returns a certificate for the signer's key, by that key.
func selfSigned(signer crypto.Signer) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ann"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(nil, template, template, signer.Public(), signer)
	check(err)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	return certificate
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
