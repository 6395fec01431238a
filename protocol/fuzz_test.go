package protocol

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// Every decoder takes exactly what its encoder writes: what it accepts encodes to the same bytes.

func FuzzParseEnvelope(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEnvelope(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again := append([]byte{wireVersion, byte(e.op)}, e.hpkeKey[:]...)
		again = append(append(append(again, e.keyID[:]...), e.enc...), e.sealed...)
		require.Equal(t, data, again)
	})
}

func FuzzParseChallenge(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseChallenge(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.Equal(t, data, c.raw[:])
		require.Less(t, c.issued, c.expires)
	})
}

func FuzzParseEnrollment(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEnrollment(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again, err := e.encode(e.challenge.keyID, nil)
		require.NoError(t, err)
		whole := append(append(bytes.Clone(e.body), byte(len(e.signature))), e.signature...)
		require.Equal(t, data, whole)
		require.Equal(t, e.body, again[:len(again)-1])
	})
}

func FuzzParseRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRequest(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again, err := r.encode(newSecret(make([]byte, secretSize)), r.challenge.keyID, nil)
		require.NoError(t, err)
		require.Equal(t, r.body, again[:len(again)-sha256.Size-1])
		whole := append(append(bytes.Clone(r.body), byte(len(r.hardware))), r.hardware...)
		require.Equal(t, data, append(whole, r.mac[:]...))
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAnswer(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again, err := a.encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
		require.Equal(t, a.err() == nil, a.code == codeEnrolled || a.code == codeRight)
	})
}

func FuzzParseKeyDocument(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		serial, key, err := parseKeyDocument(data, nil)
		if err != nil {
			require.ErrorIs(t, err, ErrKeyDocument)
			return
		}
		again := documentOf(t, serial, key)
		require.Equal(t, data[:len(data)-64], again[:len(again)-64])
		_, _, err = parseKeyDocument(append(data[:len(data)-64:len(data)-64], make([]byte, 64)...), testAuthority.Public().(ed25519.PublicKey))
		require.ErrorIs(t, err, ErrKeyDocument, "nobody forges a signature")
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRecord(data)
		if err != nil {
			require.ErrorIs(t, err, ErrRecord)
			return
		}
		again, err := r.encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzParseSecrets(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSecrets(data)
		if err != nil {
			require.ErrorIs(t, err, ErrRecord)
			return
		}
		again, err := s.encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzParseSpent(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseSpent(data)
		if err != nil {
			require.ErrorIs(t, err, ErrRecord)
			return
		}
		require.Equal(t, data, p.encode())
	})
}

// FuzzParseDeviceState also tries the data as what is inside of a right checksum.
func FuzzParseDeviceState(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		inside := append([]byte(stateMagic), wireVersion, stateChecked)
		inside = append(inside, data...)
		sum := sha256.Sum256(inside)
		for _, encoded := range [][]byte{data, append(inside, sum[:]...)} {
			s, err := parseDeviceState(encoded, nil)
			if err != nil {
				require.ErrorIs(t, err, ErrState)
				continue
			}
			again, err := s.encode(nil)
			require.NoError(t, err)
			require.Equal(t, encoded, again)
		}
	})
}

func FuzzParseKeyID(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseKeyID(text)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.Equal(t, text, id.String())
	})
}

func FuzzOpenSealed(f *testing.F) {
	f.Fuzz(func(t *testing.T, aad, data []byte) {
		s, err := NewSoftwareSealer(bytes.Repeat([]byte{2}, SealerKeySize), bytes.Repeat([]byte{1}, SealerKeySize))
		require.NoError(t, err)
		_, err = s.Open(t.Context(), aad, data)
		require.ErrorIs(t, err, ErrSealed, "nobody forges a tag")
		sealed, err := s.Seal(t.Context(), aad, data)
		require.NoError(t, err)
		opened, err := s.Open(t.Context(), aad, sealed)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, opened))
		_, err = s.Open(t.Context(), append(bytes.Clone(aad), 0), sealed)
		require.ErrorIs(t, err, ErrSealed)
	})
}

func FuzzOpenAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := reply{secret: newSecret(make([]byte, secretSize))}.open(data)
		require.ErrorIs(t, err, ErrAnswer, "nobody forges a tag")
	})
}

// fixture is a server in which nothing is random, with one active key, so that a corpus means the same every time.
type fixture struct {
	server   *Server
	store    limiter.Store
	id       KeyID
	authKey  secret
	tokens   []secret
	chain    hash
	template []byte // the record
}

