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
	"github.com/tandem-rsa/tandem/internal/isnil"
)

// Setup says how to make one CA in a folder.
type Setup struct {
	Name Name
	// Years is how long it is valid; 0 means 25 for a root and 12 for an issuing CA.
	Years int
	// RSA makes a key of 4096 bits in place of one for ECDSA on P-384.
	RSA bool
	// Key makes or finds a key that is elsewhere, such as in an HSM. It is called when
	// all else is well. nil: the folder is to have a new key.
	Key func() (Elsewhere, error)
}

// Elsewhere is a key that is not in the folder. The folder has the reference, by which
// whoever opens it finds the key: see [OpenFolder].
type Elsewhere struct {
	Signer    crypto.Signer
	Reference []byte // up to 64 KiB of text; it is not secret
}

// Check returns what CreateFolder and AddIssuing would refuse of it: ErrConfig.
func (s Setup) Check() error {
	if err := s.Name.check(); err != nil {
		return err
	}
	if s.Years < 0 || s.Years > maxYears {
		return fmt.Errorf("%w: a CA for %d years", ErrConfig, s.Years)
	}
	return nil
}

// Folder is a root and its issuing CAs, from files.
type Folder struct {
	Root    *x509.Certificate
	Issuing []Issuing // the newest first, as [Config] wants them

	names []string // of Issuing, without an extension
}

const (
	rootName    = "root"
	issuingName = "issuing-"
	certExt     = ".crt"
	keyExt      = ".key"
	refExt      = ".ref"

	publicMode  = 0o644
	privateMode = 0o600

	maxFile = 64 << 10
)

var disk durable.Disk

