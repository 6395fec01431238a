package wire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// challengeOf writes a challenge as docs/protocol.md has it, with MACs of zeros.
func challengeOf(purpose byte, issued, expires uint64, binding wire.Hash) []byte {
	raw := append([]byte{wire.Version, purpose}, make([]byte, protocol.KeyIDSize)...)
	raw = binary.BigEndian.AppendUint64(raw, issued)
	raw = binary.BigEndian.AppendUint64(raw, expires)
	raw = append(append(raw, make([]byte, 16+sha256.Size)...), binding[:]...)
	return append(raw, make([]byte, sha256.Size)...)
}

// TestChallengeRefused: purposes, bindings and times at the edges of what is taken.
func TestChallengeRefused(t *testing.T) {
	life := uint64(wire.MaxChallengeLife / time.Millisecond)
	short, long := challengeOf(1, 1, 2, wire.Hash{}), append(challengeOf(1, 1, 2, wire.Hash{}), 0)
	other := challengeOf(1, 1, 2, wire.Hash{})
	other[0]++
	for name, c := range map[string]struct {
		raw []byte
		ok  bool
	}{
		"short":                        {short[1:], false},
		"long":                         {long, false},
		"another version":              {other, false},
		"purpose 0":                    {challengeOf(0, 1, 2, wire.Hash{}), false},
		"purpose 1":                    {challengeOf(1, 1, 2, wire.Hash{}), true},
		"purpose 3":                    {challengeOf(3, 1, 2, wire.Hash{}), true},
		"purpose 4":                    {challengeOf(4, 1, 2, wire.Hash{}), false},
		"a transaction":                {challengeOf(2, 1, 2, wire.Hash{7}), true},
		"an enrolment that names one":  {challengeOf(1, 1, 2, wire.Hash{7}), false},
		"own use that names one":       {challengeOf(3, 1, 2, wire.Hash{7}), false},
		"no life":                      {challengeOf(1, 2, 2, wire.Hash{}), false},
		"a life of less":               {challengeOf(1, 2, 1, wire.Hash{}), false},
		"the longest life":             {challengeOf(1, 1, 1+life, wire.Hash{}), true},
		"a longer one":                 {challengeOf(1, 1, 2+life, wire.Hash{}), false},
		"until the last millisecond":   {challengeOf(1, wire.MaxTime-1, wire.MaxTime, wire.Hash{}), true},
		"until the one after":          {challengeOf(1, wire.MaxTime-1, wire.MaxTime+1, wire.Hash{}), false},
		"issued late":                  {challengeOf(1, wire.MaxTime+1, wire.MaxTime+2, wire.Hash{}), false},
		"issued before time was":       {challengeOf(1, 1<<63, 1, wire.Hash{}), false},
		"expires in negative numbers":  {challengeOf(1, 1<<63, 1<<63+1, wire.Hash{}), false},
		"a life that does not fit one": {challengeOf(1, 0, 1<<63, wire.Hash{}), false},
	} {
		parsed, err := wire.ParseChallenge(c.raw)
		if c.ok {
			require.NoError(t, err, name)
			require.Equal(t, c.raw, parsed.Raw[:])
		} else {
			require.ErrorIs(t, err, protocol.ErrMalformed, name)
			require.Nil(t, parsed)
		}
	}
}

// requestOf is a request of an operation that has all that it must have.
func requestOf(t *testing.T, op protocol.Operation) *wire.Request {
	purpose, binding := byte(wire.ForOwnUse), wire.Hash{}
	r := &wire.Request{Op: op, Number: 1, Token: wire.NewSecret(bytes.Repeat([]byte{1}, wire.SecretSize)), Target: wire.Hash{2}, Chain: wire.Hash{3}}
	switch op {
	case protocol.OpSign:
		purpose, binding = byte(wire.ForTransaction), wire.Hash{1}
		r.Messages = wire.Messages{Hash: 1, Padding: wire.PSS, Digests: [][]byte{make([]byte, 32)}}
		r.Salts, r.Partials = [][]byte{make([]byte, 32)}, [][]byte{make([]byte, 256)}
	case protocol.OpConfirm, protocol.OpChangePIN:
		r.Salts, r.Partials = [][]byte{nil}, [][]byte{make([]byte, 256)}
	case protocol.OpReport:
		r.Number, r.Target, r.Chain, r.Token = 0, wire.Hash{}, wire.Hash{}, wire.NewSecret(make([]byte, wire.SecretSize))
	}
	var err error
	r.Challenge, err = wire.ParseChallenge(challengeOf(purpose, 1, 2, binding))
	require.NoError(t, err)
	return r
}

