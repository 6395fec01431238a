package ca

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"sync/atomic"
	"time"
)

const (
	// crlLife is from thisUpdate to nextUpdate.
	crlLife = 24 * time.Hour
	// crlInterval is how old a CRL gets before the next one is signed. The rest of its
	// life is for a node, a store or an HSM that is out of order meanwhile.
	crlInterval = time.Hour
)

// crlState is an issuing CA's last CRL, as this node knows it.
type crlState struct {
	turn     turn
	last     atomic.Pointer[signedCRL]
	outdated atomic.Bool // something was revoked since, on this node
}

type signedCRL struct {
	der        []byte
	number     int64
	thisUpdate time.Time
	nextUpdate time.Time
}

func newCRLState() crlState { return crlState{turn: newTurn()} }

// recent reports whether a CRL need not be signed anew. One from the future is of a clock
// that was wrong.
func (s *signedCRL) recent(t time.Time) bool {
	return s != nil && !t.Before(s.thisUpdate) && t.Before(s.thisUpdate.Add(crlInterval))
}

// CRL returns the list of what an issuing CA has revoked, in DER. It is signed anew if
// something was revoked on this node since the last one, or if that is more than an hour
// old. Its number is one more than the last, whichever node signed that. The error is
// ErrNotFound if there is no such issuing CA.
//
// A certificate that expired more than a day ago is not in it; OCSP still tells about
// that. If no CRL can be signed, the last one is returned as long as it is valid.
func (a *Authority) CRL(ctx context.Context, issuer string) ([]byte, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	i := a.issuer(issuer)
	if i == nil {
		return nil, ErrNotFound
	}
	if last := i.crl.last.Load(); last.recent(now()) && !i.crl.outdated.Load() {
		return last.der, nil
	}
	if err := i.crl.turn.take(ctx); err != nil {
		return nil, err
	}
	defer i.crl.turn.give()
	next, err := a.nextCRL(ctx, i)
	if last := i.crl.last.Load(); err != nil && last != nil && now().Before(last.nextUpdate) {
		return last.der, nil
	}
	if err != nil {
		return nil, err
	}
	i.crl.last.Store(next)
	return next.der, nil
}

// nextCRL is called by one at a time.
func (a *Authority) nextCRL(ctx context.Context, i *issuer) (next *signedCRL, err error) {
	// What is revoked from here on may be missing in the list.
	outdated := i.crl.outdated.Swap(false)
	defer func() {
		if err != nil && outdated {
			i.crl.outdated.Store(true)
		}
	}()
	for {
		number, der, err := a.store.CRL(ctx, i.id)
		if err != nil {
			return nil, fmt.Errorf("ca: loading a CRL: %w", err)
		}
		// Somebody else may have signed one meanwhile, here or on another node.
		if stored := i.read(number, der); stored.recent(now()) && !outdated {
			return stored, nil
		}
		next, err := a.signCRL(ctx, i, number+1)
		if err != nil {
			return nil, err
		}
		err = a.store.SetCRL(ctx, i.id, next.number, next.der)
		if err == nil {
			return next, nil
		}
		// After a conflict the winner's list may lack what made this one outdated.
		if !errors.Is(err, ErrConflict) {
			return nil, fmt.Errorf("ca: storing a CRL: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// read returns a stored CRL; nil if there is none, or it is not what was stored.
func (i *issuer) read(number int64, der []byte) *signedCRL {
	l, err := x509.ParseRevocationList(der)
	if err != nil || l.CheckSignatureFrom(i.Certificate) != nil || l.Number == nil || l.Number.Cmp(big.NewInt(number)) != 0 {
		return nil
	}
	return &signedCRL{der, number, l.ThisUpdate, l.NextUpdate}
}

func (a *Authority) signCRL(ctx context.Context, i *issuer, number int64) (*signedCRL, error) {
	t := now()
	records, err := a.store.Revoked(ctx, i.id, t.Add(-crlLife))
	if err != nil {
		return nil, fmt.Errorf("ca: listing what is revoked: %w", err)
	}
	l := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: t, NextUpdate: t.Add(crlLife)}
	for _, r := range records {
		if r.Revoked == nil {
			return nil, fmt.Errorf("ca: the store lists %v as revoked, which is not", r.Serial)
		}
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.Serial.number(), RevocationTime: r.Revoked.At, ReasonCode: int(r.Revoked.Reason),
		})
	}
	// It verifies what the signer made.
	der, err := x509.CreateRevocationList(rand.Reader, l, i.Certificate, i.Signer)
	if err != nil {
		return nil, fmt.Errorf("ca: signing a CRL: %w", err)
	}
	return &signedCRL{der, number, l.ThisUpdate, l.NextUpdate}, nil
}
