package ca_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/identity"
)

// An authority with its own root issues a certificate, and takes it back.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "ca")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	// Once. Then root.key goes to where it is safe.
	folder := filepath.Join(dir, "ca")
	err = ca.CreateFolder(folder, ca.Setup{Name: ca.TestName("Example Root")}, ca.Setup{Name: ca.TestName("Example EID-Q 1")})
	if err != nil {
		log.Fatal(err)
	}

	// In the service, whose store is a database.
	f, err := ca.OpenFolder(folder, nil)
	if err != nil {
		log.Fatal(err)
	}
	authority, err := ca.New(ca.Config{
		Issuing: f.Issuing, Store: catest.NewMemoryStore(), Profile: ca.CompatProfile(), URL: "http://ca.example/pki",
	})
	if err != nil {
		log.Fatal(err)
	}

	// A person has enrolled a key.
	id, err := identity.ParseID("PNOEE-40504040001")
	if err != nil {
		log.Fatal(err)
	}
	document, err := identity.NewDocument(id, identity.Qualified)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := authority.Issue(ctx, ca.Request{
		Use: ca.Signature, Person: identity.Person{ID: id, Given: "MARI-LIIS", Surname: "MÄNNIK"}, Document: document, Key: key(),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chain[0].Subject.CommonName, chain[0].Subject.SerialNumber)
	fmt.Println(chain[1].Subject.CommonName)

	// The account is deleted.
	fmt.Println(authority.Revoke(ctx, chain[0], ca.CessationOfOperation))
	// Output:
	// MÄNNIK,MARI-LIIS PNOEE-40504040001
	// TEST of Example EID-Q 1
	// <nil>
}
