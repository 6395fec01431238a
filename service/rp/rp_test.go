package rp_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// TestPublishedCode: the verification code of a login of version 3 is that of the raw
// challenge.
func TestPublishedCode(t *testing.T) {
	challenge, err := base64.StdEncoding.DecodeString("GYS+yoah6emAcVDNIajwSs6UB/M95XrDxMzXBUkwQJ9YFDipXXzGpPc7raWcuc2+TEoRc7WvIZ/7dU/iRXenYg==")
	require.NoError(t, err)
	require.Equal(t, "7180", protocol.VerificationCode(challenge))
}

func TestUUID(t *testing.T) {
	for s, want := range map[string]string{
		"00000000-0000-0000-0000-000000000000": "00000000-0000-0000-0000-000000000000",
		"ABCDEF01-2345-4789-8abc-DEF012345678": "abcdef01-2345-4789-8abc-def012345678",
	} {
		got, ok := rp.UUID(s)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	for _, s := range []string{"", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000", "000000000-000-0000-0000-000000000000", "g0000000-0000-0000-0000-000000000000", "{0000000-0000-0000-0000-00000000000}", "00000000\x000000-0000-0000-000000000000"} {
		_, ok := rp.UUID(s)
		require.False(t, ok, s)
	}
	seen := map[string]bool{}
	for range 100 {
		id := rp.NewSessionID()
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
		seen[id] = true
	}
	require.Len(t, seen, 100)
}

func TestPollTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": 60500 * time.Millisecond, "1000": time.Second, "120000": 2 * time.Minute, "0": time.Second, "999": time.Second, "120001": 2 * time.Minute,
		"5000": 5 * time.Second, "0005000": 5 * time.Second, "99999999999999999999": 2 * time.Minute,
	} {
		got, err := rp.PollTimeout(s)
		require.NoError(t, err)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"-1", "+1", "1e3", "1s", " 1000", "1000\x00", "١"} {
		_, err := rp.PollTimeout(s)
		var p *rp.Problem
		require.ErrorAs(t, err, &p, s)
		require.Equal(t, 400, p.Status(rp.V2))
	}
}

func TestLevel(t *testing.T) {
	for level, accepted := range map[rp.Level][2]bool{
		rp.LevelAdvanced: {true, true}, rp.LevelQualified: {false, true}, rp.LevelQSCD: {false, true}, 0: {false, false},
	} {
		require.Equal(t, accepted, [2]bool{level.Accepts(identity.Advanced), level.Accepts(identity.Qualified)})
		require.False(t, level.Accepts(0))
	}
}

func TestAlgorithms(t *testing.T) {
	for _, c := range []struct {
		name, hash string
		want       rp.Algorithm
	}{
		{"rsassa-pss", "SHA-256", rp.Algorithm{Hash: crypto.SHA256, PSS: true}}, {"rsassa-pss", "SHA-384", rp.Algorithm{Hash: crypto.SHA384, PSS: true}},
		{"rsassa-pss", "SHA-512", rp.Algorithm{Hash: crypto.SHA512, PSS: true}}, {"rsassa-pss", "SHA3-256", rp.Algorithm{Hash: crypto.SHA3_256, PSS: true}},
		{"rsassa-pss", "SHA3-384", rp.Algorithm{Hash: crypto.SHA3_384, PSS: true}}, {"rsassa-pss", "SHA3-512", rp.Algorithm{Hash: crypto.SHA3_512, PSS: true}},
		{"sha256WithRSAEncryption", "", rp.Algorithm{Hash: crypto.SHA256}}, {"sha384WithRSAEncryption", "SHA-384", rp.Algorithm{Hash: crypto.SHA384}},
		{"sha512WithRSAEncryption", "", rp.Algorithm{Hash: crypto.SHA512}},
	} {
		a, nameOK, hashOK := rp.AlgorithmOfName(c.name, c.hash)
		require.True(t, nameOK && hashOK)
		require.Equal(t, c.want, a)
		require.Equal(t, c.name, a.Name())
		if !a.PSS {
			require.Nil(t, a.Parameters())
			continue
		}
		text, err := json.Marshal(a.Parameters())
		require.NoError(t, err)
		salt, err := json.Marshal(a.Hash.Size())
		require.NoError(t, err)
		require.Equal(t, strings.NewReplacer("HASH", c.hash, "SALT", string(salt)).Replace(
			`{"hashAlgorithm":"HASH","maskGenAlgorithm":{"algorithm":"id-mgf1","parameters":{"hashAlgorithm":"HASH"}},"saltLength":SALT,"trailerField":"0xbc"}`), string(text))
	}
	for _, c := range []struct {
		name, hash     string
		nameOK, hashOK bool
	}{
		{"rsassa-pss", "", true, false}, {"rsassa-pss", "SHA-1", true, false}, {"rsassa-pss", "SHA512", true, false}, {"RSASSA-PSS", "SHA-512", false, false}, {"", "", false, false},
		{"sha256WithRSAEncryption", "SHA-512", true, false}, {"sha1WithRSAEncryption", "", false, false}, {"", "SHA3-256", false, false},
	} {
		_, nameOK, hashOK := rp.AlgorithmOfName(c.name, c.hash)
		require.Equal(t, c.nameOK, nameOK, c.name)
		require.Equal(t, c.hashOK, hashOK, c.name)
	}
	for _, hashType := range []string{"", "SHA-256", "sha256", "SHA3-256"} {
		_, ok := rp.AlgorithmOfHash(hashType)
		require.False(t, ok, hashType)
	}
	require.Empty(t, rp.Algorithm{}.Name())
	require.Empty(t, rp.Algorithm{Hash: crypto.SHA3_256}.Name(), "PKCS#1 v1.5 has no name for it here")
}