// CreateFolder makes a root and an issuing CA, and writes them to a new folder, which
// appears whole or not at all: root.crt, root.key, issuing-1.crt and issuing-1.key, in
// PEM. The keys are not encrypted; nobody but the owner may read them. In place of a key
// that is elsewhere there is its reference, root.ref or issuing-1.ref. [OpenFolder] does
// without root.key: move it to where it is safe. The error wraps fs.ErrExist if the
// folder exists, and ErrConfig for what is not acceptable.
func CreateFolder(folder string, root, issuing Setup) (err error) {
	for _, s := range []Setup{root, issuing} {
		if err := s.Check(); err != nil {
			return err
		}
	}
	if bytes.Equal(nameOf(root.Name), nameOf(issuing.Name)) {
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
	key, err := root.key()
	if err != nil {
		return err
	}
	c, err := NewRoot(key.Signer, root.Name, root.Years)
	if err != nil {
		return err
	}
	if err := key.write(draft, rootName, c); err != nil {
		return err
	}
	if err := writeIssuing(draft, 1, c, key.Signer, issuing); err != nil {
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

// AddIssuing makes another issuing CA in a folder, for which the root's key must be
// there, or elsewhere for open to find. It issues from the next [OpenFolder] on; the
// older ones go on with their CRLs and OCSP. The error wraps fs.ErrExist if somebody else
// added one at the same time.
func AddIssuing(folder string, s Setup, open Opener) error {
	if err := s.Check(); err != nil {
		return err
	}
	f, err := ReadFolder(folder)
	if err != nil {
		return err
	}
	rootSigner, err := keyOf(filepath.Join(folder, rootName), open)
	if err != nil {
		return err
	}
	for _, i := range f.Issuing {
		if bytes.Equal(i.Certificate.RawSubject, nameOf(s.Name)) {
			return fmt.Errorf("%w: an issuing CA has this name already", ErrConfig)
		}
	}
	numbers, err := numbersIn(folder)
	if err != nil {
		return err
	}
	return writeIssuing(folder, numbers[0]+1, f.Root, rootSigner, s)
}

// Opener finds a key that is elsewhere by its reference.
type Opener func(reference []byte) (crypto.Signer, error)

// OpenFolder reads what CreateFolder and AddIssuing wrote. It refuses a key that others
// may read. Keys of issuing CAs that are elsewhere are open's to find; it may be nil if
// there is none.
func OpenFolder(folder string, open Opener) (*Folder, error) {
	f, err := ReadFolder(folder)
	if err != nil {
		return nil, err
	}
	for i := range f.Issuing {
		if f.Issuing[i].Signer, err = keyOf(f.names[i], open); err != nil {
			return nil, err
		}
		if err := f.Issuing[i].check(false); err != nil {
			return nil, fmt.Errorf("%s: %w", f.names[i], err)
		}
	}
	return f, nil
}

// ReadFolder is OpenFolder without the keys: no Issuing has a signer.
func ReadFolder(folder string) (*Folder, error) {
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
		f.Issuing, f.names = append(f.Issuing, Issuing{Certificate: c}), append(f.names, name)
	}
	return f, nil
}

// keyOf returns the key of a certificate: from the file beside it, or from elsewhere.
func keyOf(name string, open Opener) (crypto.Signer, error) {
	reference, err := readFile(name + refExt)
	if errors.Is(err, fs.ErrNotExist) {
		return readKey(name + keyExt)
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(name + keyExt); err == nil {
		return nil, fmt.Errorf("%w: %s has a key beside it, and one elsewhere", ErrConfig, name+certExt)
	}
	if open == nil {
		return nil, fmt.Errorf("%w: the key of %s is elsewhere", ErrConfig, name+certExt)
	}
	signer, err := open(reference)
	if err != nil {
		return nil, fmt.Errorf("ca: the key of %s: %w", name+certExt, err)
	}
	return signer, nil
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

// key is the key that is to be used. One without a reference is new, and belongs into the
// folder.
func (s Setup) key() (k Elsewhere, err error) {
	switch {
	case s.Key == nil && s.RSA:
		k.Signer, err = rsa.GenerateKey(rand.Reader, 4096)
		return k, err
	case s.Key == nil:
		k.Signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		return k, err
	}
	if k, err = s.Key(); err != nil {
		return k, err
	}
	if isnil.Value(k.Signer) || len(k.Reference) == 0 || len(k.Reference) > maxFile {
		return k, fmt.Errorf("%w: a key elsewhere needs a signer and a reference", ErrConfig)
	}
	return k, acceptableKey(k.Signer.Public())
}

func writeIssuing(folder string, number int, root *x509.Certificate, rootSigner crypto.Signer, s Setup) error {
	key, err := s.key()
	if err != nil {
		return err
	}
	c, err := NewIssuing(root, rootSigner, key.Signer.Public(), s.Name, s.Years)
	if err != nil {
		return err
	}
	return key.write(folder, issuingName+strconv.Itoa(number), c)
}

// write writes the key or its reference, and then the certificate. A crash between them
// leaves a key without its certificate, which nobody has used: it is overwritten.
func (k Elsewhere) write(folder, name string, c *x509.Certificate) error {
	name = filepath.Join(folder, name)
	if _, err := os.Lstat(name + certExt); err == nil {
		return fmt.Errorf("ca: %s: %w", name+certExt, fs.ErrExist)
	}
	other := name + refExt
	if k.Reference != nil {
		other = name + keyExt
	}
	if err := os.Remove(other); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ca: %w", err)
	}
	if k.Reference != nil {
		if err := disk.Replace(name+refExt, k.Reference, publicMode); err != nil {
			return err
		}
	} else if err := writeKey(name+keyExt, k.Signer); err != nil {
		return err
	}
	return disk.Create(name+certExt, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), publicMode)
}

func writeKey(name string, signer crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	return disk.Replace(name, text, privateMode)
}

// readFile reads a regular file that is not large.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("ca: %s is no file, or a large one", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return text, nil
}

// readPEM reads a file of exactly one block.
func readPEM(name, kind string) ([]byte, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
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
