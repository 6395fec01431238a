package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestCorpora: see protocoltest.CheckCorpora.
func TestCorpora(t *testing.T) {
	x := protocoltest.NewFixture()
	requests := x.Requests(t)
	sealed := func(name string) []byte {
		request, _, err := protocoltest.SealRequest(protocoltest.NewHPKE(t).PublicKey(), protocol.Operation(requests[name][1]), requests[name])
		require.NoError(t, err)
		return request
	}
	enrolment, _, err := protocoltest.SealRequest(protocoltest.NewHPKE(t).PublicKey(), protocol.OpEnroll, x.Enrollment(t))
	require.NoError(t, err)
	answer, err := wire.ResponseKey{Secret: x.AuthKey}.Seal(answers(t)["good-right"])
	require.NoError(t, err)
	protocoltest.CheckCorpora(t, map[string]protocoltest.Seeds{
		"FuzzParseEnvelope":    protocoltest.Variants(map[string][]byte{"good-sign": sealed("good-right"), "good-enroll": enrolment}),
		"FuzzParseChallenge":   protocoltest.Variants(map[string][]byte{"good-own": x.Challenge(wire.ForOwnUse, wire.Hash{}), "good-enrolment": x.Challenge(wire.ForEnrolment, wire.Hash{})}),
		"FuzzParseEnrollment":  protocoltest.Variants(map[string][]byte{"good": x.Enrollment(t)}),
		"FuzzParseRequest":     protocoltest.Variants(x.Requests(t)),
		"FuzzParseAnswer":      protocoltest.Variants(answers(t)),
		"FuzzParseKeyDocument": protocoltest.Variants(map[string][]byte{"good": protocoltest.DocumentOf(t, 1, protocoltest.NewHPKE(t).PublicKey().Bytes())}),
		"FuzzOpenAnswer":       {"empty": {[]byte{}}, "answer": {answer}, "short": {answer[:40]}, "version": {append([]byte{3}, answer[1:]...)}},
	})
}

func answers(t *testing.T) map[string][]byte {
	client, _ := protocoltest.Shares()
	x := protocoltest.NewFixture()
	document := protocoltest.DocumentOf(t, 1, protocoltest.NewHPKE(t).PublicKey().Bytes())
	own := x.Challenge(wire.ForOwnUse, wire.Hash{})
	encoded := make(map[string][]byte)
	for name, a := range map[string]wire.Answer{
		"good-enrolled":    {Code: wire.CodeEnrolled, Public: *client.PublicKey(), Challenge: own, ConfirmBy: 7},
		"good-key-refused": {Code: wire.CodeKeyRefused, Refusal: wire.RefusedFactor},
		"good-right":       {Code: wire.CodeRight, Signatures: [][]byte{make([]byte, 512)}},
		"good-two":         {Code: wire.CodeRight, Signatures: [][]byte{make([]byte, 256), make([]byte, 256)}},
		"good-refreshed":   {Code: wire.CodeRight, Document: document},
		"good-wrong":       {Code: wire.CodeWrong, Verdict: wire.Verdict{Remaining: 2, Total: 8, Until: 0}},
		"good-wrong-locks": {Code: wire.CodeWrong, Verdict: wire.Verdict{Remaining: 0, Total: 6, Until: 1_800_000_000_000}},
		"good-wrong-last":  {Code: wire.CodeWrong, Challenge: own},
		"good-locked":      {Code: wire.CodeLocked, Verdict: wire.Verdict{Until: 1_800_000_000_000}},
		"good-destroyed":   {Code: wire.CodeDestroyed, Reason: protocol.ReasonClone, Challenge: own},
		"good-superseded":  {Code: wire.CodeSuperseded, Challenge: own},
		"good-cancelled":   {Code: wire.CodeCancelled},
		"good-later":       {Code: wire.CodeLater},
		"good-expired":     {Code: wire.CodeExpired},
	} {
		b, err := a.Encode()
		require.NoError(t, err)
		encoded[name] = b
	}
	return encoded
}
