//go:build cgo && unix && !nopkcs11

package hsm_test

import (
	"context"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// module is where Debian keeps SoftHSM 2.
var module = "/usr/lib/softhsm/libsofthsm2.so"

func open(ctx context.Context) *hsm.Token {
	token, err := hsm.Open(ctx, hsm.Config{
		Module: module,
		Label:  "tandem-test",
		PIN:    func(context.Context) ([]byte, error) { return []byte("1234"), nil },
	})
	if err != nil {
		panic(err)
	}
	return token
}

// A token is opened once and kept. The PIN comes from a callback, since it is
// needed again whenever the token was away.
func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	token, err := hsm.Open(ctx, hsm.Config{
		Module: module,
		Label:  "tandem-test",
		// In earnest the PIN comes from a secret store.
		PIN:    func(context.Context) ([]byte, error) { return []byte("1234"), nil },
		Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err) // errors.Is(err, hsm.ErrPIN) and so on
	}
	fmt.Println(token.Capabilities().Wrap, token.Capabilities().Seal)
	if err := token.Close(ctx); err != nil {
		panic(err)
	}
}

// A key of the token signs; it never leaves.
func ExampleKey() {
	ctx := context.Background()
	token := open(ctx)
	defer token.Close(ctx)
	key, err := token.GenerateKey(ctx, "server key", 2048) // later: token.Key
	if err != nil {
		panic(err)
	}
	x := make([]byte, key.Public().(*rsa.PublicKey).Size())
	x[len(x)-1] = 2
	y, err := key.Exponentiate(ctx, x) // x^d mod n
	if err != nil {
		panic(err)
	}
	fmt.Println(len(y))
}

// Keys for millions of users are stored outside, wrapped.
func ExampleServerKeys() {
	ctx := context.Background()
	token := open(ctx)
	defer token.Close(ctx)
	if err := token.GenerateWrappingKey(ctx, "wrap"); err != nil { // once
		panic(err)
	}
	keys, err := token.ServerKeys(ctx, "wrap", 2048, 1)
	if err != nil {
		panic(err)
	}
	defer keys.Close()
	key, blob, err := keys.NewKey(ctx) // store the blob with the user
	if err != nil {
		panic(err)
	}
	same, err := keys.LoadKey(ctx, blob)
	if err != nil {
		panic(err)
	}
	fmt.Println(key.Public().(*rsa.PublicKey).Equal(same.Public()))
}

// What the database holds is sealed, each record for its own user.
func ExampleSealer() {
	ctx := context.Background()
	token := open(ctx)
	defer token.Close(ctx)
	sealer, err := token.GenerateSealingKey(ctx, "shares") // later: token.Sealer
	if err != nil {
		panic(err)
	}
	sealed, err := sealer.Seal(ctx, []byte("user 1"), []byte("a share"))
	if err != nil {
		panic(err)
	}
	share, err := sealer.Open(ctx, []byte("user 1"), sealed)
	if err != nil {
		panic(err)
	}
	_, err = sealer.Open(ctx, []byte("user 2"), sealed)
	fmt.Printf("%s; %v\n", share, err)
}

// The examples need a token, so a test runs them.
func TestExamples(t *testing.T) {
	for name, example := range map[string]func(){
		"Open": ExampleOpen, "Key": ExampleKey, "ServerKeys": ExampleServerKeys,
		"Sealer": ExampleSealer,
	} {
		t.Run(name, func(t *testing.T) {
			module = hsmtest.SoftHSM(t).Module
			example()
		})
	}
}
