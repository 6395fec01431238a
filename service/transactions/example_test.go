package transactions_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// A relying party asks for a login, and asks for its status until it has ended. There is
// no such person here.
func ExampleEngine() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "service")
	check(err)
	defer os.RemoveAll(folder)
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(folder, "service.db"), database.Options{})
	check(err)
	defer db.Close()
	secrets, err := servicetest.NewSecrets()
	check(err)
	service, err := servicetest.Open(servicetest.Config{DB: db, Secrets: secrets}) // see New and Config for its parts
	check(err)
	var engine *transactions.Engine = service.Engine
	go func() { _ = engine.Run(ctx) }() // ends what has no more time
	check(service.Accounts.SetRelyingParty(ctx, accounts.RelyingParty{
		UUID: servicetest.Party, Names: []string{"DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}))

	digest := sha256.Sum256([]byte("a random challenge"))
	session, err := engine.Begin(ctx, rp.Request{
		Version: rp.V2, Kind: rp.Authentication, Flow: rp.Notification, Target: rp.Target{Person: &servicetest.Mari.ID},
		RelyingPartyUUID: servicetest.Party, RelyingPartyName: "DEMO", Level: rp.LevelQualified,
		Digest: digest[:], Algorithm: rp.Algorithm{Hash: crypto.SHA256},
		Interactions: []rp.Interaction{{Type: rp.DisplayTextAndPIN, Text: "Log in"}},
	}, servicetest.Source)
	if err == nil {
		status, err := engine.Status(ctx, session.ID, time.Minute, servicetest.Source)
		check(err)
		fmt.Println(status.Outcome.End)
	}
	fmt.Println(err)
	// Output: rp: no such account
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
