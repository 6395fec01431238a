package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
)

const (
	accountList   = "list"
	accountDelete = "delete"
)

var accountCommand = &command{
	name: "account", args: "list [PERSON] | delete [-mistake] DOCUMENT",
	about: "lists accounts, and ends one",
	help: `
An account is one phone of a person, and has a document number, such as PNOEE-40504040001-7TRE-Q.

Delete ends it for ever. From then on nobody can use it. Its keys are destroyed and its certificates
revoked by the running service, within a minute, or when it is next started.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		r := new(accountRun)
		r.declare(flags)
		flags.BoolVar(&r.mistake, "mistake", false, "the account should not have been opened")
		return r.run
	},
}

// accountRun is one run of the command.
type accountRun struct {
	serviceFlags
	mistake bool
}

func (r *accountRun) run(ctx context.Context, c *call) (result, error) {
	what, rest := "", []string(nil)
	if len(c.files) > 0 {
		what, rest = c.files[0], c.files[1:]
	}
	switch {
	case what == accountList && len(rest) <= 1:
		return r.list(ctx, c, rest)
	case what == accountDelete && len(rest) == 1:
		return r.delete(ctx, c, rest[0])
	}
	return nil, usagef("want list, list PERSON, or delete DOCUMENT")
}

// page is how many accounts are read at once.
const page = 1000

func (r *accountRun) list(ctx context.Context, c *call, person []string) (result, error) {
	out := &accountsResult{Accounts: []accountResult{}}
	var id identity.ID
	if len(person) == 1 {
		var err error
		if id, err = identity.ParseID(person[0]); err != nil {
			return nil, usagef("%q: %v", person[0], err)
		}
	}
	return out, r.with(ctx, c, func(reg *registry) error {
		if id != (identity.ID{}) {
			all, err := reg.ByPerson(ctx, id)
			out.add(all)
			return err
		}
		for after := ""; ; {
			all, err := reg.Page(ctx, after, page)
			if err != nil || len(all) == 0 {
				return err
			}
			out.add(all)
			after = all[len(all)-1].Document.String()
		}
	})
}

func (r *accountRun) delete(ctx context.Context, c *call, text string) (result, error) {
	document, err := identity.ParseDocument(text)
	if err != nil {
		return nil, usagef("%q: %v", text, err)
	}
	cause := accounts.ByRegistrar
	if r.mistake {
		cause = accounts.ByMistake
	}
	out := &accountResult{Document: document.String(), deleted: true}
	return out, r.with(ctx, c, func(reg *registry) error {
		err := reg.End(ctx, document, cause)
		switch {
		case errors.Is(err, accounts.ErrNotFound):
			return failf("not_found", "tandem account list", "there is no account %s", document)
		case err != nil && !errors.Is(err, errElsewhere):
			return err
		}
		a, err := reg.ByDocument(ctx, document)
		if err == nil {
			out.State = string(a.State)
		}
		return err
	})
}

// accountResult is an account in JSON.
type accountResult struct {
	Document string     `json:"document"`
	State    string     `json:"state"`
	Device   string     `json:"device,omitempty"` // the phone's label
	Created  *time.Time `json:"created,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`

	deleted bool
}

func (a *accountResult) text(w io.Writer) {
	if a.deleted {
		fmt.Fprintf(w, "%s: %s. The service destroys its keys and revokes its certificates within a minute\n", a.Document, a.State)
		return
	}
	fmt.Fprintf(w, "%s %s %q until %s\n", a.Document, a.State, a.Device, a.Expires.UTC().Format(time.DateOnly))
}

type accountsResult struct {
	Accounts []accountResult `json:"accounts"`
}

func (r *accountsResult) add(all []accounts.Account) {
	for _, a := range all {
		r.Accounts = append(r.Accounts, accountResult{
			Document: a.Document.String(), State: string(a.State), Device: a.Device, Created: &a.Created, Expires: &a.Expires,
		})
	}
}

func (r *accountsResult) text(w io.Writer) {
	for _, a := range r.Accounts {
		a.text(w)
	}
}
