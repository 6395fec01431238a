package deviceclient

import (
	_ "crypto/sha3"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
)

// fuzzVerifier is that of the corpus.
const fuzzVerifier = "XtPfaGa8JnGtYrJjboooUf0KfY9sMEHrWFpSQrsUv9c"

// FuzzClaimed: whatever a service answers, a login of version 3 that the phone would sign
// is one over what it shows, and a text that it shows can be shown.
func FuzzClaimed(f *testing.F) {
	p := &Phone{scheme: "smart-id-test"}
	f.Fuzz(func(t *testing.T, text []byte, link bool) {
		var c devicewire.Claimed
		if json.Unmarshal(text, &c) != nil {
			return
		}
		flow := rp.FlowNotification
		if link {
			flow = rp.FlowWeb2App
		}
		tx, err := p.transaction(c, flow, fuzzVerifier)
		if err != nil {
			return
		}
		require.Empty(t, rp.DisplayProblem(tx.RelyingParty, 32))
		require.Empty(t, rp.DisplayProblem(tx.Interaction.Text, 200))
		if tx.toSign == nil || tx.Kind != rp.Authentication || tx.version != rp.V3 {
			return
		}
		options, err := protocol.ParseOptions(tx.toSign.Options)
		require.NoError(t, err)
		w := tx.toSign.Login
		digest, err := acsp.Payload{
			Scheme: "smart-id-test", ServerRandom: w.ServerRandom, Challenge: w.Challenge, UserChallenge: w.UserChallenge, RelyingPartyName: tx.RelyingParty,
			Interactions: w.Interactions, Interaction: tx.Interaction.Type, CallbackURL: tx.callback, Flow: tx.flow,
		}.Digest(options.HashFunc())
		require.NoError(t, err)
		require.Equal(t, tx.digest, digest)
		if link {
			require.Equal(t, acsp.UserChallenge(fuzzVerifier), w.UserChallenge)
		}
	})
}
