package transactions

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/rp"
)

// TestNothing: no nil or zero value causes a panic or is accepted.
func TestNothing(t *testing.T) {
	w := newWorld(t, func() *database.DB { return databasetest.Open(t, databasetest.SQLite(t)) })
	niltest.Check(t, niltest.Package{
		Types:     []any{(*Engine)(nil), (*UnusableError)(nil), (*ToSign)(nil)},
		Functions: map[string]any{"New": New},
		May: map[string]string{
			"ToSign.Options":      "it describes what it has",
			"UnusableError.Error": "it is a text",
		},
	})
	var none context.Context
	for _, f := range []func() error{
		func() error { _, err := w.Begin(none, login2(rp.Target{Document: &machineOwn}), w.source); return err },
		func() error { _, err := w.Status(none, "", 0, w.source); return err },
		func() error { return w.CloseAccount(none, nil, machineOwn) },
		func() error { return w.CloseAccount(t.Context(), (*sql.Tx)(nil), machineOwn) },
		func() error { return w.Signed(none, server.Signed{}) },
		func() error { return w.Run(none) },
	} {
		require.Error(t, f())
	}
	require.NoError(t, w.Signed(t.Context(), server.Signed{}), "nobody waits for it")
}

// TestNewRefuses: what cannot work is refused at once.
func TestNewRefuses(t *testing.T) {
	good := func() Config {
		return Config{DB: new(database.DB), Accounts: new(people), Protocol: new(signer), Scheme: scheme, LinkBase: base}
	}
	_, err := New(good())
	require.NoError(t, err)
	for _, bad := range []func(*Config){
		func(c *Config) { c.DB = nil },
		func(c *Config) { c.Accounts = nil },
		func(c *Config) { c.Accounts = (*accounts.Accounts)(nil) },
		func(c *Config) { c.Protocol = nil },
		func(c *Config) { c.Protocol = (*server.Server)(nil) },
		func(c *Config) { c.Scheme = "" },
		func(c *Config) { c.Scheme = "smart|id" },
		func(c *Config) { c.LinkBase = "" },
		func(c *Config) { c.LinkBase = "https://id.example/?x" },
		func(c *Config) { c.Life = 5*time.Minute + 1 },
		func(c *Config) { c.Life = -1 },
		func(c *Config) { c.Life, c.LinkLife = time.Minute, time.Minute+1 },
	} {
		c := good()
		bad(&c)
		_, err := New(c)
		require.ErrorIs(t, err, ErrConfig)
	}
}