// documents gives a request so many documents, with salts and partial signatures of so
// many bytes.
func documents(r *wire.Request, count, salt, partial int) {
	r.Messages.Digests, r.Salts, r.Partials = nil, nil, nil
	for range count {
		if r.Messages.Hash != 0 {
			r.Messages.Digests = append(r.Messages.Digests, make([]byte, r.Messages.DigestSize()))
		}
		r.Salts, r.Partials = append(r.Salts, make([]byte, salt)), append(r.Partials, make([]byte, partial))
	}
}

// TestRequestRefused: what goes together in a request, for each operation.
func TestRequestRefused(t *testing.T) {
	key := wire.DrawSecret()
	parse := func(r *wire.Request) error {
		plaintext, err := r.Encode(key, protocol.KeyID{}, nil)
		require.NoError(t, err)
		parsed, err := wire.ParseRequest(plaintext)
		require.Equal(t, err == nil, parsed != nil)
		return err
	}
	with := func(op protocol.Operation, change func(r *wire.Request)) *wire.Request {
		r := requestOf(t, op)
		change(r)
		return r
	}
	purposes := map[wire.Purpose]*wire.Challenge{}
	for p, binding := range map[wire.Purpose]wire.Hash{wire.ForEnrolment: {}, wire.ForTransaction: {1}, wire.ForOwnUse: {}} {
		var err error
		purposes[p], err = wire.ParseChallenge(challengeOf(byte(p), 1, 2, binding))
		require.NoError(t, err)
	}
	for op := protocol.OpConfirm; op <= protocol.OpReport; op++ {
		signs, report := op == protocol.OpSign, op == protocol.OpReport
		proves, numbered := op == protocol.OpConfirm || op == protocol.OpChangePIN, op != protocol.OpCancel && !report
		require.NoError(t, parse(requestOf(t, op)), op)
		refused := map[string]func(r *wire.Request){
			"another number":     func(r *wire.Request) { r.Number = 1 - r.Number },
			"no operation":       func(r *wire.Request) { r.Op = 0 },
			"an enrolment":       func(r *wire.Request) { r.Op = protocol.OpEnroll },
			"operation 8":        func(r *wire.Request) { r.Op = protocol.OpReport + 1 },
			"for an enrolment":   func(r *wire.Request) { r.Challenge = purposes[wire.ForEnrolment] },
			"an empty partial":   func(r *wire.Request) { documents(r, 1, 0, 0) },
			"two to prove one":   func(r *wire.Request) { r.Messages = wire.Messages{}; documents(r, 2, 0, 256) },
			"an unknown padding": func(r *wire.Request) { r.Messages.Padding = 3 },
		}
		if report {
			refused["with a chain"] = func(r *wire.Request) { r.Chain = wire.Hash{31: 1} }
			refused["with a target"] = func(r *wire.Request) { r.Target = wire.Hash{31: 1} }
			refused["with a token"] = func(r *wire.Request) { r.Token = wire.DrawSecret() }
		}
		if signs {
			refused["no documents"] = func(r *wire.Request) { documents(r, 0, 0, 0) }
			refused["a salt without PSS"] = func(r *wire.Request) { r.Messages.Padding = wire.PKCS1v15 }
			refused["no padding"] = func(r *wire.Request) { r.Messages.Padding = wire.NoPadding; documents(r, 1, 0, 256) }
		} else {
			refused["a padding"] = func(r *wire.Request) { r.Messages.Padding = wire.PKCS1v15 }
			refused["a hash and a padding"] = func(r *wire.Request) { r.Messages = wire.Messages{Hash: 1, Padding: wire.PKCS1v15} }
		}
		if proves {
			refused["nothing to prove"] = func(r *wire.Request) { documents(r, 0, 0, 0) }
		} else if !signs {
			refused["something to prove"] = func(r *wire.Request) { documents(r, 1, 0, 256) }
		}
		if numbered {
			refused["for another use"] = func(r *wire.Request) {
				r.Challenge = purposes[map[bool]wire.Purpose{true: wire.ForOwnUse, false: wire.ForTransaction}[signs]]
			}
		} else {
			require.NoError(t, parse(with(op, func(r *wire.Request) { r.Challenge = purposes[wire.ForTransaction] })))
		}
		for name, change := range refused {
			require.ErrorIs(t, parse(with(op, change)), protocol.ErrMalformed, "%v: %s", op, name)
		}
	}
	const hash = 3 + protocol.ChallengeSize + 8 + 3*32
	for number, ok := range map[byte]bool{0: false, 1: true, 4: true, 7: false} { // the functions of 32 bytes
		plaintext, err := requestOf(t, protocol.OpSign).Encode(key, protocol.KeyID{}, nil)
		require.NoError(t, err)
		plaintext[hash] = number
		_, err = wire.ParseRequest(plaintext)
		require.Equal(t, ok, err == nil, number)
	}
	for _, c := range []struct {
		count, salt, partial int
		ok                   bool
	}{
		{protocol.MaxDocuments, 0, 256, true}, {protocol.MaxDocuments + 1, 0, 256, false},
		{1, wire.MaxSalt, 256, true}, {1, wire.MaxSalt + 1, 256, false}, {1, 0, 1024, true}, {1, 0, 1025, false},
	} {
		err := parse(with(protocol.OpSign, func(r *wire.Request) { documents(r, c.count, c.salt, c.partial) }))
		require.Equal(t, c.ok, err == nil, "%+v: %v", c, err)
	}
}

