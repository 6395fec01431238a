package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/ca"
)

const (
	caCreate = "create"
	caAdd    = "add"
)

var caCommand = &command{
	name: "ca", args: "create | add -country CC -organization NAME -organization-id ID -root NAME -issuing NAME",
	about: "makes the CA of a service in production, or the next issuing CA",
	help: `
Create makes the folder that "ca" in the configuration names: a root, and an issuing CA that
certifies persons' keys. The key of the root is needed for nothing but the next issuing CA: move
root.key to where it is safe, offline.

Add makes another issuing CA, which issues when the service is next started; the older ones go on
with what they issued. It needs the root's key, so put it back before. What is not given of its name
is as in the root's.

With -hsm the key of the issuing CA is made in a PKCS #11 token and stays there, and with -root-hsm
the root's: RSA with 4096 bits. Else keys are in files, which only the owner may read and which are
not encrypted: ECDSA on P-384, or RSA with 4096 bits.

In production no name of a CA begins with TEST. With a configuration that says "production": false
each one must.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		r := new(caRun)
		r.declare(flags)
		flags.StringVar(&r.name.Country, "country", "", "`code` of the country, as EE")
		flags.StringVar(&r.name.Organization, "organization", "", "`name` of the operator")
		flags.StringVar(&r.name.OrganizationID, "organization-id", "", "its `identifier` by ETSI EN 319 412-1, as NTREE-12345678")
		flags.StringVar(&r.root.commonName, "root", "", "common `name` of the root")
		flags.StringVar(&r.issuing.commonName, "issuing", "", "common `name` of the issuing CA")
		flags.IntVar(&r.root.years, "root-years", 25, "`years` for which the root is valid")
		flags.IntVar(&r.issuing.years, "issuing-years", 12, "`years` for which the issuing CA is valid, as long as the root is")
		flags.BoolVar(&r.rsa, "rsa", false, "RSA keys in files")
		flags.StringVar(&r.root.token, "root-hsm", "", "`MODULE:TOKEN` for the root's key")
		flags.StringVar(&r.issuing.token, "hsm", "", "`MODULE:TOKEN` for the issuing CA's key")
		flags.StringVar(&r.parameters, "hsm-parameters", "", "`string` for C_Initialize, for the modules that need one (NSS)")
		flags.StringVar(&r.root.pin.file, "root-hsm-pin-file", "", "`file` with the PIN of the root's token; else TANDEM_HSM_PIN or a prompt")
		flags.StringVar(&r.issuing.pin.file, "hsm-pin-file", "", "`file` with the PIN of the issuing CA's token; else TANDEM_HSM_PIN or a prompt")
		return r.run
	},
}

// caRun is one run of the command.
type caRun struct {
	serviceFlags
	name          ca.Name // without its common name
	root, issuing oneCA
	rsa           bool
	parameters    string
}

// oneCA is what the flags say of a root, or of an issuing CA.
type oneCA struct {
	commonName string
	years      int
	token      string // MODULE:TOKEN; empty for a key in a file
	pin        hsmPIN
}

func (r *caRun) run(ctx context.Context, c *call) (_ result, err error) {
	if len(c.files) != 1 || c.files[0] != caCreate && c.files[0] != caAdd {
		return nil, usagef("want create or add")
	}
	config, err := r.read(c)
	if err != nil {
		return nil, err
	}
	keys := &caKeys{c: c, parameters: r.parameters}
	defer func() { err = errors.Join(err, keys.close()) }()
	work := r.create
	if c.files[0] == caAdd {
		work = r.add
	}
	out, err := work(ctx, config, keys)
	if err != nil {
		return nil, keys.left(told(err))
	}
	return out, nil
}

// told puts the errors of package ca into words.
func told(err error) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, ca.ErrConfig):
		return usagef("%s", strings.TrimPrefix(err.Error(), ca.ErrConfig.Error()+": "))
	case errors.Is(err, fs.ErrExist):
		return failf("exists", "a CA is not overwritten: whoever relies on it knows its keys", "%w", err)
	}
	return err
}

// setup checks what is wanted of one CA.
func (r *caRun) setup(config serviceConfig, flag string, one oneCA) (ca.Setup, error) {
	s := ca.Setup{Name: r.name, Years: one.years, RSA: r.rsa}
	s.Name.CommonName = one.commonName
	switch test, trial := strings.HasPrefix(one.commonName, "TEST"), config.Production != nil && !*config.Production; {
	case one.commonName == "":
		return s, usagef("what is the CA called? Give -%s", flag)
	case test && !trial:
		return s, usagef("%q would be refused in production: a name that begins with TEST is of a CA for tests", one.commonName)
	case !test && trial:
		return s, usagef("%q would be refused by this service, which is a trial: the name of a CA for tests begins with TEST", one.commonName)
	case one.years < 1:
		return s, usagef("-%s-years is 1 or more", flag)
	}
	if err := s.Check(); err != nil {
		return s, err
	}
	_, err := parseHSM(one.token, "")
	return s, err
}

func (r *caRun) create(ctx context.Context, config serviceConfig, keys *caKeys) (result, error) {
	root, err := r.setup(config, "root", r.root)
	if err != nil {
		return nil, err
	}
	issuing, err := r.setup(config, "issuing", r.issuing)
	if err != nil {
		return nil, err
	}
	if root.Name == issuing.Name {
		return nil, usagef("root and issuing CA have one name")
	}
	folder := config.CA.Folder
	if _, err := os.Lstat(folder); err == nil {
		return nil, fmt.Errorf("%s: %w", folder, fs.ErrExist)
	}
	if err := disk.MakeFolder(filepath.Dir(folder), folderMode); err != nil {
		return nil, err
	}
	if root.Key, err = keys.maker(ctx, r.root, "root"); err != nil {
		return nil, err
	}
	if issuing.Key, err = keys.maker(ctx, r.issuing, "issuing"); err != nil {
		return nil, err
	}
	if err := ca.CreateFolder(folder, root, issuing); err != nil {
		return nil, err
	}
	return newCAResult(folder)
}

// organizationID is id-at-organizationIdentifier.
var organizationID = asn1.ObjectIdentifier{2, 5, 4, 97}

func (r *caRun) add(ctx context.Context, config serviceConfig, keys *caKeys) (result, error) {
	if r.root.commonName != "" {
		return nil, usagef("-root is for create: a folder has one root")
	}
	before, err := ca.ReadFolder(config.CA.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failf("not_found", "tandem ca create", "%w", err)
	}
	if err != nil {
		return nil, err
	}
	subject := before.Root.Subject
	for _, a := range subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(organizationID) && r.name.OrganizationID == "" {
			r.name.OrganizationID = text
		}
	}
	if r.name.Country == "" && len(subject.Country) == 1 {
		r.name.Country = subject.Country[0]
	}
	if r.name.Organization == "" && len(subject.Organization) == 1 {
		r.name.Organization = subject.Organization[0]
	}
	issuing, err := r.setup(config, "issuing", r.issuing)
	if err != nil {
		return nil, err
	}
	open := keys.opener(ctx, r.root.pin, nil)
	if issuing.Key, err = keys.maker(ctx, r.issuing, "issuing"); err != nil {
		return nil, err
	}
	if err := ca.AddIssuing(config.CA.Folder, issuing, open); err != nil {
		return nil, err
	}
	return newCAResult(config.CA.Folder)
}

// caResult is a CA's folder in JSON.
type caResult struct {
	Folder  string        `json:"folder"`
	Root    caCertificate `json:"root"`
	Issuing caCertificate `json:"issuing"` // the newest one
}

type caCertificate struct {
	CommonName string    `json:"common_name"`
	NotAfter   time.Time `json:"not_after"`
	SHA256     string    `json:"sha256"` // of the certificate
}

func newCAResult(folder string) (*caResult, error) {
	f, err := ca.ReadFolder(folder)
	if err != nil {
		return nil, err
	}
	one := func(c *x509.Certificate) caCertificate {
		sum := sha256.Sum256(c.Raw)
		return caCertificate{c.Subject.CommonName, c.NotAfter, hex.EncodeToString(sum[:])}
	}
	return &caResult{folder, one(f.Root), one(f.Issuing[0].Certificate)}, nil
}

func (r *caResult) text(w io.Writer) {
	for _, c := range []caCertificate{r.Root, r.Issuing} {
		fmt.Fprintf(w, "%s, until %s, SHA-256 %s\n", c.CommonName, c.NotAfter.UTC().Format(time.DateOnly), c.SHA256)
	}
	fmt.Fprintf(w, "%s: give root.crt to whoever relies on certificates, and root.key, if it is there, to a safe place offline\n", r.Folder)
}
