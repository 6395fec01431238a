package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-rsa/tandem/internal/durable"
)

// Setup says what [CreateFolder] makes.
type Setup struct {
	Root, Issuing Name
	// RSA makes keys of 4096 bits in place of ECDSA on P-384.
	RSA bool
}

// Folder is a root and its issuing CAs, from files.
type Folder struct {
	Root    *x509.Certificate
	Issuing []Issuing // the newest first, as [Config] wants them
}

const (
	rootName    = "root"
	issuingName = "issuing-"
	certExt     = ".crt"
	keyExt      = ".key"

	publicMode  = 0o644
	privateMode = 0o600

	maxPEM = 64 << 10
)

var disk durable.Disk

// CreateFolder makes a root and an issuing CA, and writes them to a new folder, which
// appears whole or not at all: root.crt, root.key, issuing-1.crt and issuing-1.key, in
// PEM. The keys are not encrypted; nobody but the owner may read them. [OpenFolder] does
// without root.key: move it to where it is safe. The error wraps fs.ErrExist if the
// folder exists.
func CreateFolder(folder string, s Setup) (err error) {
	for _, n := range []Name{s.Root, s.Issuing} {
		if err := n.check(); err != nil {
			return err
		}
	}
	if bytes.Equal(nameOf(s.Root), nameOf(s.Issuing)) {
		return fmt.Errorf("%w: root and issuing CA have one name", ErrConfig)
	}
	if _, err := os.Lstat(folder); err == nil {
		return fmt.Errorf("ca: %s: %w", folder, fs.ErrExist)
	}
	draft, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".new-*")
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(draft))
		}
	}()
	rootSigner, err := newSigner(s.RSA)
	if err != nil {
		return err
	}
	root, err := NewRoot(rootSigner, s.Root)
	if err != nil {
		return err
	}
	if err := writePair(draft, rootName, root, rootSigner); err != nil {
		return err
	}
	if err := writeIssuing(draft, 1, root, rootSigner, s.Issuing, s.RSA); err != nil {
		return err
	}
	// If somebody made the folder meanwhile, and put something in it, this fails.
	return disk.Rename(draft, folder)
}

func nameOf(n Name) []byte {
	der, err := n.encode()
	if err != nil {
		return nil
	}
	return der
}

// AddIssuing makes another issuing CA in a folder, for which root.key must be there. It
// issues from the next [OpenFolder] on; the older ones go on with their CRLs and OCSP.
// The error wraps fs.ErrExist if somebody else added one at the same time.
func AddIssuing(folder string, name Name, useRSA bool) error {
	f, err := OpenFolder(folder)
	if err != nil {
		return err
	}
	rootSigner, err := readKey(filepath.Join(folder, rootName+keyExt))
	if err != nil {
		return err
	}
	for _, i := range f.Issuing {
		if bytes.Equal(i.Certificate.RawSubject, nameOf(name)) {
			return fmt.Errorf("%w: an issuing CA has this name already", ErrConfig)
		}
	}
	numbers, err := numbersIn(folder)
	if err != nil {
		return err
	}
	return writeIssuing(folder, numbers[0]+1, f.Root, rootSigner, name, useRSA)
}

// OpenFolder reads what CreateFolder and AddIssuing wrote. It refuses a key that others
// may read.
func OpenFolder(folder string) (*Folder, error) {
	f := &Folder{}
	var err error
	if f.Root, err = readCertificate(filepath.Join(folder, rootName+certExt)); err != nil {
		return nil, err
	}
	numbers, err := numbersIn(folder)
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		name := filepath.Join(folder, issuingName+strconv.Itoa(n))
		c, err := readCertificate(name + certExt)
		if err != nil {
			return nil, err
		}
		if err := c.CheckSignatureFrom(f.Root); err != nil {
			return nil, fmt.Errorf("ca: %s is not of the root beside it: %w", name+certExt, err)
		}
		key, err := readKey(name + keyExt)
		if err != nil {
			return nil, err
		}
		i := Issuing{Certificate: c, Signer: key}
		if err := i.check(false); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		f.Issuing = append(f.Issuing, i)
	}
	return f, nil
}

// numbersIn returns the numbers of the issuing CAs, the newest first. A certificate is
// written after its key, so that whatever has a certificate is whole.
func numbersIn(folder string) ([]int, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	var numbers []int
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), issuingName)
		name, ok2 := strings.CutSuffix(name, certExt)
		if n, err := strconv.Atoi(name); ok && ok2 && err == nil && n > 0 && strconv.Itoa(n) == name {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		return nil, fmt.Errorf("ca: there is no issuing CA in %s", folder)
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	return numbers, nil
}

func newSigner(useRSA bool) (crypto.Signer, error) {
	if useRSA {
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
}

func writeIssuing(folder string, number int, root *x509.Certificate, rootSigner crypto.Signer, name Name, useRSA bool) error {
	signer, err := newSigner(useRSA)
	if err != nil {
		return err
	}
	c, err := NewIssuing(root, rootSigner, signer.Public(), name)
	if err != nil {
		return err
	}
	return writePair(folder, issuingName+strconv.Itoa(number), c, signer)
}

func writePair(folder, name string, c *x509.Certificate, signer crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	// A crash leaves a key without its certificate, which nobody has used: it is
	// overwritten.
	key := filepath.Join(folder, name+keyExt)
	if _, err := os.Lstat(filepath.Join(folder, name+certExt)); err == nil {
		return fmt.Errorf("ca: %s: %w", name+certExt, fs.ErrExist)
	}
	if err := disk.Replace(key, text, privateMode); err != nil {
		return err
	}
	return disk.Create(filepath.Join(folder, name+certExt), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), publicMode)
}

// readPEM reads a file of exactly one block.
func readPEM(name, kind string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPEM {
		return nil, fmt.Errorf("ca: %s is not a PEM file", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	defer clear(text)
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("ca: %s is not one PEM block of a %s", name, kind)
	}
	return block.Bytes, nil
}

func readCertificate(name string) (*x509.Certificate, error) {
	der, err := readPEM(name, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %s: %w", name, err)
	}
	return c, nil
}

func readKey(name string) (crypto.Signer, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("ca: others may read or write %s (mode %04o): chmod 600", name, info.Mode().Perm())
	}
	der, err := readPEM(name, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %s is not a private key", name)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("ca: %s is not a key that signs", name)
	}
	return signer, nil
}
