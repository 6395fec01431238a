package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/etcd"
	"github.com/tandem-rsa/tandem/service/stores/postgres"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// Exit codes, as docs/command.md has them.
const (
	exitOK        = 0
	exitFailure   = 1
	exitUsage     = 2
	exitWrongPIN  = 3
	exitLocked    = 4
	exitDestroyed = 5
)

const exitHelp = `Exit codes: 0 done, 1 failure, 2 wrong usage (nothing was done), 3 wrong PIN (counted),
4 locked (the PIN was not looked at), 5 the key is destroyed.
`

// failure is an error as it is told to the user.
type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Next    string `json:"next,omitempty"` // what to do

	TriesLeft      *int       `json:"tries_left,omitempty"`
	TriesLeftInAll *int       `json:"tries_left_in_all,omitempty"`
	LockedUntil    *time.Time `json:"locked_until,omitempty"`
	Reason         string     `json:"reason,omitempty"` // why the key is destroyed
	Rule           string     `json:"rule,omitempty"`   // of pinlock.CheckPIN, that a weak PIN breaks
	Code           string     `json:"answer,omitempty"` // the service's, in place of what was asked for

	exit  int
	cause error
}

func (f *failure) Error() string { return f.Message }
func (f *failure) Unwrap() error { return f.cause }

func usagef(format string, args ...any) error {
	return &failure{Kind: "usage", Message: fmt.Sprintf(format, args...), exit: exitUsage}
}

// failf returns a failure of exit code 1. kind is what programs switch on.
func failf(kind, next, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &failure{Kind: kind, Message: err.Error(), Next: next, exit: exitFailure, cause: errors.Unwrap(err)}
}

// fail tells of an error and returns the exit code.
func (a *app) fail(name string, err error, asJSON bool) int {
	f := explain(err, a.clock())
	if asJSON {
		encode := json.NewEncoder(a.out)
		encode.SetIndent("", "  ")
		encode.SetEscapeHTML(false)
		if encode.Encode(map[string]any{"error": f, "exit": f.exit}) == nil {
			return f.exit
		}
	}
	help := "tandem help"
	if name != "" {
		name, help = " "+name, help+" "+name
	}
	fmt.Fprintf(a.errOut, "tandem%s: %s\n", name, f.Message)
	switch {
	case f.Next != "":
		fmt.Fprintf(a.errOut, "  -> %s\n", f.Next)
	case f.exit == exitUsage:
		fmt.Fprintf(a.errOut, "  -> %s\n", help)
	}
	return f.exit
}

