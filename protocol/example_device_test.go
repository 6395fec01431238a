package protocol_test

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
)

// An app that enrols and signs. The transport is a call of the server's here, and an HTTP request elsewhere.
func ExampleDevice() {
	ctx := context.Background()
	server := newServer()
	folder, err := os.MkdirTemp("", "device")
	check(err)
	defer os.RemoveAll(folder)
	state, err := protocol.NewFileState(folder)
	check(err)
	device, err := protocol.NewDevice(protocol.DeviceConfig{
		State: state, Transport: server.Handle, ServerKey: server.ServerKey(),
		// For a fast example only: leave it out.
		Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1},
	})
	check(err)

	// The service has identified the user and hands out a challenge. The user types a PIN, twice.
	id, challenge, err := server.ChallengeEnroll(ctx)
	check(err)
	check(device.Enroll(ctx, protocol.EnrollOptions{Challenge: challenge, PIN: []byte("4917")}))
	check(device.Confirm(ctx, nil, []byte("4917")))

	// The service asks for a signature. The user compares the codes and types the PIN.
	digest := sha256.Sum256([]byte("the contract"))
	challenge, err = server.ChallengeSign(ctx, id, digest[:], crypto.SHA256)
	check(err)
	fmt.Println("code:", protocol.VerificationCode(digest[:]))
	_, err = device.Sign(ctx, challenge, digest[:], crypto.SHA256, []byte("8306"))
	var wrong *limiter.WrongPINError
	if errors.As(err, &wrong) {
		fmt.Println("wrong PIN, tries left:", wrong.Remaining)
	}
	challenge, err = server.ChallengeSign(ctx, id, digest[:], crypto.SHA256)
	check(err)
	signature, err := device.Sign(ctx, challenge, digest[:], crypto.SHA256, []byte("4917"))
	if errors.Is(err, protocol.ErrUnanswered) { // the network: send it again, without a PIN
		var result *protocol.Result
		result, err = device.Resume(ctx)
		check(err)
		signature = result.Signatures[0]
	}
	check(err)

	status, err := device.Status()
	check(err)
	fmt.Println("key:", status.PublicKey.N.BitLen(), "bits")
	fmt.Println("verified:", rsa.VerifyPKCS1v15(status.PublicKey, crypto.SHA256, digest[:], signature) == nil)
	// Output:
	// code: 6301
	// wrong PIN, tries left: 2
	// key: 4096 bits
	// verified: true
}

func newServer() *protocol.Server {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	check(err)
	sealer, err := protocol.NewSoftwareSealer(random(protocol.SealerKeySize))
	check(err)
	pool, err := protocol.NewKeyPool(2048, 1)
	check(err)
	pool.Close() // no need to make more than this example uses
	server, err := protocol.NewServer(protocol.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer,
		HPKE: protocol.HPKEKeys{Current: private}, ChallengeKey: random(32), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(err)
	return server
}

func ExampleCodeChoice() {
	digest := sha256.Sum256([]byte("the contract"))
	for _, code := range protocol.CodeChoice(digest[:]) {
		if code == protocol.VerificationCode(digest[:]) {
			fmt.Println("the user must pick", code)
		}
	}
	// Output: the user must pick 6301
}

func ExampleSoftwareSealer() {
	ctx := context.Background()
	oldKey, newKey := random(protocol.SealerKeySize), random(protocol.SealerKeySize)
	before, err := protocol.NewSoftwareSealer(oldKey)
	check(err)
	sealed, err := before.Seal(ctx, []byte("key 1"), []byte("share"))
	check(err)

	// After a rotation the old key still opens what it sealed.
	after, err := protocol.NewSoftwareSealer(newKey, oldKey)
	check(err)
	share, err := after.Open(ctx, []byte("key 1"), sealed)
	check(err)
	fmt.Printf("%s\n", share)
	_, err = after.Open(ctx, []byte("key 2"), sealed)
	fmt.Println(errors.Is(err, protocol.ErrSealed))
	// Output:
	// share
	// true
}
