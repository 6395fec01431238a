package protocoltest

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Fixture is an enrolled key in which nothing is random, so that a corpus always means
// the same.
type Fixture struct {
	Id         protocol.KeyID
	AuthKey    wire.Secret
	Tokens     []wire.Secret
	Chain      wire.Hash
	challenges wire.ChallengeKey
}

// FixtureTime is when the challenges of the corpus are fresh.
var FixtureTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// FixtureChallengeKey is the challenge key of the fixture's server.
var FixtureChallengeKey = bytes.Repeat([]byte{3}, 32)

func NewFixture() *Fixture {
	challenges, err := wire.NewChallengeKey(FixtureChallengeKey)
	if err != nil {
		panic(err)
	}
	return &Fixture{
		Id: protocol.KeyID{1, 2, 3}, AuthKey: wire.NewSecret(bytes.Repeat([]byte{0xd}, wire.SecretSize)), challenges: challenges,
		Tokens: []wire.Secret{wire.NewSecret(bytes.Repeat([]byte{0x1}, wire.SecretSize)), wire.NewSecret(bytes.Repeat([]byte{0x2}, wire.SecretSize))},
	}
}

func (x *Fixture) Challenge(p wire.Purpose, binding wire.Hash) []byte {
	return x.challenges.Issue(p, x.Id, FixtureTime, 5*time.Minute, binding)
}

func (x *Fixture) Enrollment(t *testing.T) []byte {
	return EnrollmentOf(t, x.Challenge(wire.ForEnrolment, wire.Hash{}), MustShare())
}

func MustShare() []byte {
	_, server := Shares()
	return server.Bytes()
}

// Requests are a right and a wrong PIN, PSS, several documents, a refresh, a clone, a
// Cancel and a Report.
func (x *Fixture) Requests(t *testing.T) map[string][]byte {
	client, _ := Shares()
	encode := func(r *wire.Request) []byte {
		p, binding := wire.ForOwnUse, wire.Hash{}
		if r.Op == protocol.OpSign {
			p, binding = wire.ForTransaction, r.Messages.Binding()
		}
		var err error
		r.Challenge, err = wire.ParseChallenge(x.Challenge(p, binding))
		require.NoError(t, err)
		if r.Token.Get() == nil {
			r.Token = x.Tokens[0]
		}
		if r.Op != protocol.OpReport {
			r.Number, r.Chain, r.Target = max(r.Number, 1), x.Chain, x.Tokens[1].Commitment()
		}
		plaintext, err := r.Encode(x.AuthKey, x.Id, nil)
		require.NoError(t, err)
		return plaintext
	}
	sign := func(opts crypto.SignerOpts, texts ...string) *wire.Request {
		r := &wire.Request{Op: protocol.OpSign}
		final, err := splitkey.CheckFinalKey(client.PublicKey(), client.PublicKey())
		require.NoError(t, err)
		var digests [][]byte
		for _, text := range texts {
			digests = append(digests, DigestOf(text))
			m, err := final.Encode(DigestOf(text), opts)
			require.NoError(t, err)
			y, err := client.SignPartial(m)
			require.NoError(t, err)
			r.Salts, r.Partials = append(r.Salts, m.Salt()), append(r.Partials, y)
		}
		r.Messages, err = wire.NewMessages(digests, opts)
		require.NoError(t, err)
		return r
	}
	proof := func(op protocol.Operation) *wire.Request {
		return &wire.Request{Op: op, Salts: [][]byte{nil}, Partials: [][]byte{bytes.Repeat([]byte{3}, 256)}}
	}
	wrong, clone, ahead := sign(crypto.SHA256, "contract"), sign(crypto.SHA256, "contract"), sign(crypto.SHA256, "contract")
	wrong.Partials[0] = bytes.Repeat([]byte{3}, 256)
	clone.Token = x.Tokens[1]
	ahead.Number = 3
	signer, err := NewHardware(t).Signer()
	require.NoError(t, err)
	signed := sign(crypto.SHA256, "contract")
	signed.Challenge, err = wire.ParseChallenge(x.Challenge(wire.ForTransaction, signed.Messages.Binding()))
	require.NoError(t, err)
	signed.Number, signed.Token = 1, x.Tokens[0]
	hardware, err := signed.Encode(x.AuthKey, x.Id, signer)
	require.NoError(t, err)
	return map[string][]byte{
		"good-right":    encode(sign(crypto.SHA256, "contract")),
		"good-pss":      encode(sign(&rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32}, "contract", "annex")),
		"good-three":    encode(sign(crypto.SHA256, "contract", "annex", "receipt")),
		"good-wrong":    encode(wrong),
		"good-clone":    encode(clone),
		"good-ahead":    encode(ahead),
		"good-hardware": hardware,
		"good-own":      encode(proof(protocol.OpChangePIN)),
		"good-confirm":  encode(proof(protocol.OpConfirm)),
		"good-refresh":  encode(&wire.Request{Op: protocol.OpRefresh}),
		"good-cancel":   encode(&wire.Request{Op: protocol.OpCancel}),
		"good-report":   encode(&wire.Request{Op: protocol.OpReport, Token: wire.NewSecret(make([]byte, wire.SecretSize))}),
	}
}

// Seal completes the plaintext of a request and seals it, behind the ticket of its
// challenge or, where that is none of the server's, of another one.
func (x *Fixture) Seal(pub hpke.PublicKey, op protocol.Operation, plaintext []byte) ([]byte, wire.ResponseKey, error) {
	plaintext = x.Complete(plaintext)
	var ticket wire.Ticket
	if len(plaintext) > 3 {
		copy(ticket[:], plaintext[3:])
	}
	if !x.challenges.AuthenticTicket(&ticket) {
		ticket = wire.Ticket(x.Challenge(wire.ForOwnUse, wire.Hash{})[:wire.TicketSize])
	}
	return wire.SealRequest(pub, op, &ticket, plaintext)
}

// Complete puts a fresh challenge for what is to be signed, and a right MAC, into the
// plaintext of a request.
func (x *Fixture) Complete(plaintext []byte) []byte {
	body := bytes.Clone(plaintext)
	const after = 3 + protocol.ChallengeSize
	if len(body) > after+8+3*sha256.Size+7+sha256.Size && body[2] == protocol.ChallengeSize {
		p, binding := wire.ForOwnUse, wire.Hash{}
		r, err := wire.ParseRequest(body)
		if err == nil && r.Op == protocol.OpSign {
			p, binding = wire.ForTransaction, r.Messages.Binding()
		}
		copy(body[3:], x.Challenge(p, binding))
	}
	if len(body) < sha256.Size {
		return body
	}
	end := len(body) - sha256.Size
	mac := hmac.New(sha256.New, x.AuthKey.Get())
	mac.Write([]byte("tandem v2 request"))
	mac.Write(x.Id[:])
	mac.Write(body[:end])
	return mac.Sum(body[:end])
}
