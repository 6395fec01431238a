package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/rp"
)

const (
	rpAdd    = "add"
	rpList   = "list"
	rpRemove = "remove"
)

var rpCommand = &command{
	name: "rp", args: "add [-uuid UUID] -name NAME... [-network CIDR...] | list | remove UUID",
	about: "adds, lists and removes relying parties",
	help: `
A relying party is an e-service that may ask for logins and signatures. It is known by its UUID and
by all that is set for it: the networks that its requests come from, a bearer token, the key of its
client certificate. Without -network that is this machine. Add with a UUID that is there replaces it.

With -token the command draws a bearer token and prints it, once: the service keeps its hash.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		r := new(rpRun)
		r.declare(flags)
		flags.StringVar(&r.party.UUID, "uuid", "", "its `UUID`; one is drawn without")
		flags.Func("name", "a `name` by which it may call itself, 1 to 32 bytes; may be given several times", func(name string) error {
			r.party.Names = append(r.party.Names, name)
			return nil
		})
		flags.Func("network", "a `CIDR`, or an address, that its requests come from; may be given several times", r.network)
		flags.BoolVar(&r.token, "token", false, "draw a bearer token that its requests must have")
		flags.StringVar(&r.certificate, "certificate", "", "`file` with the client certificate whose key its connections must show")
		flags.BoolVar(&r.party.Advanced, "advanced", false, "it may take accounts that are not qualified")
		flags.BoolVar(&r.party.ShareIP, "share-ip", false, "it may learn the address of the phone")
		flags.Func("capability", "a `word` that was agreed on; may be given several times", func(word string) error {
			r.party.Capabilities = append(r.party.Capabilities, word)
			return nil
		})
		return r.run
	},
}

// rpRun is one run of the command.
type rpRun struct {
	serviceFlags
	party       accounts.RelyingParty
	token       bool
	certificate string
}

func (r *rpRun) network(s string) error {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("no address such as 192.0.2.7 or 192.0.2.0/24")
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	r.party.Networks = append(r.party.Networks, prefix.Masked())
	return nil
}

func (r *rpRun) run(ctx context.Context, c *call) (result, error) {
	what, rest := "", []string(nil)
	if len(c.files) > 0 {
		what, rest = c.files[0], c.files[1:]
	}
	switch {
	case what == rpAdd && len(rest) == 0:
		return r.add(ctx, c)
	case what == rpList && len(rest) == 0:
		out := &rpsResult{Parties: []rpResult{}}
		return out, r.with(ctx, c, func(reg *registry) error {
			all, err := reg.RelyingParties(ctx)
			for _, p := range all {
				out.Parties = append(out.Parties, newRPResult(p))
			}
			return err
		})
	case what == rpRemove && len(rest) == 1:
		uuid, ok := rp.UUID(rest[0])
		if !ok {
			return nil, usagef("%q is no UUID", rest[0])
		}
		return &rpResult{UUID: uuid, removed: true}, r.with(ctx, c, func(reg *registry) error {
			return noParty(reg.DeleteRelyingParty(ctx, uuid), uuid)
		})
	}
	return nil, usagef("want add, list, or remove UUID")
}

func noParty(err error, uuid string) error {
	if errors.Is(err, accounts.ErrNotFound) {
		return failf("not_found", "tandem rp list", "there is no relying party %s", uuid)
	}
	return err
}

func (r *rpRun) add(ctx context.Context, c *call) (result, error) {
	p := &r.party
	if p.UUID == "" {
		p.UUID = rp.NewSessionID() // any UUID, version 4
	}
	uuid, ok := rp.UUID(p.UUID)
	if !ok {
		return nil, usagef("%q is no UUID", p.UUID)
	}
	p.UUID = uuid
	if len(p.Names) == 0 {
		return nil, usagef("what may it call itself? Give -name")
	}
	if len(p.Networks) == 0 {
		p.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
	}
	if r.certificate != "" {
		pin, err := readPin(r.certificate)
		if err != nil {
			return nil, err
		}
		p.CertificatePin = pin
	}
	token := ""
	if r.token {
		b := make([]byte, 32)
		rand.Read(b)
		token = base64.RawURLEncoding.EncodeToString(b)
		p.TokenHash = sha256.Sum256([]byte(token))
	}
	if err := p.Check(); err != nil {
		return nil, usagef("%v", strings.TrimPrefix(err.Error(), accounts.ErrRequest.Error()+": "))
	}
	out := newRPResult(*p)
	out.Token = token
	return &out, r.with(ctx, c, func(reg *registry) error { return reg.SetRelyingParty(ctx, *p) })
}

func readPin(name string) (accounts.Hash, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return accounts.Hash{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return accounts.Hash{}, failf("bad_key", "give a certificate in PEM", "%s has no certificate", name)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return accounts.Hash{}, failf("bad_key", "give a certificate in PEM", "%s: %w", name, err)
	}
	return accounts.Pin(certificate), nil
}

// rpResult is a relying party in JSON. What it is known by is not shown again.
type rpResult struct {
	UUID         string         `json:"uuid"`
	Names        []string       `json:"names,omitempty"`
	Networks     []netip.Prefix `json:"networks,omitempty"`
	HasToken     bool           `json:"has_token,omitempty"`
	HasPin       bool           `json:"has_certificate,omitempty"`
	Advanced     bool           `json:"advanced,omitempty"`
	ShareIP      bool           `json:"share_ip,omitempty"`
	Capabilities []string       `json:"capabilities,omitempty"`
	Token        string         `json:"token,omitempty"`

	removed bool
}

func newRPResult(p accounts.RelyingParty) rpResult {
	return rpResult{
		UUID: p.UUID, Names: p.Names, Networks: p.Networks, HasToken: p.TokenHash != accounts.Hash{}, HasPin: p.CertificatePin != accounts.Hash{},
		Advanced: p.Advanced, ShareIP: p.ShareIP, Capabilities: p.Capabilities,
	}
}

func (r *rpResult) text(w io.Writer) {
	if r.removed {
		fmt.Fprintf(w, "%s: removed\n", r.UUID)
		return
	}
	fmt.Fprintf(w, "%s: %q from %v", r.UUID, r.Names, r.Networks)
	for _, x := range []struct {
		ok   bool
		text string
	}{{r.HasToken, "with a bearer token"}, {r.HasPin, "with a client certificate"}, {r.Advanced, "any level"}, {r.ShareIP, "learns addresses"}} {
		if x.ok {
			fmt.Fprint(w, ", "+x.text)
		}
	}
	fmt.Fprintln(w)
	if r.Token != "" {
		fmt.Fprintf(w, "its requests must have this header; it is not shown again:\nAuthorization: Bearer %s\n", r.Token)
	}
}

type rpsResult struct {
	Parties []rpResult `json:"relying_parties"`
}

func (r *rpsResult) text(w io.Writer) {
	for _, p := range r.Parties {
		p.text(w)
	}
}
