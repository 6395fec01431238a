package server_test

import (
	"context"
	"crypto/hpke"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// Keys are made in advance, and come back from their blobs, which the server seals and
// stores.
func ExampleKeyPool() {
	ctx := context.Background()
	pool, err := server.NewKeyPool(2048, 2)
	check(err)
	defer pool.Close()
	key, blob, err := pool.NewKey(ctx)
	check(err)
	again, err := pool.LoadKey(ctx, blob)
	check(err)
	fmt.Println(key.Public().(*rsa.PublicKey).Equal(again.Public()))
	// Output: true
}

// A phone is reported stolen.
func ExampleServer_Revoke() {
	ctx := context.Background()
	server, storage := newServer(), new(memory)
	phone, err := device.New(device.Config{
		Storage: storage, Transport: server.Handle, HPKEKey: server.HPKEKey(),
		Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}, // for a fast example only
	})
	check(err)
	id, challenge, err := server.ChallengeEnroll(ctx)
	check(err)
	check(phone.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: []byte("4917")}))
	status, err := server.Status(ctx, id)
	check(err)
	fmt.Println(status.Condition)

	check(server.Revoke(ctx, id, "reported stolen"))
	status, err = server.Status(ctx, id)
	check(err)
	fmt.Println(status.Condition, "-", status.Reason)

	err = phone.Confirm(ctx, nil, []byte("4917"))
	var dead *protocol.DestroyedError
	if errors.As(err, &dead) {
		fmt.Println("the app says:", dead.Reason)
	}
	// Output:
	// pending
	// destroyed - revoked
	// the app says: revoked
}

// memory is a Storage that forgets when the program ends: for examples only.
type memory struct{ data []byte }

func (m *memory) Load() ([]byte, error) { return m.data, nil }

func (m *memory) Lock() (func(), error) { return func() {}, nil }

func (m *memory) Save(data []byte) error {
	m.data = append([]byte(nil), data...)
	return nil
}

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
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: random(32),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	check(err)
	return server
}

// Events go to a log of their own, whose failure stops the answers instead of losing
// events. What was written is as durable as the writer makes it.
func ExampleNewAuditLog() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // the output of an example is always the same
		}
		return a
	}})
	sink := server.NewAuditLog(handler)
	err := sink.Record(context.Background(), server.Event{Key: protocol.KeyID{1}, Number: 7, Kind: "wrong PIN", Level: slog.LevelWarn})
	fmt.Println(err)
	// Output:
	// level=WARN msg="wrong PIN" key=01000000000000000000000000000000 event=7
	// <nil>
}
