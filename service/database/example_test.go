package database_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/service/database"
)

// One transaction reads and writes; others see all of it or nothing, and who waits for it
// is woken.
func ExampleDB_Tx() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "database")
	check(err)
	defer os.RemoveAll(folder)
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(folder, "service.db"), database.Options{})
	check(err)
	defer db.Close()
	check(db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO relying_parties (uuid, settings, created) VALUES ($1, '{}', 0)", "a"); err != nil {
			return err
		}
		return db.Notify(ctx, tx, "relying-party", "a")
	}))
	n := 0
	check(db.Wait(ctx, "relying-party", "a", func(ctx context.Context) (bool, error) {
		err := db.Read(ctx, func(tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, "SELECT count(*) FROM relying_parties").Scan(&n)
		})
		return n > 0, err
	}))
	fmt.Println(n)
	// Output: 1
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
