package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/internal/durable"
)

func (a *app) print(r result, asJSON bool) error {
	var b bytes.Buffer
	if asJSON {
		encode := json.NewEncoder(&b)
		encode.SetIndent("", "  ")
		encode.SetEscapeHTML(false)
		if err := encode.Encode(r); err != nil {
			return err
		}
	} else {
		r.text(&b)
	}
	_, err := a.out.Write(b.Bytes())
	return err
}

// publicPEM returns a public key as RFC 5280's SubjectPublicKeyInfo in PEM, and its
// SHA-256 in hexadecimal.
func publicPEM(pub *rsa.PublicKey) (text []byte, fingerprint string, err error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), hex.EncodeToString(sum[:]), nil
}

// checkNew refuses to write where there is something, and where nothing can be written:
// before work is done whose result would be lost. Standard output is always there.
func checkNew(name string) error {
	if name == standard {
		return nil
	}
	if _, err := os.Lstat(name); err == nil {
		return failf("exists", "give another name with -o, or remove it", "%s exists already", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return cannotWrite(name, err)
	}
	probe, err := os.CreateTemp(filepath.Dir(name), ".tandem-*")
	if err != nil {
		return cannotWrite(name, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// cannotWrite is for an output that was given with -o, or derived from FILE.
func cannotWrite(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return failf("exists", "give another name with -o, or remove it", "%s exists already", name)
	}
	return failf("output", "give another name with -o, or make room", "cannot write %s: %w", name, plain(err))
}

// plain is an error of the file system without the name of a draft, which says nothing to
// a person.
func plain(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// disk is the operating system's. Tests fill it.
var disk durable.Disk

// writeNew writes a file that must not exist yet, as one step: it is there whole or not
// at all.
func writeNew(name string, data []byte, mode fs.FileMode) error { return disk.Create(name, data, mode) }
