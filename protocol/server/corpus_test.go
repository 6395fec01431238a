package server

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestCorpora: see protocoltest.CheckCorpora.
func TestCorpora(t *testing.T) { protocoltest.CheckCorpora(t, corpus(t)) }

func corpus(t *testing.T) map[string]protocoltest.Seeds {
	x := newServerFixture(t)
	all := map[string]protocoltest.Seeds{
		"FuzzParseRecord":  protocoltest.Variants(map[string][]byte{"good-active": x.template, "good-events": recordWithEvents(t, x.template), "good-destroyed": deadRecord(t, x.template), "good-recovered": recoveredRecord(t, x.template)}),
		"FuzzParseSecrets": protocoltest.Variants(map[string][]byte{"good": someSecrets(t)}),
		"FuzzParseSpent":   protocoltest.Variants(map[string][]byte{"good-begun": spent{request: wire.Hash{1}}.encode(), "good-refused": spent{wire.Hash{2}, wire.RefusedFactor}.encode(), "reason": spent{wire.Hash{3}, wire.RefusedSmall + 1}.encode()}),
		"FuzzOpenSealed": {"empty": {[]byte{}, []byte{}}, "no-key": {[]byte("a"), append([]byte{2}, make([]byte, 60)...)},
			"key": {[]byte("aad"), sealedByFixture(t)}, "version": {[]byte("aad"), append([]byte{3}, sealedByFixture(t)[1:]...)}},
		"FuzzHandle": {"empty": {[]byte{}}},
	}
	pub, err := wire.KEM.NewPublicKey(x.server.HPKEKey())
	require.NoError(t, err)
	inside := make(protocoltest.Seeds)
	for name, plaintext := range x.Requests(t) {
		op := plaintext[1]
		request, _, err := x.Seal(pub, protocol.Operation(op), plaintext)
		require.NoError(t, err)
		for variant, bytes := range protocoltest.Variants(map[string][]byte{name: request}) {
			all["FuzzHandle"][variant] = bytes
		}
		inside[name] = []any{op, plaintext}
		inside["other-operation-"+name] = []any{op%7 + 1, plaintext}
		inside["cut-"+name] = []any{op, plaintext[:len(plaintext)*2/3]}
	}
	inside["enrolment"] = []any{byte(protocol.OpEnroll), x.Enrollment(t)}
	all["FuzzHandlePlaintext"] = inside
	return all
}

func changedRecord(t *testing.T, template []byte, change func(*record)) []byte {
	rec, err := parseRecord(template)
	require.NoError(t, err)
	change(rec)
	b, err := rec.encode()
	require.NoError(t, err)
	return b
}

func recordWithEvents(t *testing.T, template []byte) []byte {
	return changedRecord(t, template, func(r *record) {
		at := protocoltest.FixtureTime.UnixMilli()
		r.last = settled{number: 9, request: wire.Hash{1}, fate: wire.FateWrong, verdict: wire.Verdict{Remaining: 2, Total: 8, Until: 0}}
		r.chain = wire.NextChain(r.chain, r.last.request, r.last.fate)
		r.events = []event{
			{kind: signedEvent, at: at, documents: 3}, {kind: wrongEvent, at: at, verdict: wire.Verdict{Remaining: 2, Total: 8, Until: 0}},
			{kind: refreshedEvent, at: at}, {kind: destroyedEvent, at: at, reason: protocol.ReasonClone},
			{kind: wrongEvent, at: at, reason: protocol.ReasonPIN}, {kind: cancelledEvent, at: at},
		}
		r.eventNumber = 11
	})
}

func deadRecord(t *testing.T, template []byte) []byte {
	return changedRecord(t, template, func(r *record) { r.destroy(protocol.ReasonClone) })
}

func recoveredRecord(t *testing.T, template []byte) []byte {
	return changedRecord(t, template, func(r *record) {
		r.recovered, r.unheard = protocoltest.FixtureTime.UnixMilli(), true
		r.events, r.eventNumber = []event{{kind: recoveredEvent, at: r.recovered, verdict: wire.Verdict{Total: 6}}}, 3
	})
}

func someSecrets(t *testing.T) []byte {
	b, err := (&secrets{protocoltest.MustShare(), []byte("blob"), make([]byte, 256)}).encode()
	require.NoError(t, err)
	return b
}

func sealedByFixture(t *testing.T) []byte {
	s, err := NewSoftwareSealer(bytes.Repeat([]byte{2}, SealerKeySize))
	require.NoError(t, err)
	b, err := s.Seal(t.Context(), []byte("other"), []byte("text"))
	require.NoError(t, err)
	return b
}
