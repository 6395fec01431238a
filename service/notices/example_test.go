package notices_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/notices"
)

// printer is a sender; a service has SMTP or a Webhook.
type printer struct{}

func (printer) Send(_ context.Context, n notices.Notice) error {
	_, text := notices.English(n)
	fmt.Print(text)
	return nil
}

// A notice is kept in the transaction that it tells of, and sent after it.
func ExampleOutbox() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "notices")
	check(err)
	defer os.RemoveAll(folder)
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(folder, "service.db"), database.Options{})
	check(err)
	defer db.Close()
	outbox, err := notices.NewOutbox(notices.Config{DB: db, Senders: map[string]notices.Sender{"printer": printer{}}})
	check(err)
	check(db.Tx(ctx, func(tx *sql.Tx) error {
		return outbox.Add(ctx, tx, notices.Notice{Kind: notices.AccountEnded, At: began, Name: "MARI MÄND", Document: "PNOEE-40504040001-7TRE-Q"})
	}))
	check(outbox.Deliver(ctx)) // a service has Run in the background
	// Output:
	// MARI MÄND
	//
	// Your account has ended. It can no longer be used.
	//
	// Account: PNOEE-40504040001-7TRE-Q
	// Time: 1 March 2027, 12:00 UTC
	//
	// If this was not you, end the account with its revocation code, or ask us to.
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
