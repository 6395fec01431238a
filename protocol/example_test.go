package protocol_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
)

// Keys are made in advance, and come back from their blobs, which the server seals and stores.
func ExampleKeyPool() {
	ctx := context.Background()
	pool, err := protocol.NewKeyPool(2048, 2)
	check(err)
	defer pool.Close()
	key, blob, err := pool.NewKey(ctx)
	check(err)
	again, err := pool.LoadKey(ctx, blob)
	check(err)
	fmt.Println(key.Public().(*rsa.PublicKey).Equal(again.Public()))
	// Output: true
}

// A folder keeps one device's state, and lets one process at a time use it.
func ExampleFileState() {
	folder, err := os.MkdirTemp("", "device")
	check(err)
	defer os.RemoveAll(folder)
	state, err := protocol.NewFileState(folder)
	check(err)
	unlock, err := state.Lock()
	check(err)
	check(state.Save([]byte("one")))
	_, err = state.Lock()
	fmt.Println(errors.Is(err, protocol.ErrBusy))
	unlock()
	data, err := state.Load()
	check(err)
	fmt.Printf("%s\n", data)
	// Output:
	// true
	// one
}

func ExampleParseKeyID() {
	id, err := protocol.ParseKeyID("000102030405060708090a0b0c0d0e0f")
	check(err)
	fmt.Println(id)
	_, err = protocol.ParseKeyID("000102030405060708090A0B0C0D0E0F")
	fmt.Println(err)
	// Output:
	// 000102030405060708090a0b0c0d0e0f
	// protocol: malformed encoding: key id, want 32 lower-case hexadecimal digits
}

// A phone is reported stolen.
func ExampleServer_Revoke() {
	ctx := context.Background()
	server, device := newServer(), new(memory)
	phone, err := protocol.NewDevice(protocol.DeviceConfig{
		State: device, Transport: server.Handle, ServerKey: server.ServerKey(),
		Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}, // for a fast example only
	})
	check(err)
	id, challenge, err := server.ChallengeEnroll(ctx)
	check(err)
	check(phone.Enroll(ctx, protocol.EnrollOptions{Challenge: challenge, PIN: []byte("4917")}))
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

// memory is a State that forgets when the program ends: for examples only.
type memory struct{ data []byte }

func (m *memory) Load() ([]byte, error) { return m.data, nil }

func (m *memory) Save(data []byte) error {
	m.data = append([]byte(nil), data...)
	return nil
}
