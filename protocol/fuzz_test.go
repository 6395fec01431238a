package protocol

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock"
)

// Every decoder takes exactly what its encoder writes: what it accepts encodes to the same bytes.

func FuzzParseEnvelope(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEnvelope(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again := append([]byte{wireVersion, byte(e.op)}, e.serverKey[:]...)
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
		again, err := e.encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzParseAttempt(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAttempt(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		key := newSecret(make([]byte, secretSize))
		again, err := a.encode(key, a.challenge.keyID)
		require.NoError(t, err)
		require.Equal(t, a.body, again[:len(again)-sha256.Size])
		require.Equal(t, data, append(bytes.Clone(a.body), a.mac[:]...))
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
	server    *Server
	store     pinlock.Store
	id        KeyID
	deviceKey secret
	tokens    []secret
	template  []byte // the record
}

// fixtureTime is when the challenges of the corpus are fresh.
var fixtureTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newFixture(tb testing.TB) *fixture {
	x := &fixture{
		id: KeyID{1, 2, 3}, deviceKey: newSecret(bytes.Repeat([]byte{0xd}, secretSize)),
		tokens: []secret{newSecret(bytes.Repeat([]byte{0x1}, secretSize)), newSecret(bytes.Repeat([]byte{0x2}, secretSize))},
	}
	private, err := kem.NewPrivateKey(bytes.Repeat([]byte{0x77}, 32))
	require.NoError(tb, err)
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{2}, SealerKeySize))
	require.NoError(tb, err)
	config := Config{
		Store: pinlock.NewMemoryStore(), Policy: pinlock.DefaultPolicy(), Sealer: sealer, HPKE: HPKEKeys{Current: private},
		ChallengeKey: bytes.Repeat([]byte{3}, 32), Clock: func() time.Time { return fixtureTime }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	x.server, err = NewServer(config)
	require.NoError(tb, err)
	c, err := parseChallenge(x.server.challenges.issue(forEnrolment, x.id, fixtureTime, DefaultChallengeLife, nil))
	require.NoError(tb, err)
	_, share := testShares()
	e := &enrollment{challenge: c, share: hide(share.Bytes()), deviceKey: x.deviceKey, commitment: x.tokens[0].commitment()}
	a, err := x.server.enrollOnce(context.Background(), x.id, e, hash{}, fixtureTime.UnixMilli())
	require.NoError(tb, err)
	require.Equal(tb, codeEnrolled, a.code)
	value, _, err := config.Store.Load(context.Background(), x.id.recordID())
	require.NoError(tb, err)
	rec, err := parseRecord(value)
	require.NoError(tb, err)
	rec.condition = Active
	x.template, err = rec.encode()
	require.NoError(tb, err)
	return x
}

// reset gives the server a store with the active key in it.
func (x *fixture) reset(tb testing.TB) {
	x.store = pinlock.NewMemoryStore()
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
		if a.code.settled() {
			require.NotNil(t, rec.ring.find(r.request))
			require.Equal(t, rec.current, a.current)
		}
		require.Equal(t, rec.condition == Destroyed, a.code == codeDestroyed)
	})
}

// complete puts a fresh challenge and a right MAC into the plaintext of an attempt.
func (x *fixture) complete(plaintext []byte) []byte {
	body := bytes.Clone(plaintext)
	if len(body) > 3+ChallengeSize+sha256.Size && body[2] == ChallengeSize {
		var t text
		rest := cryptobyte.String(body[3+ChallengeSize:])
		p, binding := forOwnUse, []byte(nil)
		if t.read(&rest) && t.padding != noPadding {
			p, binding = forTransaction, t.binding()
		}
		copy(body[3:], x.server.challenges.issue(p, x.id, fixtureTime, DefaultChallengeLife, binding))
	}
	if len(body) < sha256.Size {
		return body
	}
	end := len(body) - sha256.Size
	return append(body[:end], deviceMAC(x.deviceKey, x.id, body[:end])...)
}
