package self

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/web"
	"github.com/tandem-rsa/tandem/service/web/login"
)

// kinds are what lines of a history are called. Others are shown as they are.
var kinds = map[string]string{
	"authentication": "history.authentication", "signature": "history.signature", "certificate choice": "history.choice",
	"account opened": "history.opened", "new phone": "history.newphone", "account ended": "history.ended",
	"new phone approved": "history.approved", "account suspended": "history.suspended", "account active": "history.resumed",
	"wrong PIN": "history.wrongpin", "key locked": "history.locked", "key destroyed": "history.destroyed", "clone detected": "history.clone",
}

// results are what ends of sessions and of accounts are called.
var results = map[string]string{
	"OK": "history.ok", "USER_REFUSED": "history.refused", "USER_REFUSED_INTERACTION": "history.refused", "USER_REFUSED_CERT_CHOICE": "history.refused",
	"TIMEOUT": "history.timeout", "WRONG_VC": "history.wrongcode", "DOCUMENT_UNUSABLE": "history.unusable", "ACCOUNT_UNUSABLE": "history.unusable",
	"REQUIRED_INTERACTION_NOT_SUPPORTED_BY_APP": "history.failed", "PROTOCOL_FAILURE": "history.failed", "EXPECTED_LINKED_SESSION": "history.failed", "SERVER_ERROR": "history.failed",
	string(accounts.ByOwner): "history.byowner", string(accounts.ByCode): "history.bycode", string(accounts.ByRegistrar): "history.byregistrar",
	string(accounts.ByMistake): "history.byregistrar", string(accounts.Replaced): "history.replaced", string(accounts.Renamed): "history.replaced",
	string(accounts.ByAge): "history.byage",
}

// read says what a line has, in a language: what there is no text for as it stands.
func read(e accounts.Entry, lang web.Language) line {
	l := line{Entry: e, What: e.Kind, Ended: e.Result}
	if key := kinds[e.Kind]; key != "" {
		l.What = lang.Text(key)
	}
	result, more, _ := strings.Cut(e.Result, ", ")
	if key := results[result]; key != "" {
		l.Ended = lang.Text(key)
		switch more {
		case "not opened":
			l.Ended = lang.Text("history.notopened")
		case "on another device":
			l.Ended = lang.Text("history.otherdevice")
		}
	}
	if at, err := time.Parse(time.RFC3339, strings.TrimPrefix(e.Result, "until ")); err == nil {
		l.Ended = lang.Text("history.lockeduntil", at.UTC().Format("2006-01-02 15:04 UTC"))
	}
	// Of PINs the text is which.
	if e.RelyingParty == "" {
		switch e.Text {
		case "authentication":
			l.Text = "PIN1"
		case "signature":
			l.Text = "PIN2"
		}
	}
	return l
}

// filters are what the page shows of a history: by the kinds of its lines.
var filters = []struct {
	Name, Text string
	of         func(accounts.Entry) bool
}{
	{"", "history.all", func(accounts.Entry) bool { return true }},
	{"logins", "history.logins", func(e accounts.Entry) bool { return e.Kind == "authentication" }},
	{"signatures", "history.signatures", func(e accounts.Entry) bool { return e.Kind == "signature" || e.Kind == "certificate choice" }},
	{"account", "history.others", func(e accounts.Entry) bool {
		return e.Kind != "authentication" && e.Kind != "signature" && e.Kind != "certificate choice"
	}},
}

const (
	historyPage = 30
	// readAhead is how many lines are read for a page that a filter leaves few of.
	readAhead = 1000
)

type line struct {
	accounts.Entry
	What, Ended string
}

type historyPageData struct {
	Lines            []line
	Accounts         []accounts.Account
	Document, Filter string
	Filters          any
	Older            string // address of the next page; "" if there is none
}

func (s *Self) history(w http.ResponseWriter, r *http.Request, v *login.Visit, all []accounts.Account) error {
	q := r.URL.Query()
	data := historyPageData{Accounts: all, Filters: filters}
	if a := find(all, q.Get("account")); a != nil {
		data.Document = a.Document.String()
	}
	of := filters[0].of
	for _, f := range filters {
		if f.Name == q.Get("kind") {
			data.Filter, of = f.Name, f.of
		}
	}
	before := q.Get("before")
	if len(before) > 64 {
		before = ""
	}
	lines, more, err := s.lines(r.Context(), v.Person.ID, before, func(e accounts.Entry) bool {
		return of(e) && (data.Document == "" || e.Document == data.Document)
	})
	if err != nil {
		return err
	}
	for _, e := range lines {
		l := read(e, web.LanguageOf(r))
		if a := find(all, e.Document); l.Device == "" && a != nil {
			l.Device = a.Device
		}
		data.Lines = append(data.Lines, l)
	}
	if more != "" {
		data.Older = "/self/history?" + url.Values{"account": {data.Document}, "kind": {data.Filter}, "before": {more}}.Encode()
	}
	s.pages.Render(w, r, "history", web.View{Who: v.Name(), Wide: true, Data: data})
	return nil
}

// lines returns a page of the lines that fit, and after which line the next page begins;
// "" if there is none.
func (s *Self) lines(ctx context.Context, person identity.ID, before string, fits func(accounts.Entry) bool) (out []accounts.Entry, more string, err error) {
	all, err := s.config.Accounts.History(ctx, person, strings.ToUpper(before), readAhead)
	if err != nil {
		return nil, "", err
	}
	for i, e := range all {
		if !fits(e) {
			continue
		}
		if len(out) == historyPage {
			return out, all[i-1].ID, nil
		}
		out = append(out, e)
	}
	if len(all) == readAhead {
		more = all[len(all)-1].ID
	}
	return out, more, nil
}
