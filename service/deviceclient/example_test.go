package deviceclient_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
)

// A phone enrols with the registrar's code, and logs in where a relying party asks.
func ExamplePhone() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "phone")
	check(err)
	defer os.RemoveAll(folder)
	service, url, code := startService(ctx, folder)

	config := deviceclient.Config{URL: url, Token: deviceclient.NewToken(), Scheme: servicetest.Scheme} // the token is kept
	for name, d := range map[string]*device.Config{"authentication": &config.Authentication, "signature": &config.Signature} {
		storage, err := device.NewFileStorage(filepath.Join(folder, name))
		check(err)
		*d = device.Config{Storage: storage, HPKEKey: service.Server.HPKEKey(), Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}}
	}
	phone, err := deviceclient.New(config)
	check(err)
	pins := deviceclient.PINs{Authentication: []byte("4917"), Signature: []byte("83015")}
	_, err = phone.Enrol(ctx, code, "My phone", pins) // it has the revocation code, which is shown once
	check(err)

	session, err := service.Engine.Begin(ctx, login2(rp.DisplayTextAndPIN), servicetest.Source) // the relying party's
	check(err)
	pending, err := phone.Poll(ctx, nil, time.Minute)
	check(err)
	transaction, err := phone.Open(ctx, pending)
	check(err)
	fmt.Println(transaction.RelyingParty, "asks:", transaction.Interaction.Text)
	check(transaction.Sign(ctx, pins.Authentication))

	status, err := service.Engine.Status(ctx, session.ID, 0, servicetest.Source)
	check(err)
	fmt.Println(status.Outcome.End)
	// Output:
	// DEMO asks: Log in
	// OK
}

// startService starts a service with one relying party, and registers a person.
func startService(ctx context.Context, folder string) (s *servicetest.Service, url, code string) {
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(folder, "service.db"), database.Options{})
	check(err)
	secrets, err := servicetest.NewSecrets()
	check(err)
	s, err = servicetest.Open(servicetest.Config{DB: db, Secrets: secrets})
	check(err)
	check(s.Accounts.SetRelyingParty(ctx, accounts.RelyingParty{
		UUID: servicetest.Party, Names: []string{"DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}))
	r, err := s.Accounts.Register(ctx, accounts.Registration{Person: servicetest.Mari, Level: identity.Qualified})
	check(err)
	return s, httptest.NewServer(s.Handler).URL, r.Code
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
