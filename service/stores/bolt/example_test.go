package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "tandem")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "keys.db"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	ctx := context.Background()
	if err := store.Create(ctx, "key 7", []byte("a record")); err != nil {
		log.Fatal(err)
	}
	_, version, err := store.Load(ctx, "key 7")
	if err != nil {
		log.Fatal(err)
	}
	// Swap returns when the value is on disk.
	fmt.Println(store.Swap(ctx, "key 7", version, []byte("another")))
	fmt.Println(errors.Is(store.Swap(ctx, "key 7", version, []byte("a third")), limiter.ErrConflict))
	// Output:
	// <nil>
	// true
}
