package acsp_test

import (
	"crypto"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
)

// The published vector.
const (
	secretDigest = "U4CKK13H1XFiyBofev9asqrzIrY5_Gszi_nL_zDKkBc"
	verifier     = "XtPfaGa8JnGtYrJjboooUf0KfY9sMEHrWFpSQrsUv9c"
	challenge    = "GnsWXXEjTCKR89fj9uo5u5ReBZ9JR7_pezLAI5jMS00"
)

func payload() acsp.Payload {
	return acsp.Payload{
		Scheme:           "smart-id",
		ServerRandom:     "MTlop6EXCrQ6FOErcKjxUhbV",
		Challenge:        "GYS+yoah6emAcVDNIajwSs6UB/M95XrDxMzXBUkwQJ9YFDipXXzGpPc7raWcuc2+TEoRc7WvIZ/7dU/iRXenYg==",
		UserChallenge:    challenge,
		RelyingPartyName: "DEMO",
		BrokeredRPName:   "Example RP",
		Interactions: base64.StdEncoding.EncodeToString([]byte(`[{"type":"confirmationMessage","displayText200":"Longer description of the transaction context"},` +
			`{"type":"displayTextAndPIN","displayText60":"Short description of the transaction context"}]`)),
		Interaction: rp.ConfirmationMessage,
		CallbackURL: "https://rp.example.com/callback-url?value=RrKjjT4aggzu27YBddX1bQ",
		Flow:        rp.FlowWeb2App,
	}
}

// TestPublishedVector: digest, userChallenge and callback of the documentation.
func TestPublishedVector(t *testing.T) {
	digest, err := payload().Digest(crypto.SHA512)
	require.NoError(t, err)
	require.Equal(t, "pKOjbNl/5Fy8NfrFqsj6pSn8W8O+Ik8rM33QSsbyD3J9qDJvEm90SboUciuY4wHGWa0Pnq8BgT3NJKmJiUDfKg==", base64.StdEncoding.EncodeToString(digest))
	require.Equal(t, challenge, acsp.UserChallenge(verifier))
	require.Equal(t, "https://rp.example.com/callback-url?value=RrKjjT4aggzu27YBddX1bQ&sessionSecretDigest="+secretDigest+"&userChallengeVerifier="+verifier,
		acsp.CallbackURL(payload().CallbackURL, secretDigest, verifier))
}

// TestMessage: each separator is there when a part is empty, and the callback only where
// there is one to return to.
func TestMessage(t *testing.T) {
	p := payload()
	p.BrokeredRPName = ""
	for flow, callback := range map[rp.FlowType]string{
		rp.FlowWeb2App: p.CallbackURL, rp.FlowApp2App: p.CallbackURL, rp.FlowQR: "", rp.FlowNotification: "",
	} {
		p.Flow = flow
		m, err := p.Message()
		require.NoError(t, err)
		require.Equal(t, strings.Join([]string{
			"smart-id", "ACSP_V2", p.ServerRandom, p.Challenge, challenge, "REVNTw==", "",
			"RW2HOCLDvRFNWmAOmpWE+3rt7a8q4JGQD3n75d6xJHM=", "confirmationMessage", callback, string(flow),
		}, "|"), m)
	}
	p.RelyingPartyName = "Bank | of | Õ"
	m, err := p.Message()
	require.NoError(t, err)
	require.Equal(t, 10, strings.Count(m, "|"))
}

// TestEveryPartIsSigned: another part is another message, and one with a separator in it
// is none.
func TestEveryPartIsSigned(t *testing.T) {
	parts := map[string]func(*acsp.Payload, string){
		"scheme":              func(p *acsp.Payload, s string) { p.Scheme = s },
		"serverRandom":        func(p *acsp.Payload, s string) { p.ServerRandom = s },
		"rpChallenge":         func(p *acsp.Payload, s string) { p.Challenge = s },
		"userChallenge":       func(p *acsp.Payload, s string) { p.UserChallenge = s },
		"relyingPartyName":    func(p *acsp.Payload, s string) { p.RelyingPartyName = s },
		"brokered":            func(p *acsp.Payload, s string) { p.BrokeredRPName = s },
		"interactions":        func(p *acsp.Payload, s string) { p.Interactions = s },
		"interactionTypeUsed": func(p *acsp.Payload, s string) { p.Interaction = rp.InteractionType(s) },
		"initialCallbackUrl":  func(p *acsp.Payload, s string) { p.CallbackURL = s },
		"flowType":            func(p *acsp.Payload, s string) { p.Flow = rp.FlowType(s) },
	}
	for part, value := range map[string]string{
		"scheme": "smart-id-demo", "serverRandom": acsp.NewServerRandom(), "rpChallenge": base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"userChallenge": acsp.UserChallenge(acsp.NewVerifier()), "relyingPartyName": "demo", "brokered": "", "interactions": "W10=",
		"interactionTypeUsed": "displayTextAndPIN", "initialCallbackUrl": "https://rp.example.com/", "flowType": "App2App",
	} {
		p := payload()
		want, err := p.Message()
		require.NoError(t, err)
		parts[part](&p, value)
		got, err := p.Message()
		require.NoError(t, err, part)
		require.NotEqual(t, want, got, part)
	}
	for part, values := range map[string][]string{
		"scheme":              {"", "smart|id", "Smart-ID"},
		"serverRandom":        {"", "MTlop6EXCrQ6FOErcKjxUhb", "MTlop6EXCrQ6FOErcKjxUhb|", "MTlop6EXCrQ6FOErcKjx", "MTlop6EXCrQ6FOErcKjxUhbV\n", "MTlop6EXCrQ6FOErcKjxUhbVYR=="},
		"rpChallenge":         {"", base64.StdEncoding.EncodeToString(make([]byte, 31)), "|" + payload().Challenge},
		"userChallenge":       {"", challenge[1:], challenge + "A", challenge[:42] + "1", challenge[:42] + "=", strings.ReplaceAll(challenge, "_", "/"), challenge[:20] + "|" + challenge[21:]},
		"relyingPartyName":    {""},
		"interactions":        {"", "W10", "[]", "W10=\n"},
		"interactionTypeUsed": {"", "none", "displayTextAndPIN|"},
		"initialCallbackUrl":  {"", "https://rp.example.com/|", "https://rp.example.com/\n"},
		"flowType":            {"", "QR2App"},
	} {
		for _, v := range values {
			p := payload()
			parts[part](&p, v)
			_, err := p.Message()
			require.ErrorIs(t, err, acsp.ErrPayload, "%s = %q", part, v)
			require.ErrorContains(t, err, part)
			_, err = p.Digest(crypto.SHA256)
			require.ErrorIs(t, err, acsp.ErrPayload)
		}
	}
	_, err := payload().Digest(crypto.Hash(99))
	require.ErrorIs(t, err, acsp.ErrPayload)
}

