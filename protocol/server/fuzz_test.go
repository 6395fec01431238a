package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Every decoder takes exactly what its encoder writes: what it accepts encodes to the
// same bytes.

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

// serverFixture is a server with the fixture's key, which is active.
type serverFixture struct {
	*protocoltest.Fixture
	server   *Server
	store    limiter.Store
	template []byte // the record
}

func newServerFixture(tb testing.TB) *serverFixture {
	x := &serverFixture{Fixture: protocoltest.NewFixture()}
	private, err := wire.KEM.NewPrivateKey(bytes.Repeat([]byte{0x77}, 32))
	require.NoError(tb, err)
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{2}, SealerKeySize))
	require.NoError(tb, err)
	config := Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: HPKEKeys{Current: private},
		ChallengeKey: protocoltest.FixtureChallengeKey, Clock: func() time.Time { return protocoltest.FixtureTime }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	x.server, err = New(config)
	require.NoError(tb, err)
	c, err := wire.ParseChallenge(x.Challenge(wire.ForEnrolment, wire.Hash{}))
	require.NoError(tb, err)
	_, share := protocoltest.Shares()
	e := &wire.Enrollment{Challenge: c, Share: secret.Own(share.Bytes()), AuthKey: wire.NewSecret(x.AuthKey.Get()), Commitment: x.Tokens[0].Commitment()}
	a, err := x.server.enrollOnce(context.Background(), x.Id, e, wire.Hash{}, protocoltest.FixtureTime.UnixMilli())
	require.NoError(tb, err)
	require.Equal(tb, wire.CodeEnrolled, a.Code)
	value, _, err := config.Store.Load(context.Background(), recordID(x.Id))
	require.NoError(tb, err)
	rec, err := parseRecord(value)
	require.NoError(tb, err)
	rec.condition, rec.events = Active, nil
	x.Chain = rec.chain
	x.template, err = rec.encode()
	require.NoError(tb, err)
	return x
}

// reset gives the server a store with the active key in it.
func (x *serverFixture) reset(tb testing.TB) {
	x.store = new(storetest.MemoryStore)
	require.NoError(tb, x.store.Create(context.Background(), recordID(x.Id), x.template))
	x.server.config.Store = x.store
}

// FuzzHandle: the server's whole input surface, bytes as they come from outside.
func FuzzHandle(f *testing.F) {
	x := newServerFixture(f)
	f.Fuzz(func(t *testing.T, request []byte) {
		x.reset(t)
		response, err := x.server.Handle(t.Context(), request)
		if err != nil {
			require.Equal(t, ErrRefused, err)
			require.Nil(t, response)
			value, _, err := x.store.Load(t.Context(), recordID(x.Id))
			require.NoError(t, err)
			require.Equal(t, x.template, value)
			return
		}
		require.LessOrEqual(t, len(response), protocol.MaxResponse)
		again, err := x.server.Handle(t.Context(), request)
		require.NoError(t, err)
		require.Len(t, again, len(response))
	})
}

// FuzzHandlePlaintext: what is inside of the encryption, from a device that has the right
// key and says anything. The target puts in a right MAC and, in place of what the
// plaintext has there, a fresh challenge.
func FuzzHandlePlaintext(f *testing.F) {
	x := newServerFixture(f)
	pub, err := wire.KEM.NewPublicKey(x.server.HPKEKey())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, op byte, plaintext []byte) {
		x.reset(t)
		request, r, err := x.Seal(pub, protocol.Operation(op), plaintext)
		require.NoError(t, err)
		response, err := x.server.Handle(t.Context(), request)
		value, _, loadErr := x.store.Load(t.Context(), recordID(x.Id))
		require.NoError(t, loadErr)
		rec, parseErr := parseRecord(value)
		require.NoError(t, parseErr, "the record stays readable")
		if err != nil {
			require.Equal(t, ErrRefused, err)
			require.Equal(t, x.template, value, "and unchanged")
			return
		}
		opened, err := r.Open(response)
		require.NoError(t, err)
		a, err := wire.ParseAnswer(opened)
		require.NoError(t, err)
		if a.Code == wire.CodeRight || a.Code == wire.CodeWrong || a.Code == wire.CodeCancelled {
			require.Equal(t, uint64(1), rec.last.number)
			require.True(t, rec.last.request == r.Request || a.Code == wire.CodeCancelled)
		}
		require.Equal(t, rec.condition == Destroyed, a.Code == wire.CodeDestroyed)
	})
}