// TestEnrollmentRefused: what goes together in an enrolment.
func TestEnrollmentRefused(t *testing.T) {
	x := protocoltest.NewFixture()
	signer, err := protocoltest.NewHardware(t).Signer()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		purpose     wire.Purpose
		hardware    []byte
		attestation int
		signer      *wire.HardwareSigner
		ok          bool
	}{
		"without hardware":              {wire.ForEnrolment, nil, 0, nil, true},
		"with hardware":                 {wire.ForEnrolment, signer.Public, 7, signer, true},
		"hardware that signs nothing":   {wire.ForEnrolment, signer.Public, 7, nil, true}, // the server's to refuse
		"for own use":                   {wire.ForOwnUse, nil, 0, nil, false},
		"an attestation of nothing":     {wire.ForEnrolment, nil, 64, nil, false},
		"a signature of nothing":        {wire.ForEnrolment, nil, 0, signer, false},
		"both, of nothing":              {wire.ForEnrolment, nil, 64, signer, false},
		"the longest attestation":       {wire.ForEnrolment, signer.Public, 16 << 10, signer, true},
		"an attestation that is longer": {wire.ForEnrolment, signer.Public, 16<<10 + 1, signer, false},
	} {
		challenge, err := wire.ParseChallenge(x.Challenge(c.purpose, wire.Hash{}))
		require.NoError(t, err)
		e := wire.Enrollment{Challenge: challenge, AuthKey: wire.DrawSecret(), Hardware: c.hardware, Attestation: make([]byte, c.attestation)}
		plaintext, err := e.Encode(x.Id, c.signer)
		require.NoError(t, err, name)
		parsed, err := wire.ParseEnrollment(plaintext)
		if !c.ok {
			require.ErrorIs(t, err, protocol.ErrMalformed, name)
			require.Nil(t, parsed, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, e.AuthKey.Get(), parsed.AuthKey.Get())
		require.True(t, bytes.Equal(c.hardware, parsed.Hardware))
		require.Equal(t, c.signer != nil, wire.HardwareSigned(parsed.Hardware, x.Id, parsed.Body.Get(), parsed.Signature) && c.signer != nil)
		for n := range plaintext {
			if n%97 == 0 || n > len(plaintext)-70 {
				_, err := wire.ParseEnrollment(plaintext[:n])
				require.ErrorIs(t, err, protocol.ErrMalformed)
			}
		}
		parsed.Wipe()
		require.Nil(t, parsed.AuthKey.Get())
		require.Nil(t, parsed.Share.Get())
		require.Nil(t, parsed.Body.Get())
	}
}
