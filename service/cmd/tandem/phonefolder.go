package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/rp"
)

// The phone's folder, mode 0700:
//
//	phone.json  where the service is, as an app is shipped with it
//	token       what the service knows the phone by
//	auth/state  the key of PIN1: a device.FileStorage
//	sign/state  the key of PIN2
const tokenFile = "token"

// pollTime is longer than the service lets a phone wait.
const pollTime = 3 * time.Minute

// open opens the phone's folder, or makes it.
func (p *phoneRun) open(fresh bool) error {
	params, err := parseParams(p.argon2)
	if err != nil {
		return err
	}
	name := filepath.Join(p.folder, phoneFile)
	_, err = os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !fresh:
		return failf("not_enrolled", "tandem phone enroll -phone "+quote(p.folder)+" -service FILE CODE", "there is no phone in %s", p.folder)
	case errors.Is(err, fs.ErrNotExist):
		if err := p.create(); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	if err := checkFolder(p.folder); err != nil {
		return err
	}
	service, err := readPhoneConfig(name)
	if err != nil {
		return err
	}
	token, err := readLine(filepath.Join(p.folder, tokenFile))
	if err != nil {
		return err
	}
	config := deviceclient.Config{URL: service.URL, Fetch: deviceclient.NewHTTP(&http.Client{Timeout: pollTime}), Token: token, Scheme: service.Scheme}
	for key, d := range map[string]*device.Config{pin1Key: &config.Authentication, pin2Key: &config.Signature} {
		storage, err := device.NewFileStorage(filepath.Join(p.folder, key))
		if err != nil {
			return err
		}
		*d = device.Config{Storage: storage, HPKEKey: service.HPKEKey, Params: params}
	}
	p.phone, err = deviceclient.New(config)
	return err
}

// create makes the folder. phoneFile, which comes last, says that it is whole.
func (p *phoneRun) create() error {
	if p.service == "" {
		return usagef("where is the service? Give phone.json of its folder with -service")
	}
	service, err := readPhoneConfig(p.service)
	if err != nil {
		return err
	}
	if err := disk.MakeFolder(p.folder, folderMode); err != nil {
		return err
	}
	if err := checkFolder(p.folder); err != nil {
		return err
	}
	token := []byte(deviceclient.NewToken() + "\n")
	defer clear(token)
	if err := writeNew(filepath.Join(p.folder, tokenFile), token, secretMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	text, err := json.MarshalIndent(service, "", "  ")
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(p.folder, phoneFile), append(text, '\n'), publicMode)
}

// tell writes to the person at the phone.
func (c *call) tell(format string, args ...any) {
	c.done()
	fmt.Fprintf(c.errOut, format, args...)
}

type askResult struct {
	Request string `json:"request"`
}

func (r *askResult) text(w io.Writer) {
	fmt.Fprintf(w, "%s\nthe old phone approves it within ten minutes: tandem phone approve REQUEST; then: tandem phone enroll\n", r.Request)
}

type approvedResult struct {
	Device string `json:"device"`
}

func (r *approvedResult) text(w io.Writer) {
	fmt.Fprintf(w, "the phone %q may take the place of this one\n", r.Device)
}

type changedResult struct {
	Key string `json:"key"`
}

func (r *changedResult) text(w io.Writer) {
	fmt.Fprintf(w, "%s is changed\n", pinName(r.Key))
}

// homeResult is the account as its phone shows it.
type homeResult struct {
	Document string          `json:"document"`
	Level    string          `json:"level"`
	State    string          `json:"state"`
	Given    string          `json:"given"`
	Surname  string          `json:"surname"`
	Expires  time.Time       `json:"expires"`
	Keys     []homeKeyResult `json:"keys"`
	// RevocationCode is shown once, when the account begins.
	RevocationCode string `json:"revocation_code,omitempty"`
}

type homeKeyResult struct {
	Key         string     `json:"key"`
	Certificate []byte     `json:"certificate"`
	Destroyed   bool       `json:"destroyed"`
	LockedUntil *time.Time `json:"locked_until,omitempty"`
	TriesLeft   int        `json:"tries_left"`
	InAll       int        `json:"tries_left_in_all"`
}