func TestDisplayProblem(t *testing.T) {
	for _, s := range []string{"", "Log in to Tree Bank", "Õli € 😀 שלום", strings.Repeat("Õ", 60), "👩‍💻"} {
		require.Empty(t, rp.DisplayProblem(s, 60), s)
	}
	for _, s := range []string{"\x00", "a\nb", "a\rb", "a\tb", "\x7f", "\u0085", "\u200e", "\u200f", "\u061c", "\u202a", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029", "\ufeff", "\ufffe", "\U0001ffff"} {
		require.Contains(t, rp.DisplayProblem("x"+s, 60), "control character", "%q", s)
	}
	require.Equal(t, "is too long", rp.DisplayProblem(strings.Repeat("Õ", 61), 60))
	require.Equal(t, "is not UTF-8", rp.DisplayProblem("\xff", 60))
}

func TestProblem(t *testing.T) {
	for kind, want := range map[rp.ProblemKind][3]int{
		rp.Invalid: {400, 400, 400}, rp.Unauthorized: {401, 401, 401}, rp.Forbidden: {403, 403, 403}, rp.NotFound: {404, 404, 404}, rp.NoSuitableAccount: {471, 471, 404},
		rp.PersonShouldViewApp: {472, 472, 404}, rp.ClientTooOld: {480, 480, 480}, rp.TooManyRequests: {429, 429, 429}, rp.Maintenance: {580, 580, 580}, rp.Internal: {500, 500, 500}, 0: {500, 500, 500},
		rp.NotAllowed: {405, 405, 405}, rp.TooSlow: {408, 408, 408}, rp.TooLarge: {413, 413, 413}, rp.MediaType: {415, 415, 415}, rp.Busy: {503, 503, 503},
	} {
		p := &rp.Problem{Kind: kind}
		require.Equal(t, want, [3]int{p.Status(rp.V1), p.Status(rp.V2), p.Status(rp.V3)})
		for _, status := range want {
			require.NotEmpty(t, rp.Title(status))
		}
	}
	require.EqualError(t, &rp.Problem{Kind: rp.Invalid, Pointer: "/hash", Detail: "is missing"}, "rp: /hash is missing")
}

func TestInteractionTypes(t *testing.T) {
	for i, want := range map[rp.InteractionType]struct {
		most   int
		member string
		choice bool
	}{
		rp.DisplayTextAndPIN: {60, "displayText60", false}, rp.VerificationCodeChoice: {60, "displayText60", true},
		rp.ConfirmationMessage: {200, "displayText200", false}, rp.ConfirmationMessageAndVerificationCodeChoice: {200, "displayText200", true}, "": {}, "DisplayTextAndPIN": {},
	} {
		most, member := i.MaxText()
		require.Equal(t, want.most, most)
		require.Equal(t, want.member, member)
		require.Equal(t, want.choice, i.Choice())
	}
}

func TestSessionHidesSecrets(t *testing.T) {
	const token, secret, base = "wGIrqveE6AuGDATZKmR1mtAZ", "B98ODiVCebRedSwdTk51zFSaGYyHtY1H2A0ocAi3/Ps=", "https://id.example/link"
	s := rp.Session{ID: rp.NewSessionID()}.WithLink(token, secret, base)
	printtest.Hidden(t, map[string][]byte{"token": []byte(token), "secret": []byte(secret)}, s, &s)
	gotToken, gotSecret, gotBase := s.Link()
	require.Equal(t, []string{token, secret, base}, []string{gotToken, gotSecret, gotBase})
	require.Equal(t, "rp.Session("+s.ID+")", fmt.Sprint(s))
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*rp.Problem)(nil), (*rp.Level)(nil), (*rp.Algorithm)(nil), (*rp.InteractionType)(nil), (*rp.Session)(nil)},
		Functions: map[string]any{
			"UUID": rp.UUID, "NewSessionID": rp.NewSessionID, "PollTimeout": rp.PollTimeout, "DisplayProblem": rp.DisplayProblem, "Title": rp.Title,
			"AlgorithmOfHash": rp.AlgorithmOfHash, "AlgorithmOfName": rp.AlgorithmOfName,
		},
		May: map[string]string{"PollTimeout": "no timeoutMs is the default"},
	})
}
