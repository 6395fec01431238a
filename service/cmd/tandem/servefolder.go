package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
)

// The service's folder, mode 0700, where no configuration says otherwise:
//
//	service.json  the configuration, if there is one
//	server/       as "tandem init" makes it
//	ca/           as "tandem ca create" makes it
//	accounts.db   persons, accounts, relying parties, sessions
//	accounts.key  what codes are kept under, in hexadecimal
//	phone.json    what apps are shipped with: nothing of it is secret
//	phones/       of test identities
const (
	serviceFile = "service.json"
	phoneFile   = "phone.json"
	phonesDir   = "phones"
	ignoreFile  = ".gitignore"
)

const defaultDir = "tandem-service"

// serviceFlags are those of every command that works on a service.
type serviceFlags struct{ dir, file string }

func (s *serviceFlags) declare(flags *flag.FlagSet) {
	flags.StringVar(&s.dir, "dir", "", "the service's `folder`; else TANDEM_DIR, else "+defaultDir)
	flags.StringVar(&s.file, "config", "", "`file` with the configuration; else "+serviceFile+" in the folder, if it is there")
}

// read returns the configuration. Paths in it are absolute.
func (s *serviceFlags) read(c *call) (config serviceConfig, err error) {
	if s.dir == "" {
		s.dir = c.env("TANDEM_DIR")
	}
	if s.dir == "" {
		s.dir = defaultDir
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return config, err
	}
	name := s.file
	if name == "" {
		name = filepath.Join(s.dir, serviceFile)
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			name = ""
		}
	}
	if name != "" {
		if config, err = readServiceConfig(name); err != nil {
			return config, err
		}
	}
	config.fill(s.dir)
	return config, nil
}

// make makes what a trial lacks. In production all must be there: a path that is mistyped
// would begin a service anew, with other keys.
func (s *serviceFlags) make(ctx context.Context, c *call, config *serviceConfig) error {
	_, serverErr := os.Stat(filepath.Join(config.Server, configFile))
	_, caErr := os.Stat(config.CA.Folder)
	_, secretErr := os.Stat(config.Secret)
	if err := errors.Join(serverErr, caErr, secretErr); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if config.production() {
		for _, part := range []struct {
			what, next string
			err        error
		}{
			{config.Server, "tandem init -server " + quote(config.Server), serverErr},
			{config.CA.Folder, "tandem help ca", caErr},
			{config.Secret, "openssl rand -hex 32 > " + quote(config.Secret) + ", with mode 0600", secretErr},
		} {
			if part.err != nil {
				return failf("no_server", part.next, "%s is not there, and production makes nothing by itself", part.what)
			}
		}
	}
	if err := disk.MakeFolder(s.dir, folderMode); err != nil {
		return err
	}
	if err := checkFolder(s.dir); err != nil {
		return err
	}
	// Nobody commits it by mistake.
	if err := writeNew(filepath.Join(s.dir, ignoreFile), []byte("*\n"), publicMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if serverErr != nil {
		c.step("making the server's keys")
		if err := createServer(ctx, c, config.Server, serverConfig{Version: configVersion, Shape: composite, ClientBits: 2048}, hsmPIN{}); err != nil {
			return err
		}
	}
	if caErr != nil {
		if err := ca.CreateFolder(config.CA.Folder, ca.Setup{Name: ca.TestName("tandem root")}, ca.Setup{Name: ca.TestName("tandem issuing")}); err != nil {
			return err
		}
	}
	if secretErr != nil {
		key := make([]byte, secretSize)
		rand.Read(key)
		defer clear(key)
		text := append(hex.AppendEncode(nil, key), '\n')
		defer clear(text)
		return writeNew(config.Secret, text, secretMode)
	}
	return nil
}

const secretSize = 32

// readSecret reads a file of 32 bytes or more in hexadecimal, which only its owner may
// read.
func readSecret(name string, least, most int) ([]byte, error) {
	if err := checkSecret(name); err != nil {
		return nil, err
	}
	text, err := readPart(name)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	hexed := bytes.TrimSpace(text)
	key := make([]byte, hex.DecodedLen(len(hexed)))
	if _, err := hex.Decode(key, hexed); err != nil || len(key) < least || len(key) > most {
		clear(key)
		return nil, failf("damaged", "restore the file", "%s does not hold %d bytes or more in hexadecimal", name, least)
	}
	return key, nil
}

// openDatabase opens the database. Without create it must be there.
func openDatabase(ctx context.Context, config serviceConfig, create bool) (*database.DB, error) {
	if file, ok := strings.CutPrefix(config.Database, sqlitePrefix); ok && !create {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, failf("no_server", "start it with tandem serve, or name its folder with -dir", "there is no service in %s", filepath.Dir(file))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	db, err := database.Open(ctx, config.Database, database.Options{})
	if errors.Is(err, database.ErrAddress) {
		return nil, usagef(`"database" is sqlite:FILE or postgres://...`)
	}
	return db, err
}

// writePhoneConfig writes phoneFile anew if it changes.
func writePhoneConfig(dir string, p devicewire.AppConfig) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	name := filepath.Join(dir, phoneFile)
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return disk.Replace(name, text, publicMode)
}

func readPhoneConfig(name string) (p devicewire.AppConfig, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return p, err
	}
	if err = decodeFile(text, &p); err == nil && (p.URL == "" || p.Scheme == "" || len(p.HPKEKey) == 0) {
		err = errors.New("a member is missing")
	}
	if err != nil {
		return p, failf("damaged", "get it from the service anew: "+phoneFile+" in its folder", "%s does not say where a service is: %w", name, err)
	}
	return p, nil
}
