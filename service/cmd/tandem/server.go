package main

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

// The server's folder, mode 0700:
//
//	config.json  what tandem init was told
//	sealer.key   the AES-256 key that seals all below, in hexadecimal; in the HSM if there is one
//	keys.sealed  the challenge key and the HPKE private key, sealed
//	store.db     the records of the keys: shares (sealed), counters
//	audit.log    what happened to the keys, one JSON object a line
const (
	configFile = "config.json"
	sealerFile = "sealer.key"
	keysFile   = "keys.sealed"
	storeFile  = "store.db"
	auditFile  = "audit.log"
)

// keysAAD separates keysFile from what package protocol seals.
const keysAAD = "tandem command v1 server keys"

const challengeKeySize = 32

const (
	composite = "composite"
	twoPrime  = "two-prime"
)

type serverConfig struct {
	Version    int        `json:"version"`
	Shape      string     `json:"shape"`
	DeviceBits int        `json:"device_bits"`
	HSM        *hsmConfig `json:"hsm,omitempty"`
}

// keyBits is the length of the final keys.
func (c serverConfig) keyBits() int {
	if c.Shape == composite {
		return 2 * c.DeviceBits
	}
	return c.DeviceBits
}

func (c serverConfig) check() error {
	switch {
	case c.Version != 1:
		return fmt.Errorf("version %d of a server's folder", c.Version)
	case c.Shape != composite && c.Shape != twoPrime:
		return fmt.Errorf("-shape is %s or %s, not %q", composite, twoPrime, c.Shape)
	case !slices.Contains([]int{2048, 3072, 4096}, c.DeviceBits):
		return fmt.Errorf("-bits is 2048, 3072 or 4096, not %d", c.DeviceBits)
	}
	return nil
}

// vault is what a server has outside its store: the key that seals, and the source of its own RSA keys,
// which is nil for two-prime keys.
type vault struct {
	sealer protocol.Sealer
	keys   protocol.KeySource
	close  func() error
}

// server is an open server folder.
type server struct {
	*protocol.Server
	config serverConfig
	folder string
	close  func() error
}

// createServer makes a server's folder, as one step.
func createServer(ctx context.Context, c *call, folder string, config serverConfig, hsmPIN hsmPIN) (err error) {
	if err := config.check(); err != nil {
		return usagef("%v", err)
	}
	exists := failf("exists", "give another folder with -server, or remove it; without it the keys of its devices sign nothing", "%s exists already", folder)
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return exists
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	folder = filepath.Clean(folder)
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return err
	}
	draft, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(draft))
		}
	}()
	if err := fillServer(ctx, c, draft, &config, hsmPIN); err != nil {
		return err
	}
	// Succeeds for an empty folder only, which a rename replaces on Unix but not everywhere.
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return exists
	}
	if err := os.Rename(draft, folder); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(folder))
}

func fillServer(ctx context.Context, c *call, folder string, config *serverConfig, hsmPIN hsmPIN) (err error) {
	var v *vault
	if config.HSM != nil {
		v, err = createTokenVault(ctx, c, config, hsmPIN)
	} else {
		key := make([]byte, protocol.SealerKeySize)
		rand.Read(key)
		defer clear(key)
		if err := writeNew(filepath.Join(folder, sealerFile), []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
			return err
		}
		v, err = softwareVault(folder, *config)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return err
	}
	seed, err := private.Bytes()
	if err != nil {
		return err
	}
	plain := make([]byte, challengeKeySize, challengeKeySize+len(seed))
	rand.Read(plain)
	plain = append(plain, seed...)
	clear(seed)
	defer clear(plain)
	sealed, err := v.sealer.Seal(ctx, []byte(keysAAD), plain)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(folder, keysFile), sealed, 0o600); err != nil {
		return err
	}
	store, err := bolt.Open(filepath.Join(folder, storeFile), bolt.Options{})
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(folder, configFile), append(text, '\n'), 0o600)
}

func readServerConfig(folder string) (config serverConfig, err error) {
	text, err := os.ReadFile(filepath.Join(folder, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return config, failf("no_server", fmt.Sprintf("tandem init -server %s", folder), "there is no server in %s", folder)
	}
	if err != nil {
		return config, err
	}
	if err = json.Unmarshal(text, &config); err == nil {
		err = config.check()
	}
	if err != nil {
		return config, failf("damaged", "restore the file", "%s: %w", filepath.Join(folder, configFile), err)
	}
	return config, nil
}

// openServer opens the folder that createServer made.
func openServer(ctx context.Context, c *call, folder string, hsmPIN hsmPIN) (_ *server, err error) {
	config, err := readServerConfig(folder)
	if err != nil {
		return nil, err
	}
	var closers []func() error
	shut := func() error {
		var errs []error
		for _, f := range slices.Backward(closers) {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, shut())
		}
	}()
	store, err := bolt.Open(filepath.Join(folder, storeFile), bolt.Options{})
	if err != nil {
		return nil, err
	}
	closers = append(closers, store.Close)
	var v *vault
	if config.HSM != nil {
		v, err = openTokenVault(ctx, c, config, hsmPIN)
	} else {
		v, err = softwareVault(folder, config)
	}
	if err != nil {
		return nil, err
	}
	closers = append(closers, v.close)
	challengeKey, private, err := openKeys(ctx, v.sealer, folder)
	if err != nil {
		return nil, err
	}
	defer clear(challengeKey)
	audit, err := os.OpenFile(filepath.Join(folder, auditFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	closers = append(closers, audit.Close)
	p, err := protocol.NewServer(protocol.Config{
		Store: store, Policy: pinlock.DefaultPolicy(), Keys: v.keys, Sealer: v.sealer,
		HPKE: protocol.HPKEKeys{Current: private}, ChallengeKey: challengeKey,
		Log: slog.New(slog.NewJSONHandler(audit, nil)), Clock: c.clock,
	})
	if err != nil {
		return nil, err
	}
	return &server{p, config, folder, shut}, nil
}

func softwareVault(folder string, config serverConfig) (*vault, error) {
	name := filepath.Join(folder, sealerFile)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key := make([]byte, protocol.SealerKeySize)
	defer clear(key)
	hexed := []byte(strings.TrimSpace(string(text)))
	defer clear(hexed)
	if len(hexed) != hex.EncodedLen(len(key)) {
		return nil, failf("damaged", "restore the file", "%s does not hold %d bytes in hexadecimal", name, len(key))
	}
	if _, err := hex.Decode(key, hexed); err != nil {
		return nil, failf("damaged", "restore the file", "%s is not hexadecimal", name)
	}
	sealer, err := protocol.NewSoftwareSealer(key)
	if err != nil {
		return nil, err
	}
	v := &vault{sealer: sealer, close: func() error { return nil }}
	if config.Shape == composite {
		// One enrolment does not pay for a stock of keys.
		pool, err := protocol.NewKeyPool(config.DeviceBits, 0)
		if err != nil {
			return nil, err
		}
		v.keys, v.close = pool, func() error { pool.Close(); return nil }
	}
	return v, nil
}

func openKeys(ctx context.Context, sealer protocol.Sealer, folder string) (challengeKey []byte, private hpke.PrivateKey, err error) {
	name := filepath.Join(folder, keysFile)
	sealed, err := os.ReadFile(name)
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
