package main

import (
	"bytes"
	"context"
	"crypto/hpke"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

// The server's folder, mode 0700:
//
//	config.json  what tandem init was told
//	sealer.key   the AES-256 key that seals all below, in hexadecimal; none with an HSM
//	keys.sealed  the challenge key and the HPKE private key, sealed
//	store.db     the records of the keys: shares (sealed), counters; unless -store says
//	             another place
//	store.mark   how far the store has come; unless -mark says another place
//	audit.log    what happened to the keys, one JSON object a line
const (
	configFile = "config.json"
	sealerFile = "sealer.key"
	keysFile   = "keys.sealed"
	storeFile  = "store.db"
	auditFile  = "audit.log"
)

// keysAAD separates keysFile from what package server seals.
const keysAAD = "tandem command v1 server keys"

const challengeKeySize = 32

const (
	composite = "composite"
	twoPrime  = "two-prime"
)

// configVersion is the version of a server's folder.
const configVersion = 2

type serverConfig struct {
	Version    int        `json:"version"`
	Shape      string     `json:"shape"`
	ClientBits int        `json:"client_bits"`
	HSM        *hsmConfig `json:"hsm,omitempty"`
	Store      string     `json:"store,omitempty"` // as -store
	Mark       string     `json:"mark,omitempty"`  // a file, or token:LABEL
}

// keyBits is the length of the final keys.
func (c serverConfig) keyBits() int {
	if c.Shape == composite {
		return 2 * c.ClientBits
	}
	return c.ClientBits
}

func (c serverConfig) check() error {
	switch {
	case c.Version != configVersion:
		return fmt.Errorf("version %d of a server's folder", c.Version)
	case c.Shape != composite && c.Shape != twoPrime:
		return fmt.Errorf("-shape is %s or %s, not %q", composite, twoPrime, c.Shape)
	case !slices.Contains([]int{2048, 3072, 4096}, c.ClientBits):
		return fmt.Errorf("-bits is 2048, 3072 or 4096, not %d", c.ClientBits)
	case strings.HasPrefix(c.Mark, inToken) && c.HSM == nil:
		return errors.New("the mark is in a token, and the server has none")
	}
	return nil
}

// vault is what a server has outside its store: the key that seals, and the source of
// server keys, which is nil for two-prime keys.
type vault struct {
	sealer server.Sealer
	keys   server.KeySource
	token  *hsm.Token // nil without one
	close  func() error
	// undo removes what was made outside the folder for a server that failed to be. It
	// returns the cause, and what is left.
	undo func(cause error) error
}

// backend is a server's folder without its store, which is opened while the server has
// work to do, and not while a person is asked for a PIN.
type backend struct {
	config       serverConfig
	engine       engine
	folder       string
	vault        *vault
	challengeKey []byte
	private      hpke.PrivateKey

	// signed is given each signature before the device is, if not nil.
	signed func(context.Context, server.Signed) error
}

func readServerConfig(folder string) (config serverConfig, err error) {
	text, err := os.ReadFile(filepath.Join(folder, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return config, failf("no_server", "tandem init -server "+quote(folder), "there is no server in %s", folder)
	}
	if err != nil {
		return config, err
	}
	if err = decodeFile(text, &config); err == nil {
		err = config.check()
	}
	if err != nil {
		return config, failf("damaged", "restore the file", "%s: %w", filepath.Join(folder, configFile), err)
	}
	return config, nil
}

// demand is how much a process wants of a server's parts: sessions of a token, and keys
// that are ready before an enrolment asks for one.
type demand struct{ sessions, stock int }

// oneRun is enough for a command: one enrolment does not pay for a stock of keys.
var oneRun = demand{sessions: 1}

// openBackend opens the folder that createServer made, for a command. What becomes of a
// token is in the log of events.
func openBackend(ctx context.Context, c *call, folder string, hsmPIN hsmPIN) (*backend, error) {
	log := &laterLog{name: filepath.Join(folder, auditFile)}
	b, err := openBackendFor(ctx, c, folder, hsmPIN, oneRun, logOf(log))
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	shut := b.vault.close
	b.vault.close = func() error { return errors.Join(shut(), log.Close()) }
	return b, nil
}

func openBackendFor(ctx context.Context, c *call, folder string, hsmPIN hsmPIN, d demand, log *slog.Logger) (*backend, error) {
	config, err := readServerConfig(folder)
	if err != nil {
		return nil, err
	}
	if err := checkFolder(folder); err != nil {
		return nil, err
	}
	// Before anybody is asked for a PIN.
	at, err := parseEngine(config.Store)
	if err != nil {
		return nil, err
	}
	if err := at.exists(folder); err != nil {
		return nil, err
	}
	var v *vault
	if config.HSM != nil {
		v, err = openTokenVault(ctx, c, config, hsmPIN, d, log)
	} else {
		v, err = softwareVault(folder, config, d)
	}
	if err != nil {
		return nil, err
	}
	b := &backend{config: config, engine: at, folder: folder, vault: v}
	if b.challengeKey, b.private, err = openKeys(ctx, v.sealer, folder); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return b, nil
}

func (b *backend) close() error {
	clear(b.challengeKey)
	return b.vault.close()
}

// hpkeKey is the public key that requests are encrypted to.
func (b *backend) hpkeKey() []byte { return b.private.PublicKey().Bytes() }

// open opens the store and starts the server. Nobody else can use the mark, and a store
// in a file, until shut is called.
func (b *backend) open(ctx context.Context, c *call) (srv *server.Server, shut func() error, err error) {
	if err := b.engine.exists(b.folder); err != nil {
		return nil, nil, err
	}
	audit, err := disk.OpenLog(b.path(auditFile), secretMode)
	if err != nil {
		return nil, nil, err
	}
	store, err := b.openMarked(ctx, logOf(audit))
	if err != nil {
		return nil, nil, errors.Join(err, audit.Close())
	}
	return b.start(c, store, audit, func() error { return errors.Join(store.Close(), audit.Close()) })
}

// openCopy starts a server over a copy of the store, which only its owner can read and
// which goes when the server is closed: to look at a folder that cannot be written. A
// store on other machines needs no copy.
func (b *backend) openCopy(ctx context.Context, c *call) (srv *server.Server, shut func() error, err error) {
	if !b.engine.isFile() {
		store, err := b.engine.open(ctx, b.folder)
		if err != nil {
			return nil, nil, err
		}
		return b.start(c, store, io.Discard, store.Close)
	}
	folder, err := os.MkdirTemp("", "tandem-*")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(folder) }
	name := filepath.Join(folder, storeFile)
	err = disk.CreateFrom(name, func(f *os.File) error { return bolt.BackupFile(ctx, b.engine.file(b.folder), f) }, secretMode)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	store, err := bolt.Open(name, bolt.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return b.start(c, store, io.Discard, func() error { return errors.Join(store.Close(), remove()) })
}

func (b *backend) path(name string) string { return filepath.Join(b.folder, name) }

func (b *backend) start(c *call, store limiter.Store, audit io.Writer, shut func() error) (*server.Server, func() error, error) {
	config := b.parts(c, store, audit)
	config.Signed = b.signed
	srv, err := server.New(config)
	if err != nil {
		return nil, nil, errors.Join(err, shut())
	}
	return srv, shut, nil
}

// parts are what any server of this folder has.
func (b *backend) parts(c *call, store limiter.Store, audit io.Writer) server.Config {
	log := slog.NewJSONHandler(audit, nil)
	return server.Config{
		Store: store, Policy: limiter.DefaultPolicy(), Keys: b.vault.keys, Sealer: b.vault.sealer,
		HPKE: server.HPKEKeys{Current: b.private}, ChallengeKey: b.challengeKey,
		Audit: server.NewAuditLog(log), Log: slog.New(log), Clock: c.clock,
	}
}

func logOf(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// with starts the server for as long as work runs.
func (b *backend) with(ctx context.Context, c *call, work func(*server.Server) error) error {
	srv, shut, err := b.open(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(work(srv), shut())
}

func softwareVault(folder string, config serverConfig, d demand) (*vault, error) {
	name := filepath.Join(folder, sealerFile)
	if err := checkSecret(name); err != nil {
		return nil, err
	}
	text, err := readPart(name)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key := make([]byte, server.SealerKeySize)
	defer clear(key)
	hexed := bytes.TrimSpace(text)
	if len(hexed) != hex.EncodedLen(len(key)) {
		return nil, failf("damaged", "restore the file", "%s does not hold %d bytes in hexadecimal", name, len(key))
	}
	if _, err := hex.Decode(key, hexed); err != nil {
		return nil, failf("damaged", "restore the file", "%s is not hexadecimal", name)
	}
	sealer, err := server.NewSoftwareSealer(key)
	if err != nil {
		return nil, err
	}
	v := &vault{sealer: sealer, close: func() error { return nil }, undo: func(cause error) error { return cause }}
	if config.Shape == composite {
		pool, err := server.NewKeyPool(config.ClientBits, d.stock)
		if err != nil {
			return nil, err
		}
		v.keys, v.close = pool, func() error { pool.Close(); return nil }
	}
	return v, nil
}

// readPart reads a file that a server cannot be without.
func readPart(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failf("damaged", "restore the file", "%s is missing", name)
	}
	return text, err
}

func openKeys(ctx context.Context, sealer server.Sealer, folder string) (challengeKey []byte, private hpke.PrivateKey, err error) {
	name := filepath.Join(folder, keysFile)
	sealed, err := readPart(name)
	if err != nil {
		return nil, nil, err
	}
	plain, err := sealer.Open(ctx, []byte(keysAAD), sealed)
	if err != nil {
		return nil, nil, failf("damaged", "put back the file and the key it was sealed under", "%s: %w", name, err)
	}
	if len(plain) < challengeKeySize {
		return nil, nil, failf("damaged", "restore the file", "%s is too short", name)
	}
	private, err = hpke.MLKEM768X25519().NewPrivateKey(plain[challengeKeySize:])
	clear(plain[challengeKeySize:])
	return plain[:challengeKeySize], private, err
}
