package tokenkeeper_test

import (
	"context"
	"log"
	"os"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
	"github.com/tandem-rsa/tandem/service/stores/watermark/tokenkeeper"
)

// A store under a mark that is in a token. The first time, watermark.Create comes before
// watermark.Open.
func Example() {
	ctx := context.Background()
	token, err := hsm.Open(ctx, hsm.Config{
		Module: "/usr/lib/softhsm/libsofthsm2.so", Label: "tandem",
		PIN: func(context.Context) ([]byte, error) { return os.ReadFile("/run/credentials/pin") },
	})
	if err != nil {
		log.Fatal(err)
	}
	keeper, err := tokenkeeper.New(token, "node 1")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open("/var/lib/tandem/store.db", bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	node, err := watermark.Open(ctx, store, keeper, watermark.Options{})
	if err != nil {
		log.Fatal(err) // watermark.ErrWentBack: recover the store
	}
	defer node.Close() // for server.Config.Store
}