func newHomeResult(a deviceclient.Account) *homeResult {
	r := &homeResult{Document: a.Document, Level: a.Level, State: a.State, Given: a.Given, Surname: a.Surname, Expires: a.Expires}
	for i, k := range a.Keys {
		x := homeKeyResult{Key: keyNames[i], Certificate: k.Certificate, Destroyed: k.Destroyed, TriesLeft: k.Remaining, InAll: k.RemainingTotal}
		if k.LockedSeconds > 0 {
			x.LockedUntil = &k.LockedUntil
		}
		r.Keys = append(r.Keys, x)
	}
	return r
}

func (r *homeResult) text(w io.Writer) {
	fmt.Fprintf(w, "%s %s, %s: %s until %s\n", r.Given, r.Surname, r.Document, r.State, r.Expires.UTC().Format(time.DateOnly))
	for _, k := range r.Keys {
		switch {
		case k.Destroyed:
			fmt.Fprintf(w, "%s: the key is destroyed\n", pinName(k.Key))
		case k.LockedUntil != nil:
			fmt.Fprintf(w, "%s: locked until %s\n", pinName(k.Key), k.LockedUntil.UTC().Format("2006-01-02 15:04:05 UTC"))
		default:
			fmt.Fprintf(w, "%s: wrong PINs: %s\n", pinName(k.Key), triesLeft(k.TriesLeft, k.InAll))
		}
	}
	if r.RevocationCode != "" {
		fmt.Fprintf(w, "This code ends the account, from anywhere; keep it apart from the phone. It is not shown again: %s\n", r.RevocationCode)
	}
}

type historyResult struct {
	Entries []deviceclient.Entry `json:"entries"`
}

func (r *historyResult) text(w io.Writer) {
	for _, e := range r.Entries {
		fmt.Fprintf(w, "%s %s %s %s %s\n", e.At.UTC().Format(time.RFC3339), e.Kind, e.RelyingParty, e.Result, e.Text)
	}
}

// transactionResult is what waits, or was done.
type transactionResult struct {
	Found        bool       `json:"found"`
	Session      string     `json:"session,omitempty"`
	What         string     `json:"what,omitempty"` // authentication, signature or certificateChoice
	RelyingParty string     `json:"relying_party,omitempty"`
	Interaction  string     `json:"interaction,omitempty"`
	Text         string     `json:"text,omitempty"`
	Code         string     `json:"verification_code,omitempty"`
	Codes        []string   `json:"codes,omitempty"`
	Several      bool       `json:"several,omitempty"` // accounts that were asked
	Deadline     *time.Time `json:"deadline,omitempty"`
	Done         bool       `json:"done,omitempty"`
	Refused      bool       `json:"refused,omitempty"`
	CallbackURL  string     `json:"callback_url,omitempty"`
}

var kindNames = map[rp.Kind]string{rp.Authentication: "authentication", rp.Signature: "signature", rp.CertificateChoice: "certificateChoice"}

func newTransactionResult(t *deviceclient.Transaction) *transactionResult {
	if t == nil {
		return new(transactionResult)
	}
	return &transactionResult{
		Found: true, Session: t.Session, What: kindNames[t.Kind], RelyingParty: t.RelyingParty, Interaction: string(t.Interaction.Type), Text: t.Interaction.Text,
		Code: t.Code, Codes: t.Codes, Several: t.Several, Deadline: &t.Deadline,
	}
}

func (r *transactionResult) over(t *deviceclient.Transaction, done bool) *transactionResult {
	r.Done, r.CallbackURL = done, t.CallbackURL()
	return r
}

// shown is the screen.
func (r *transactionResult) shown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", r.RelyingParty, map[string]string{"authentication": "a login", "signature": "a signature"}[r.What])
	if r.What == kindNames[rp.CertificateChoice] {
		b.WriteString("use this account?")
	}
	if r.Text != "" {
		fmt.Fprintf(&b, ": %q", r.Text)
	}
	b.WriteString("\n")
	if r.Code != "" {
		fmt.Fprintf(&b, "The code %s must be the one that %s shows.\n", r.Code, r.RelyingParty)
	}
	if len(r.Codes) > 0 {
		fmt.Fprintf(&b, "Which code does %s show? %s\n", r.RelyingParty, strings.Join(r.Codes, " "))
	}
	return b.String()
}

func (r *transactionResult) text(w io.Writer) {
	switch {
	case !r.Found:
		fmt.Fprintln(w, "No transaction found")
	case r.Refused:
		fmt.Fprintln(w, "refused")
	case r.Done:
		fmt.Fprintln(w, "done")
	default:
		fmt.Fprint(w, r.shown())
	}
	if r.CallbackURL != "" {
		fmt.Fprintln(w, r.CallbackURL)
	}
}
