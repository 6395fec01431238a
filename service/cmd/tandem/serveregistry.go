package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/notices"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// registry is what the commands beside "serve" work on: the database of a service, which
// may be running. The keys of accounts and the CA are the running service's.
type registry struct {
	*accounts.Accounts
	shut func() error
}

// errElsewhere is what the parts say that only a running service has.
var errElsewhere = errors.New("the running service does that")

func (s *serviceFlags) registry(ctx context.Context, c *call) (*registry, error) {
	config, err := s.read(c)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, config, false)
	if err != nil {
		return nil, err
	}
	a, err := config.registry(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &registry{a, db.Close}, nil
}

// with opens the registry for as long as work runs.
func (s *serviceFlags) with(ctx context.Context, c *call, work func(*registry) error) error {
	r, err := s.registry(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(work(r), r.shut())
}

func (c serviceConfig) registry(db *database.DB) (*accounts.Accounts, error) {
	secret, err := readSecret(c.Secret, secretSize, secretSize)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	senders, err := c.Notices.senders() // whose names are in the database with each notice
	if err != nil {
		return nil, err
	}
	outbox, err := notices.NewOutbox(notices.Config{DB: db, Senders: senders})
	if err != nil {
		return nil, err
	}
	a, err := accounts.New(accounts.Config{DB: db, Keys: elsewhere{}, Issuer: issuer{}, Secret: secret, Notices: outbox, Quotas: c.Quotas.quotas()})
	if err != nil {
		return nil, err
	}
	// It closes what an account has open when the account ends.
	engine, err := transactions.New(transactions.Config{DB: db, Accounts: a, Protocol: elsewhere{}, Scheme: c.Scheme, LinkBase: "https://elsewhere.example"})
	if err != nil {
		return nil, err
	}
	pushes, err := push.New(push.Config{DB: db})
	if err != nil {
		return nil, err
	}
	a.OnEnd(engine.CloseAccount)
	a.OnEnd(pushes.CloseAccount)
	return a, nil
}

// elsewhere stands for the server and the CA, which a running service has.
type elsewhere struct{}

var (
	_ accounts.Keys         = elsewhere{}
	_ transactions.Protocol = elsewhere{}
	_ ca.Issuer             = issuer{}
)

func (elsewhere) ChallengeEnroll(context.Context) (protocol.KeyID, []byte, error) {
	return protocol.KeyID{}, nil, errElsewhere
}

func (elsewhere) ChallengeSign(context.Context, protocol.KeyID, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errElsewhere
}

func (elsewhere) Status(context.Context, protocol.KeyID) (*server.KeyStatus, error) {
	return nil, errElsewhere
}
func (elsewhere) Handle(context.Context, []byte) ([]byte, error)       { return nil, errElsewhere }
func (elsewhere) Revoke(context.Context, protocol.KeyID, string) error { return errElsewhere }

// issuer is elsewhere as a CA.
type issuer struct{}

func (issuer) Issue(context.Context, ca.Request) ([]*x509.Certificate, error) {
	return nil, errElsewhere
}
func (issuer) Revoke(context.Context, *x509.Certificate, ca.Reason) error { return errElsewhere }
