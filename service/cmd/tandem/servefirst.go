package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
)

// The relying party and the person of public examples.
const (
	demoParty  = "00000000-0000-4000-8000-000000000000"
	demoPerson = "PNOEE-40504040001"
)

// first says how a first login goes, from what there is in the database now.
func (s *serveRun) first(ctx context.Context, n *node.Node) (string, error) {
	if s.config.production() {
		return "listening for " + s.config.URL + "\n", nil
	}
	_, err := n.Accounts().RelyingParty(ctx, demoParty)
	party := err == nil
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return "", err
	}
	id, err := identity.ParseID(demoPerson)
	if err != nil {
		return "", err
	}
	open, err := n.Accounts().ByPerson(ctx, id)
	if err != nil {
		return "", err
	}
	return s.firstLogin(party, len(open) > 0), nil
}

// firstLogin leaves out what is there already: the relying party, and an account of the
// person, which with test identities answers by itself.
func (s *serveRun) firstLogin(party, account bool) string {
	tandem := "tandem"
	if strings.Contains(os.Args[0], "go-build") { // it is "go run"
		tandem = "go run ./service/cmd/tandem"
	}
	dir := ""
	if s.dir != defaultDirHere() {
		dir = " -dir " + quote(s.dir)
	}
	itself := s.config.TestIdentities != nil
	digest := sha256.Sum256([]byte(rand.Text()))
	var b strings.Builder
	fmt.Fprintf(&b, "This is a trial, on %s. All of it is in %s.\n", s.config.URL, s.dir)
	if itself {
		b.WriteString("Persons who answer by themselves are listed in docs/service.md.\n")
	}
	b.WriteString("\nA first login, in another terminal:\n\n")
	if !party {
		fmt.Fprintf(&b, "  %s rp add%s -uuid %s -name DEMO\n", tandem, dir, demoParty)
	}
	if !account {
		fmt.Fprintf(&b, "  %s register%s -given MARI -surname MAASIKAS %s\n", tandem, dir, demoPerson)
		fmt.Fprintf(&b, "  %s phone enroll -phone my-phone -service %s CODE\n", tandem, quote(filepath.Join(s.dir, phoneFile)))
	}
	if !party || !account {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, `  curl -s %s/smart-id-rp/v2/authentication/etsi/%s -H 'Content-Type: application/json' -d '{
    "relyingPartyUUID": "%s", "relyingPartyName": "DEMO", "hashType": "SHA256",
    "hash": "%s",
    "allowedInteractionsOrder": [{"type": "displayTextAndPIN", "displayText60": "Log in to DEMO"}]}'
`, s.config.URL, demoPerson, demoParty, base64.StdEncoding.EncodeToString(digest[:]))
	if itself {
		fmt.Fprintf(&b, "\n%s signs by itself. With the sessionID that curl printed:\n", demoPerson)
	} else {
		phone := "my-phone"
		if account {
			phone = "PHONE"
		}
		fmt.Fprintf(&b, "\n  %s phone sign -phone %s\n\n", tandem, phone)
		if account {
			fmt.Fprintf(&b, "PHONE is the folder of a phone of %s, who has an account already. ", demoPerson)
		}
		fmt.Fprintf(&b, "The phone shows the code %s, and asks for PIN1.\nThen, with the sessionID that curl printed:\n", protocol.VerificationCode(digest[:]))
	}
	fmt.Fprintf(&b, "\n  curl -s '%s/smart-id-rp/v2/session/SESSION?timeoutMs=10000'\n", s.config.URL)
	if s.pages() != nil {
		fmt.Fprintf(&b, "\nIn a browser: %s/\n", s.config.URL)
	}
	b.WriteString("\nCtrl-C ends it.\n")
	return b.String()
}

func defaultDirHere() string {
	here, err := filepath.Abs(defaultDir)
	if err != nil {
		return ""
	}
	return here
}
