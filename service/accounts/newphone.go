package accounts

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/notices"
)

// askedLife is how long a new phone's request waits for the old phone.
const askedLife = 10 * time.Minute

// requestText is how a request is written: 52 characters that QR codes hold in their
// compact form, and that no command takes for a flag.
var requestText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Request returns what the QR code of a new phone shows: base32 of SHA-256 of its token,
// 52 characters. It tells nothing about the token.
func Request(token string) string {
	hash := requestHash(token)
	return requestText.EncodeToString(hash[:])
}

// requestHash is another one than that by which tokens are found, so that the QR code
// tells nobody what is in the database.
func requestHash(token string) [sha256.Size]byte {
	return sha256.Sum256([]byte("tandem new phone request 1 " + token))
}

// Ask begins an enrolment for a new phone that is to take the place of an old one. The
// phone draws the token, shows the QR code, and calls Continue until the old phone has
// approved it, for at most ten minutes. source is where the call comes from. Asked again
// with the same token, it is the same request.
func (a *Accounts) Ask(ctx context.Context, token, device, source string) (request string, expires time.Time, err error) {
	if err := a.ready(ctx); err != nil {
		return "", time.Time{}, err
	}
	hash, err := hashToken(token)
	if err == nil {
		err = checkLabel(device)
	}
	if err == nil {
		err = a.allowCode(ctx, source)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	now := a.now()
	expires = now.Add(askedLife)
	of := requestHash(token)
	err = a.db.Tx(ctx, func(tx *sql.Tx) error {
		e, err := a.find(ctx, tx, "token", hash)
		if err == nil && e.state == asked && e.device == device {
			expires = e.expires
			return nil
		}
		if err := unused(ctx, tx, hash); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO enrolments (id, state, request, token, person, subject, level, document, replaces, device, created, expires, opened)
VALUES ($1, 'asked', $2, $3, '', '{}', 0, '', '', $4, $5, $6, 0)`, newID(now), of[:], hash, device, millis(now), millis(expires))
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return Request(token), expires, nil
}

// NewPhone is what the old phone shows, and signs with the key for signatures and its
// PIN: that another phone takes its place.
type NewPhone struct {
	Device    string // the new phone's label
	Digest    []byte // SHA-256, see NewPhoneDigest
	Challenge []byte // for device.Device.Sign with crypto.SHA256
	Expires   time.Time
}

// NewPhoneDigest is what the old phone signs, as it computes it from what it has scanned
// and shows: SHA-256 of the following, each of which ends with a line feed.
//
//	tandem new phone 1
//	the old account's document number
//	the QR code's text
//	the new phone's label
func NewPhoneDigest(document, request, device string) []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{"tandem new phone 1", document, request, device, ""}, "\n")))
	return sum[:]
}

// NewPhone returns what the phone of an account must sign so that the one whose QR code
// it has scanned takes its place. The error is ErrCode for a QR code that is outdated or
// none of this service's, ErrEnded for an account that is not active.
func (a *Accounts) NewPhone(ctx context.Context, old Account, request string) (NewPhone, error) {
	if err := a.ready(ctx); err != nil {
		return NewPhone{}, err
	}
	if old.State != Active {
		return NewPhone{}, ErrEnded
	}
	e, err := a.requested(ctx, request)
	if err != nil {
		return NewPhone{}, err
	}
	if e.state != asked {
		return NewPhone{}, ErrCode
	}
	digest := NewPhoneDigest(old.Document.String(), request, e.device)
	challenge, err := a.config.Keys.ChallengeSign(ctx, old.Key(ca.Signature).ID, digest, crypto.SHA256)
	if err != nil {
		return NewPhone{}, err
	}
	return NewPhone{e.device, digest, challenge, e.expires}, nil
}

func (a *Accounts) requested(ctx context.Context, request string) (e enrolment, err error) {
	hash, err := requestText.DecodeString(request)
	if err != nil || len(hash) != sha256.Size || requestText.EncodeToString(hash) != request {
		return enrolment{}, ErrCode
	}
	err = a.db.Read(ctx, func(tx *sql.Tx) error {
		e, err = a.find(ctx, tx, "request", hash)
		return err
	})
	return e, err
}

// ErrSignature is returned by [Accounts.Approve] for a signature that is not the old
// phone's over NewPhoneDigest.
var ErrSignature = errors.New("accounts: not the old phone's signature")

// Approve lets the phone whose QR code was scanned enrol in place of an account's, by
// that account's signature (PKCS#1 v1.5, SHA-256). The account goes on until the new one
// begins. Approved again, nothing changes. The errors are those of NewPhone, and
// ErrSignature.
func (a *Accounts) Approve(ctx context.Context, old Account, request string, signature []byte) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	e, err := a.requested(ctx, request)
	if err != nil {
		return err
	}
	key, err := publicKey(old.Key(ca.Signature).Certificate)
	if err != nil {
		return err
	}
	digest := NewPhoneDigest(old.Document.String(), request, e.device)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) != nil {
		return ErrSignature
	}
	document := old.Document.String()
	return a.db.Tx(ctx, func(tx *sql.Tx) error {
		now, err := a.find(ctx, tx, "token", e.token)
		if err != nil {
			return err
		}
		if now.state != asked {
			if now.replaces == document {
				return nil // this account has approved it before
			}
			return ErrCode
		}
		// As it is now, not as the caller has it.
		accounts, err := a.read(a.db.Within(ctx, tx), "WHERE a.document = $1", document)
		if err != nil {
			return err
		}
		if len(accounts) != 1 || accounts[0].State != Active {
			return ErrEnded
		}
		person := accounts[0].Person
		var email string
		if err := tx.QueryRowContext(ctx, "SELECT email FROM persons WHERE id = $1", person.ID.String()).Scan(&email); err != nil {
			return err
		}
		who, err := json.Marshal(subject{person.Given, person.Surname, formatBorn(person.Born), email})
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE enrolments SET state = 'approved', person = $1, subject = $2, level = $3, replaces = $4, expires = $5 WHERE id = $6`,
			person.ID.String(), string(who), int64(old.Document.Level), document, millis(a.now().Add(begunLife)), e.id); err != nil {
			return err
		}
		if err := addHistory(ctx, tx, old.Document, Entry{Kind: "new phone approved", Device: e.device}, a.now()); err != nil {
			return err
		}
		return a.notify(ctx, tx, old.Document, notices.Notice{Kind: notices.PhoneApproved})
	})
}

// publicKey returns the key of a certificate.
func publicKey(der []byte) (*rsa.PublicKey, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("accounts: damaged certificate: %w", err)
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errDamaged
	}
	return key, nil
}
