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

var registerCommand = &command{
	name: "register", args: "[-level qualified|advanced] [-born DATE] [-email ADDRESS] -given NAME -surname NAME PERSON",
	about: "lets a person enrol a phone, with a one-time code",
	help: `
Register is the registrar's counter: whoever runs it has identified the person. PERSON is a semantics
identifier, such as PNOEE-40504040001. It prints a code, with which the person enrols a phone within
three days. The code works once, and is not shown again: whoever has it gets the person's account.

With -replaces an account ends when the new one begins: the person has forgotten a PIN, lost the
phone, or has a key that is destroyed.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		r := new(registerRun)
		r.declare(flags)
		flags.StringVar(&r.level, "level", "qualified", "how well the person is known: `qualified` or advanced")
		flags.StringVar(&r.given, "given", "", "given `name`")
		flags.StringVar(&r.surname, "surname", "", "`surname`")
		flags.StringVar(&r.born, "born", "", "`date` of birth, as 2005-04-04")
		flags.StringVar(&r.email, "email", "", "`address` for notices")
		flags.Func("replaces", "`document` number of an account that ends then; may be given several times", func(s string) error {
			d, err := identity.ParseDocument(s)
			if err != nil {
				return err
			}
			r.replaces = append(r.replaces, d)
			return nil
		})
		return r.run
	},
}

// registerRun is one run of the command.
type registerRun struct {
	serviceFlags
	level, given, surname, born, email string
	replaces                           []identity.Document
}

func (r *registerRun) run(ctx context.Context, c *call) (result, error) {
	if len(c.files) != 1 {
		return nil, usagef("want one PERSON, such as PNOEE-40504040001, not %d", len(c.files))
	}
	id, err := identity.ParseID(c.files[0])
	if err != nil {
		return nil, usagef("%q: %v", c.files[0], err)
	}
	level, err := parseLevel(r.level)
	if err != nil {
		return nil, err
	}
	person := identity.Person{ID: id, Given: r.given, Surname: r.surname}
	if r.born != "" {
		if person.Born, err = time.Parse(time.DateOnly, r.born); err != nil {
			return nil, usagef("-born is a date such as 2005-04-04, not %q", r.born)
		}
	}
	if err := person.Check(); err != nil {
		return nil, usagef("%v", err)
	}
	out := &registerResult{Person: id.String()}
	return out, r.with(ctx, c, func(reg *registry) error {
		code, err := reg.Register(ctx, accounts.Registration{Person: person, Level: level, Email: r.email, Replaces: r.replaces})
		if errors.Is(err, accounts.ErrRequest) || errors.Is(err, accounts.ErrNotFound) || errors.Is(err, accounts.ErrEnded) {
			return usagef("%v", err)
		}
		out.Code, out.Expires = code.Code, code.Expires
		return err
	})
}

func parseLevel(s string) (identity.Level, error) {
	switch s {
	case "qualified":
		return identity.Qualified, nil
	case "advanced":
		return identity.Advanced, nil
	}
	return 0, usagef("-level is qualified or advanced, not %q", s)
}

type registerResult struct {
	Person  string    `json:"person"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

func (r *registerResult) text(w io.Writer) {
	fmt.Fprintf(w, "%s\nthe code for %s, until %s; it is not shown again\n", r.Code, r.Person, r.Expires.UTC().Format(time.RFC3339))
}