// fixtureTime is when the challenges of the corpus are fresh.
var fixtureTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newFixture(tb testing.TB) *fixture {
	x := &fixture{
		id: KeyID{1, 2, 3}, authKey: newSecret(bytes.Repeat([]byte{0xd}, secretSize)),
		tokens: []secret{newSecret(bytes.Repeat([]byte{0x1}, secretSize)), newSecret(bytes.Repeat([]byte{0x2}, secretSize))},
	}
	private, err := kem.NewPrivateKey(bytes.Repeat([]byte{0x77}, 32))
	require.NoError(tb, err)
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{2}, SealerKeySize))
	require.NoError(tb, err)
	config := Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: HPKEKeys{Current: private},
		ChallengeKey: bytes.Repeat([]byte{3}, 32), Clock: func() time.Time { return fixtureTime }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	x.server, err = NewServer(config)
	require.NoError(tb, err)
	c, err := parseChallenge(x.server.challenges.issue(forEnrolment, x.id, fixtureTime, DefaultChallengeLife, hash{}))
	require.NoError(tb, err)
	_, share := testShares()
	e := &enrollment{challenge: c, share: hide(share.Bytes()), authKey: x.authKey, commitment: x.tokens[0].commitment()}
	a, err := x.server.enrollOnce(context.Background(), x.id, e, hash{}, fixtureTime.UnixMilli())
	require.NoError(tb, err)
	require.Equal(tb, codeEnrolled, a.code)
	value, _, err := config.Store.Load(context.Background(), x.id.recordID())
	require.NoError(tb, err)
	rec, err := parseRecord(value)
	require.NoError(tb, err)
	rec.condition, rec.events = Active, nil
	x.chain = rec.chain
	x.template, err = rec.encode()
	require.NoError(tb, err)
	return x
}

// reset gives the server a store with the active key in it.
func (x *fixture) reset(tb testing.TB) {
	x.store = new(storetest.MemoryStore)
	require.NoError(tb, x.store.Create(context.Background(), x.id.recordID(), x.template))
	x.server.config.Store = x.store
}

// FuzzHandle: the server's whole input surface, bytes as they come from outside.
func FuzzHandle(f *testing.F) {
	x := newFixture(f)
	f.Fuzz(func(t *testing.T, request []byte) {
		x.reset(t)
		response, err := x.server.Handle(t.Context(), request)
		if err != nil {
			require.Equal(t, ErrRefused, err)
			require.Nil(t, response)
			value, _, err := x.store.Load(t.Context(), x.id.recordID())
			require.NoError(t, err)
			require.Equal(t, x.template, value)
			return
		}
		require.LessOrEqual(t, len(response), MaxResponse)
		again, err := x.server.Handle(t.Context(), request)
		require.NoError(t, err)
		require.Len(t, again, len(response))
	})
}

// FuzzHandlePlaintext: what is inside of the encryption, from a device that has the right key and says anything.
// The target puts in a right MAC and, in place of what the plaintext has there, a fresh challenge.
func FuzzHandlePlaintext(f *testing.F) {
	x := newFixture(f)
	pub, err := kem.NewPublicKey(x.server.ServerKey())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, op byte, plaintext []byte) {
		x.reset(t)
		request, r, err := sealRequest(pub, Operation(op), x.id, x.complete(plaintext))
		require.NoError(t, err)
		response, err := x.server.Handle(t.Context(), request)
		value, _, loadErr := x.store.Load(t.Context(), x.id.recordID())
		require.NoError(t, loadErr)
		rec, parseErr := parseRecord(value)
		require.NoError(t, parseErr, "the record stays readable")
		if err != nil {
			require.Equal(t, ErrRefused, err)
			require.Equal(t, x.template, value, "and unchanged")
			return
		}
		opened, err := r.open(response)
		require.NoError(t, err)
		a, err := parseAnswer(opened)
		require.NoError(t, err)
		if a.code == codeRight || a.code == codeWrong || a.code == codeCancelled {
			require.Equal(t, uint64(1), rec.last.number)
			require.True(t, rec.last.request == r.request || a.code == codeCancelled)
		}
		require.Equal(t, rec.condition == Destroyed, a.code == codeDestroyed)
	})
}

// complete puts a fresh challenge, which is for what is there to sign, and a right MAC into the plaintext of a request.
func (x *fixture) complete(plaintext []byte) []byte {
	body := bytes.Clone(plaintext)
	const after = 3 + ChallengeSize
	if len(body) > after+8+3*sha256.Size+7+sha256.Size && body[2] == ChallengeSize {
		p, binding := forOwnUse, hash{}
		r, err := parseRequest(body)
		if err == nil && r.op == OpSign {
			p, binding = forTransaction, r.messages.binding()
		}
		copy(body[3:], x.server.challenges.issue(p, x.id, fixtureTime, DefaultChallengeLife, binding))
	}
	if len(body) < sha256.Size {
		return body
	}
	end := len(body) - sha256.Size
	return append(body[:end], requestMAC(x.authKey, x.id, body[:end])...)
}
