package accounts_test

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/sqlstore"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/identity"
)

// How the parts of a service fit together, and what a registrar and a phone do first.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "accounts")
	check(err)
	defer os.RemoveAll(folder)
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(folder, "service.db"), database.Options{})
	check(err)
	defer db.Close()

	// The sink is made before the server, and the server before the accounts, which say
	// in turn whether a PIN may be tried.
	events, err := accounts.NewEvents(db, nil, nil)
	check(err)
	var a *accounts.Accounts
	sealer, err := server.NewSoftwareSealer(random(server.SealerKeySize))
	check(err)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	check(err)
	srv, err := server.New(server.Config{
		Store: new(storetest.MemoryStore), // a real one is a file or a database
		Audit: events,
		Admit: func(ctx context.Context, id protocol.KeyID, op protocol.Operation) error {
			return a.Admit(ctx, id, op)
		},
		Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: server.HPKEKeys{Current: private}, ChallengeKey: random(32),
	})
	check(err)
	issued, err := sqlstore.New(db)
	check(err)
	check(ca.CreateFolder(filepath.Join(folder, "ca"), ca.Setup{Name: ca.TestName("root")}, ca.Setup{Name: ca.TestName("issuing")}))
	keys, err := ca.OpenFolder(filepath.Join(folder, "ca"), nil)
	check(err)
	authority, err := ca.New(ca.Config{Issuing: keys.Issuing, Store: issued, Profile: ca.CompatProfile(), URL: "http://ca.example/pki"})
	check(err)
	a, err = accounts.New(accounts.Config{
		DB: db, Keys: srv, Issuer: authority, Issued: issued, Secret: random(32), Quotas: accounts.DefaultQuotas(),
	})
	check(err)
	// A service has a.Run in the background.

	registered, err := a.Register(ctx, accounts.Registration{
		Person: identity.Person{ID: identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"}, Given: "MARI", Surname: "MÄND"},
		Level:  identity.Qualified,
	})
	check(err)
	enrolment, err := a.Begin(ctx, registered.Code, accounts.NewToken(), "Mari's phone", "192.0.2.7")
	check(err)
	// The phone enrols and confirms both keys, and calls Finish.
	fmt.Println(len(registered.Code), enrolment.Person.CommonName(), len(enrolment.Offers[0].Challenge), len(enrolment.Offers[1].Challenge))
	// Output: 14 MÄND,MARI 146 146
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
