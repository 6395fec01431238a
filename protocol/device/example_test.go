package device_test

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// An app that enrols and signs. The transport is a call of the server's here, and an HTTP
// request elsewhere.
func ExampleDevice() {
	ctx := context.Background()
	server := newServer()
	folder, err := os.MkdirTemp("", "device")
	check(err)
	defer os.RemoveAll(folder)
	storage, err := device.NewFileStorage(folder)
	check(err)
	phone, err := device.New(device.Config{
		Storage: storage, Transport: server.Handle, HPKEKey: server.HPKEKey(),
		Params: fast, // for a fast example only: leave it out
	})
	check(err)

	// The service has identified the user and hands out a challenge. The user types a
	// PIN, twice.
	id, challenge, err := server.ChallengeEnroll(ctx)
	check(err)
	check(phone.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: []byte("4917")}))
	check(phone.Confirm(ctx, nil, []byte("4917")))

	// The service asks for a signature. The user compares the codes and types the PIN.
	digest := sha256.Sum256([]byte("the contract"))
	challenge, err = server.ChallengeSign(ctx, id, digest[:], crypto.SHA256)
	check(err)
	fmt.Println("code:", protocol.VerificationCode(digest[:]))
	_, err = phone.Sign(ctx, challenge, digest[:], crypto.SHA256, []byte("8306"))
	var wrong *limiter.WrongPINError
	if errors.As(err, &wrong) {
		fmt.Println("wrong PIN, tries left:", wrong.Remaining)
	}
	challenge, err = server.ChallengeSign(ctx, id, digest[:], crypto.SHA256)
	check(err)
	signature, err := phone.Sign(ctx, challenge, digest[:], crypto.SHA256, []byte("4917"))
	if errors.Is(err, device.ErrUnanswered) { // the network: send it again, without a PIN
		var result *device.Request
		result, err = phone.Resume(ctx)
		check(err)
		signature = result.Signatures[0]
	}
	check(err)

	status, err := phone.Status()
	check(err)
	fmt.Println("key:", status.PublicKey.N.BitLen(), "bits")
	fmt.Println("verified:", rsa.VerifyPKCS1v15(status.PublicKey, crypto.SHA256, digest[:], signature) == nil)
	// Output:
	// code: 6301
	// wrong PIN, tries left: 2
	// key: 4096 bits
	// verified: true
}

// fast is a cost of Argon2id with which every PIN is guessed at once.
var fast = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}

func newServer() *server.Server {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	check(err)
	sealer, err := server.NewSoftwareSealer(random(server.SealerKeySize))
	check(err)
	pool, err := server.NewKeyPool(2048, 1)
	check(err)
	pool.Close() // no need to make more than this example uses
	server, err := server.New(server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: random(32), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(err)
	return server
}

// A folder keeps one device's storage, and lets one process at a time use it.
func ExampleFileStorage() {
	folder, err := os.MkdirTemp("", "device")
	check(err)
	defer os.RemoveAll(folder)
	storage, err := device.NewFileStorage(folder)
	check(err)
	unlock, err := storage.Lock()
	check(err)
	check(storage.Save([]byte("one")))
	_, err = storage.Lock()
	fmt.Println(errors.Is(err, device.ErrBusy))
	unlock()
	data, err := storage.Load()
	check(err)
	fmt.Printf("%s\n", data)
	// Output:
	// true
	// one
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