func TestCallback(t *testing.T) {
	require.Equal(t, "https://h/?sessionSecretDigest=d", acsp.CallbackURL("https://h/", "d", ""))
	require.Equal(t, "https://h/?a&sessionSecretDigest=d&userChallengeVerifier=v", acsp.CallbackURL("https://h/?a", "d", "v"))
	require.True(t, acsp.VerifyCallback(secretDigest, secretDigest, verifier, challenge))
	for _, c := range [][4]string{
		{"", secretDigest, verifier, challenge}, {secretDigest, "", verifier, challenge}, {secretDigest, secretDigest, "", challenge}, {secretDigest, secretDigest, verifier, ""},
		{challenge, secretDigest, verifier, challenge}, {secretDigest, secretDigest, challenge, challenge}, {"", "", verifier, challenge},
	} {
		require.False(t, acsp.VerifyCallback(c[0], c[1], c[2], c[3]))
	}
}

func TestRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		v, r := acsp.NewVerifier(), acsp.NewServerRandom()
		require.True(t, acsp.ValidUserChallenge(v))
		require.True(t, acsp.ValidUserChallenge(acsp.UserChallenge(v)))
		require.Len(t, r, 32)
		seen[v], seen[r] = true, true
	}
	require.Len(t, seen, 200)
}

// FuzzPayload: the parts of a message are as many, and what they were made from.
func FuzzPayload(f *testing.F) {
	f.Fuzz(func(t *testing.T, scheme, serverRandom, rpChallenge, userChallenge, name, brokered, interactions, used, callback, flow string) {
		p := acsp.Payload{
			Scheme: scheme, ServerRandom: serverRandom, Challenge: rpChallenge, UserChallenge: userChallenge, RelyingPartyName: name,
			BrokeredRPName: brokered, Interactions: interactions, Interaction: rp.InteractionType(used), CallbackURL: callback, Flow: rp.FlowType(flow),
		}
		m, err := p.Message()
		if err != nil {
			require.ErrorIs(t, err, acsp.ErrPayload)
			return
		}
		parts := strings.Split(m, "|")
		require.Len(t, parts, 11)
		require.Equal(t, []string{scheme, "ACSP_V2", serverRandom, rpChallenge, userChallenge}, parts[:5])
		for i, want := range map[int]string{5: name, 6: brokered} {
			got, err := base64.StdEncoding.DecodeString(parts[i])
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		}
		require.Equal(t, used, parts[8])
		require.Contains(t, []string{"", callback}, parts[9])
		require.Equal(t, flow, parts[10])
	})
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*acsp.Payload)(nil)},
		Functions: map[string]any{
			"NewServerRandom": acsp.NewServerRandom, "NewVerifier": acsp.NewVerifier, "UserChallenge": acsp.UserChallenge,
			"ValidUserChallenge": acsp.ValidUserChallenge, "CallbackURL": acsp.CallbackURL, "VerifyCallback": acsp.VerifyCallback,
		},
	})
}

func ExamplePayload() {
	verifier := acsp.NewVerifier() // stays on the phone
	p := acsp.Payload{
		Scheme: "smart-id-demo", ServerRandom: acsp.NewServerRandom(), Challenge: base64.StdEncoding.EncodeToString(make([]byte, 64)),
		UserChallenge: acsp.UserChallenge(verifier), RelyingPartyName: "DEMO",
		Interactions: base64.StdEncoding.EncodeToString([]byte(`[{"type":"displayTextAndPIN","displayText60":"Log in"}]`)),
		Interaction:  rp.DisplayTextAndPIN, Flow: rp.FlowQR,
	}
	digest, err := p.Digest(crypto.SHA512)
	fmt.Println(len(digest), err)
	// Output: 64 <nil>
}
