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
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
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

// publicPEM returns a public key as RFC 5280's SubjectPublicKeyInfo in PEM, and its SHA-256 in hexadecimal.
func publicPEM(pub *rsa.PublicKey) (text []byte, fingerprint string, err error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), hex.EncodeToString(sum[:]), nil
}

// checkNew refuses to write where there is something, and where nothing can be written: before work
// is done whose result would be lost.
func checkNew(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return failf("exists", "give another name with -o, or remove it", "%s exists already", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	probe, err := os.CreateTemp(filepath.Dir(name), ".tandem-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// writeNew writes a file that must not exist yet, as one step: it is there whole or not at all.
func writeNew(name string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, ".tandem-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Unlike a rename a link replaces nothing. Where there are no links, the window is small.
	if err := os.Link(f.Name(), name); err == nil || errors.Is(err, fs.ErrExist) {
		return errors.Join(err, syncFolder(dir))
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes new names in a folder durable. Windows cannot sync a folder; its names are journalled.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