// explain puts the errors of the packages below into words. Errors of system calls and of
// damaged files keep their own.
func explain(err error, now time.Time) *failure {
	var (
		told      *failure
		wrong     *limiter.WrongPINError
		locked    *limiter.LockedError
		destroyed *protocol.DestroyedError
		weak      *pinlock.WeakPINError
		token     *hsm.TokenError
		answer    *deviceclient.Error
	)
	f := &failure{Kind: "failure", Message: err.Error(), exit: exitFailure, cause: err}
	switch {
	case errors.Is(err, watermark.ErrCheckpointLeft):
		f.Next = "give another store, or empty this one: it looks used"
	case errors.As(err, &told):
		return told
	case errors.As(err, &wrong):
		f.TriesLeft, f.TriesLeftInAll = &wrong.Remaining, &wrong.RemainingTotal
		f.Kind, f.exit = "wrong_pin", exitWrongPIN
		f.Next = "run the same command again with the right PIN"
		f.Message = fmt.Sprintf("wrong PIN; it counts: %s", triesLeft(wrong.Remaining, wrong.RemainingTotal))
		if !wrong.LockedUntil.IsZero() {
			f.LockedUntil = &wrong.LockedUntil
			f.Message = fmt.Sprintf("wrong PIN; it counts, and the key is locked %s. Wrong PINs after that: %d left before the key is destroyed", until(wrong.LockedUntil, now), wrong.RemainingTotal)
			f.Next = "wait until then: no PIN is looked at before"
		}
		if wrong.RemainingTotal == 0 {
			f.Kind, f.exit, f.Reason = "destroyed", exitDestroyed, protocol.ReasonPIN.String()
			f.Message, f.Next = "wrong PIN; it was the last one, and the key is destroyed", newKeyAdvice
		}
	case errors.As(err, &locked):
		f.Kind, f.exit, f.LockedUntil = "locked", exitLocked, &locked.Until
		f.Message = fmt.Sprintf("the key is locked %s; the PIN was not looked at, and nothing was counted", until(locked.Until, now))
		f.Next = "wait until then"
	case errors.As(err, &destroyed):
		f.Kind, f.exit, f.Reason = "destroyed", exitDestroyed, destroyed.Reason.String()
		f.Message, f.Next = "the key is destroyed for ever: "+destroyed.Reason.String(), newKeyAdvice
	case errors.As(err, &answer):
		f.Kind, f.Code = "service", answer.Code
		f.Next = serviceAdvice[answer.Code]
		if answer.Code == deviceclient.CodeLater {
			f.Next = fmt.Sprintf("try again in %v", answer.RetryAfter)
		}
	case errors.Is(err, deviceclient.ErrMismatch):
		f.Kind, f.Next = "mismatch", "nothing was signed: tell whoever runs the service"
	case errors.As(err, &weak):
		f.Kind, f.exit = "bad_pin", exitUsage
		f.Message, f.Rule = explainWeak(weak.Rule), weak.Rule
		f.Next = "choose another one: no year, date, word, pattern or repetition"
	case errors.Is(err, pinlock.ErrPINFormat):
		f.Kind, f.exit = "bad_pin", exitUsage
		f.Message, f.Next = "a PIN is 4 to 12 digits; nothing was sent or counted", "run the same command again with a PIN"
	case errors.Is(err, pinlock.ErrParams):
		f.Kind, f.exit = "usage", exitUsage
	case errors.Is(err, device.ErrRejected):
		f.Kind, f.Next = "bad_key", "to enroll, run the same command again: it makes another key; one that was imported is rejected again"
	case errors.Is(err, device.ErrPending):
		f.Kind, f.Next = "pending", "finish it with tandem sign -resume -o SIG, or end it with -cancel"
	case errors.Is(err, device.ErrSuperseded):
		f.Kind, f.Next = "superseded", "run the same command again until the server has heard of it; then the key is destroyed"
	case errors.Is(err, device.ErrCarriedOut):
		f.Kind, f.Next = "carried_out", "the server has the signature; sign again for another one"
	case errors.Is(err, device.ErrUnanswered):
		f.Kind = "unanswered"
		f.Next = "run the same command again: a request that was sent is resumed, without the PIN, and counts once"
	case errors.Is(err, context.Canceled):
		f.Kind, f.Message, f.Next = "interrupted", "interrupted", "run the same command again"
	case errors.Is(err, device.ErrNotCarriedOut):
		f.Kind, f.Next = "expired", "run the same command again"
	case errors.Is(err, device.ErrBusy), errors.Is(err, bolt.ErrInUse), errors.Is(err, watermark.ErrInUse):
		f.Kind, f.Next = "busy", "another tandem uses this folder: wait for it to end"
	case errors.Is(err, watermark.ErrWentBack):
		f.Kind, f.Next = "went_back", "nobody is answered until the keys are charged: tandem store recover -server DIR (docs/operating.md)"
	case errors.Is(err, watermark.ErrNoMark):
		f.Kind, f.Next = "went_back", "put the mark back; without it, tandem store recover -restored -server DIR"
	case errors.Is(err, bolt.ErrDamaged), errors.Is(err, bolt.ErrFormat), errors.Is(err, etcd.ErrDamaged), errors.Is(err, etcd.ErrFormat), errors.Is(err, etcd.ErrCorrupt),
		errors.Is(err, postgres.ErrDamaged), errors.Is(err, postgres.ErrFormat), errors.Is(err, watermark.ErrMark),
		errors.Is(err, server.ErrRecord), errors.Is(err, server.ErrSealed):
		f.Kind, f.Next = "damaged", "stop using this server, and restore its folder as docs/operating.md says: an older one gives wrong PINs back"
	case errors.Is(err, node.ErrProduction):
		f.Kind, f.exit, f.Next = "usage", exitUsage, "\"production\" in the configuration says which it is"
	case errors.Is(err, database.ErrUnsafe), errors.Is(err, database.ErrInsecure):
		f.Kind, f.Next = "exposed", "docs/stores.md says what the settings of the database must be"
	case errors.Is(err, device.ErrStorage):
		f.Kind, f.Next = "damaged", "nothing was sent. Remove this key's folder and enroll again; an older copy would be taken for a clone"
	case errors.Is(err, hsm.ErrPIN):
		f.Kind, f.Next = "hsm_pin", "check the token's PIN before you run this again: tokens lock, too"
	case errors.Is(err, hsm.ErrNoPKCS11):
		f.Kind, f.Next = "hsm", "build tandem with CGO_ENABLED=1 and without the tag nopkcs11"
	case errors.As(err, &token):
		f.Kind, f.Next = "hsm", fmt.Sprintf("the module has these tokens, as label/serial: %q", token.Found)
	case errors.Is(err, hsm.ErrKeyNotFound):
		f.Kind, f.Next = "hsm", "this token is not the one that the server was made with"
	case isHSM(err):
		f.Kind = "hsm"
	case errors.Is(err, fs.ErrNotExist):
		f.Kind, f.Next = "not_found", "check the path"
	case errors.Is(err, fs.ErrPermission):
		f.Next = "run this as the user whose folders they are, or change who may read and write there"
	case errors.Is(err, syscall.EROFS):
		f.Next = "put the folder where it can be written: a device and a server write at every use"
	case errors.Is(err, syscall.ENOSPC):
		f.Next = "make room, and run the same command again"
	}
	return f
}

const newKeyAdvice = "\"tandem enroll -new\" makes a new key in its place"

// serviceAdvice is what to do about an answer of the service.
var serviceAdvice = map[string]string{
	deviceclient.CodeUnauthorized: "the account was never opened: tandem phone enroll",
	deviceclient.CodeEnded:        "the account has ended: the registrar gives a code for a new one",
	deviceclient.CodeNoSuchCode:   "the code was used, is outdated, or mistyped: the registrar gives another one",
	deviceclient.CodeNotApproved:  "approve it on the old phone: tandem phone approve REQUEST",
	deviceclient.CodeUnconfirmed:  "go on with: tandem phone enroll",
	deviceclient.CodeGone:         "the transaction has ended",
	deviceclient.CodeWrongCode:    "the transaction has ended: begin anew at the relying party's",
}

func isHSM(err error) bool {
	for _, e := range []error{hsm.ErrModule, hsm.ErrInUse, hsm.ErrConfig, hsm.ErrUnsupported, hsm.ErrUnavailable, hsm.ErrExposed, hsm.ErrFault, hsm.ErrBlob} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func triesLeft(remaining, total int) string {
	return fmt.Sprintf("%d left before a lock, %d before the key is destroyed", remaining, total)
}

// until says when, and how long that is from now.
func until(t, now time.Time) string {
	left := max(t.Sub(now), 0).Round(time.Minute)
	return fmt.Sprintf("until %s (%dh%02dm)", t.UTC().Format("2006-01-02 15:04:05 UTC"), int(left.Hours()), int(left.Minutes())%60)
}
