package transactions

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/rp"
)

// authenticate finds out who asks, and whether it may ask for this.
func (e *Engine) authenticate(ctx context.Context, r rp.Request, source rp.Source) error {
	party, err := e.known(ctx, r.RelyingPartyUUID, source)
	if err != nil {
		return err
	}
	return mayAsk(party, r)
}

// maxParties is about how many relying parties are kept.
const maxParties = 1000

// likely reports whether a request would have been authenticated when its relying party
// was last read. It decides nothing but what is done first.
func (e *Engine) likely(r rp.Request, source rp.Source) bool {
	party, ok := e.parties.Get(r.RelyingPartyUUID)
	return ok && party.Sent(source) && mayAsk(party, r) == nil
}

func mayAsk(party accounts.RelyingParty, r rp.Request) error {
	forbidden := func(pointer, detail string) error {
		return &rp.Problem{Kind: rp.Forbidden, Pointer: pointer, Detail: detail}
	}
	switch {
	case !party.Named(r.RelyingPartyName):
		return forbidden("/relyingPartyName", "is not a name of this relying party")
	case r.Level == rp.LevelAdvanced && !party.Advanced:
		return forbidden("/certificateLevel", "is a level that this relying party may not ask for")
	case r.ShareIP && !party.ShareIP:
		return forbidden("/requestProperties/shareMdClientIpAddress", "is not for this relying party")
	}
	for _, c := range r.Capabilities {
		if !slices.Contains(party.Capabilities, c) {
			return forbidden("/capabilities", "has one that this relying party does not have")
		}
	}
	return nil
}

// known finds a relying party by its UUID, and checks where the request is from.
func (e *Engine) known(ctx context.Context, uuid string, source rp.Source) (accounts.RelyingParty, error) {
	party, err := e.accounts.RelyingParty(ctx, uuid)
	if errors.Is(err, accounts.ErrNotFound) {
		return party, unauthorized()
	}
	if err != nil {
		return party, err
	}
	e.parties.Put(uuid, party)
	if !party.Sent(source) {
		return party, unauthorized()
	}
	return party, nil
}

// unauthorized is the same for an unknown relying party and for a wrong address.
func unauthorized() error { return &rp.Problem{Kind: rp.Unauthorized, Detail: "unknown relying party"} }

// admitSource checks where a question for a session is from.
func (e *Engine) admitSource(ctx context.Context, s session, source rp.Source) error {
	_, err := e.known(ctx, s.Request.RelyingPartyUUID, source)
	return err
}

// allow takes a place in the quotas.
func (e *Engine) allow(ctx context.Context, r rp.Request, source rp.Source) error {
	return later(e.accounts.Allow(ctx, personOf(r), r.RelyingPartyUUID, address(source.Address)))
}

// allowed takes a place in the quotas, and then does something in the same transaction.
// If that ends with an error, nothing is taken.
func (e *Engine) allowed(ctx context.Context, r rp.Request, source rp.Source, do func(*sql.Tx) error) error {
	return later(e.accounts.AllowWithin(ctx, personOf(r), r.RelyingPartyUUID, address(source.Address), func(take func(context.Context, *sql.Tx) error) error {
		return e.db.TxReadCommitted(ctx, func(tx *sql.Tx) error {
			if err := take(ctx, tx); err != nil {
				return err
			}
			return do(tx)
		})
	}))
}

// personOf returns whom a request names; the zero ID if nobody.
func personOf(r rp.Request) identity.ID {
	switch t := r.Target; {
	case t.Document != nil:
		return t.Document.ID
	case t.Person != nil:
		return *t.Person
	}
	return identity.ID{}
}

// later is an error of the quotas as a relying party learns it.
func later(err error) error {
	var later *quota.Later
	if errors.As(err, &later) {
		return &rp.Problem{Kind: rp.TooManyRequests, Detail: "too many requests: later"}
	}
	return err
}

// history writes down what the accounts of a session took part in, for their owner.
func (e *Engine) history(ctx context.Context, tx *sql.Tx, s session) error {
	kinds := map[rp.Kind]string{rp.Authentication: "authentication", rp.Signature: "signature", rp.CertificateChoice: "certificate choice"}
	for _, a := range s.Accounts {
		entry := accounts.Entry{
			At: s.Completed, Kind: kinds[s.Request.Kind], RelyingParty: s.Request.RelyingPartyName, Text: a.Claim.Interaction.Text,
			Result: s.Outcome.End.String(),
			Flow:   string(a.Claim.Flow), Device: a.Claim.Device, Address: a.Claim.Address,
		}
		switch {
		case a.Stage == invited:
			entry.Result += ", not opened"
		case s.Outcome.End == rp.OK && s.Outcome.Document != a.Document:
			entry.Result += ", on another device"
		}
		if err := e.accounts.AddHistory(ctx, tx, a.Document, entry); err != nil {
			return err
		}
	}
	return nil
}
