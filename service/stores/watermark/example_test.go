package watermark_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// A store is put into service with a mark, an older copy turns up in its place, and an
// operator recovers it. Errors that do not matter here are left out.
func Example() {
	ctx := context.Background()
	folder, _ := os.MkdirTemp("", "mark") // on another disk than the store
	defer os.RemoveAll(folder)
	keeper, _ := watermark.OpenFile(filepath.Join(folder, "mark"))
	defer keeper.Close()

	store := new(storetest.MemoryStore)
	_ = watermark.Create(ctx, store, keeper)
	node, _ := watermark.Open(ctx, store, keeper, watermark.Options{}) // for server.Config.Store
	_ = node.Create(ctx, "key/1", []byte("counted"))
	_ = node.Close()

	older := new(storetest.MemoryStore) // which has nothing of all that
	_, err := watermark.Open(ctx, older, keeper, watermark.Options{})
	fmt.Println("refused:", errors.Is(err, watermark.ErrWentBack))

	r, _ := watermark.BeginRecovery(ctx, keeper, time.Now())
	// For each key of the store:
	// srv.Recover(ctx, id, server.Recovery{Began: r.Began(), ...})
	_ = r.Finish(ctx, older)
	node, err = watermark.Open(ctx, older, keeper, watermark.Options{})
	fmt.Println("taken:", err == nil)
	_ = node.Close()
	// Output:
	// refused: true
	// taken: true
}
