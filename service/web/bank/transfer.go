package bank

import (
	"crypto"
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/login"
)

// transfer is an order, and the signature that proves it.
type transfer struct {
	Number    string // drawn by the bank, so that no signature fits two transfers
	To        string
	Cents     int64
	At        time.Time
	Signature []byte
	By        []byte // certificate
}

// Amount is in euros.
func (t transfer) Amount() string { return euros(t.Cents) }

// Sum is the balance in euros.
func (a account) Sum() string { return euros(a.Balance) }

func euros(cents int64) string { return fmt.Sprintf("%d.%02d €", cents/100, cents%100) }

// text is what is signed: each line has its name, and no value has a line break.
func (t transfer) text() string {
	return fmt.Sprintf("Tree Bank transfer 1\nnumber: %s\nto: %s\nEUR cents: %d\nat: %s\n", t.Number, t.To, t.Cents, t.At.Format(time.RFC3339))
}

// transferAlgorithm is what transfers are signed by.
var transferAlgorithm = rp.Algorithm{Hash: crypto.SHA512, PSS: true}

const (
	maxPayee  = 60
	maxAmount = 1_000_000_00
)

// readAmount reads an amount as people write it: "12", "12.50" or "12,50".
func readAmount(s string) (cents int64, ok bool) {
	whole, part, found := strings.Cut(strings.Replace(strings.TrimSpace(s), ",", ".", 1), ".")
	if found && (len(part) == 0 || len(part) > 2) {
		return 0, false
	}
	digits := whole + (part + "00")[:2]
	if whole == "" || len(digits) > 12 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	cents, err := strconv.ParseInt(digits, 10, 64)
	return cents, err == nil && cents > 0 && cents <= maxAmount
}

// transfer asks the person to confirm one: the phone shows the payee and the amount, and
// three codes, of which the page shows the right one.
func (b *Bank) transfer(w http.ResponseWriter, r *http.Request, v *login.Visit, a *account) error {
	if err := r.ParseForm(); err != nil {
		return b.tell(w, r, v, "", "bank.badform")
	}
	t := transfer{Number: rand.Text(), To: strings.Join(strings.Fields(r.PostForm.Get("to")), " "), At: time.Now().UTC().Truncate(time.Second)}
	var ok bool
	t.Cents, ok = readAmount(r.PostForm.Get("amount"))
	switch {
	case t.To == "" || utf8.RuneCountInString(t.To) > maxPayee || rp.DisplayProblem(t.To, maxPayee) != "":
		return b.tell(w, r, v, "", "bank.badpayee")
	case !ok:
		return b.tell(w, r, v, "", "bank.badamount")
	case t.Cents > a.Balance:
		return b.tell(w, r, v, "", "bank.toolittle")
	}
	lang := web.LanguageOf(r)
	digest := sha512.Sum512([]byte(t.text()))
	return b.ask(w, r, v, &signing{Transfer: &t}, digest[:], transferAlgorithm, []rp.Interaction{
		{Type: rp.ConfirmationMessageAndVerificationCodeChoice, Text: lang.Text("bank.confirm", euros(t.Cents), t.To)},
		{Type: rp.DisplayTextAndPIN, Text: lang.Text("bank.confirmshort", euros(t.Cents))},
	})
}
