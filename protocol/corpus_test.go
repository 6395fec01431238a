package protocol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
)

var writeCorpus = flag.Bool("write-corpus", false, "make the seeds of the fuzz targets anew, from corpus_test.go")

// seeds are the arguments of a fuzz target, by the name of the seed.
type seeds map[string][]any

// TestCorpora: each target starts from enough seeds, good and bad; -write-corpus makes them.
func TestCorpora(t *testing.T) {
	for target, want := range corpus(t) {
		folder := filepath.Join("testdata", "fuzz", target)
		if *writeCorpus {
			require.NoError(t, os.RemoveAll(folder))
			require.NoError(t, os.MkdirAll(folder, 0o755))
			for name, arguments := range want {
				text := "go test fuzz v1\n"
				for _, a := range arguments {
					switch a := a.(type) {
					case []byte:
						text += fmt.Sprintf("[]byte(%q)\n", a)
					case string:
						text += fmt.Sprintf("string(%q)\n", a)
					case byte:
						text += fmt.Sprintf("byte(%q)\n", a)
					}
				}
				require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
			}
		}
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		have := make(map[string]bool)
		for _, e := range entries {
			have[e.Name()] = true
		}
		good := 0
		for name := range want {
			require.True(t, have[name], "%s/%s: go test -run TestCorpora -write-corpus", target, name)
			if strings.HasPrefix(name, "good") {
				good++
			}
		}
		require.GreaterOrEqual(t, len(want), 4, target)
		require.Positive(t, good+strings.Count(target, "Open"), target)
	}
}

func corpus(t *testing.T) map[string]seeds {
	x := newFixture(t)
	s := newService(t)
	_, tap := life(t, s, new(memoryState), nil)
	all := map[string]seeds{
		"FuzzParseEnvelope":    variants(map[string][]byte{"good-sign": tap.requests[4], "good-enroll": tap.requests[0]}),
		"FuzzParseChallenge":   variants(map[string][]byte{"good-own": x.challenge(forOwnUse, nil), "good-enrolment": x.challenge(forEnrolment, nil)}),
		"FuzzParseEnrollment":  variants(map[string][]byte{"good": x.enrollment(t)}),
		"FuzzParseAttempt":     variants(x.attempts(t)),
		"FuzzParseAnswer":      variants(answers(t)),
		"FuzzParseRecord":      variants(map[string][]byte{"good-active": x.template, "good-full": fullRecord(t, x.template), "good-destroyed": deadRecord(t, x.template)}),
		"FuzzParseSecrets":     variants(map[string][]byte{"good": someSecrets(t)}),
		"FuzzParseSpent":       variants(map[string][]byte{"good-begun": spent{request: hash{1}}.encode(), "good-refused": spent{hash{2}, refusedFactor}.encode(), "reason": spent{hash{3}, refusedSmall + 1}.encode()}),
		"FuzzParseDeviceState": variants(states(t)),
		"FuzzParseKeyID": {"good": {x.id.String()}, "upper": {strings.ToUpper("ab" + x.id.String()[2:])}, "short": {"00"},
			"letter": {x.id.String()[1:] + "g"}, "empty": {""}},
		"FuzzOpenSealed": {"empty": {[]byte{}, []byte{}}, "no-key": {[]byte("a"), append([]byte{1}, make([]byte, 60)...)},
			"key": {[]byte("aad"), sealedByFixture(t)}, "version": {[]byte("aad"), append([]byte{2}, sealedByFixture(t)[1:]...)}},
		"FuzzOpenAnswer": {"empty": {[]byte{}}, "answer": {tap.answers[1]}, "short": {tap.answers[1][:40]}, "version": {append([]byte{2}, tap.answers[1][1:]...)}},
		"FuzzHandle":     {"empty": {[]byte{}}},
	}
	pub, err := kem.NewPublicKey(x.server.ServerKey())
	require.NoError(t, err)
	inside := make(seeds)
	for name, plaintext := range x.attempts(t) {
		op := plaintext[1]
		request, _, err := sealRequest(pub, Operation(op), x.id, x.complete(plaintext))
		require.NoError(t, err)
		for variant, bytes := range variants(map[string][]byte{name: request}) {
			all["FuzzHandle"][variant] = bytes
		}
		inside[name] = []any{op, plaintext}
		inside["other-operation-"+name] = []any{op%5 + 1, plaintext}
		inside["cut-"+name] = []any{op, plaintext[:len(plaintext)*2/3]}
	}
	inside["enrolment"] = []any{byte(OpEnroll), x.enrollment(t)}
	all["FuzzHandlePlaintext"] = inside
	return all
}

// variants adds to each good encoding: cut, extended, another version, and a length that is one too large.
func variants(good map[string][]byte) seeds {
	v := seeds{"empty": {[]byte{}}}
	for name, b := range good {
		rest := strings.TrimPrefix(name, "good-")
		v[name] = []any{b}
		v["cut-"+rest] = []any{b[:len(b)/2]}
		v["one-less-"+rest] = []any{b[:len(b)-1]}
		v["one-more-"+rest] = []any{append(bytes.Clone(b), 0)}
		other := bytes.Clone(b)
		other[0]++
		v["version-"+rest] = []any{other}
	}
	return v
}

func (x *fixture) challenge(p purpose, binding []byte) []byte {
	return x.server.challenges.issue(p, x.id, fixtureTime, DefaultChallengeLife, binding)
}

func (x *fixture) enrollment(t *testing.T) []byte {
	return enrollmentOf(t, x.challenge(forEnrolment, nil), mustShare())
}

func mustShare() []byte {
	_, server := testShares()
	return server.Bytes()
}

// attempts are a right and a wrong PIN, PSS, a refresh, a clone, and a request that gives others up.
func (x *fixture) attempts(t *testing.T) map[string][]byte {
	client, _ := testShares()
	encode := func(a *attempt) []byte {
		p, binding := forOwnUse, []byte(nil)
		if a.op == OpSign {
			p, binding = forTransaction, a.text.binding()
		}
		var err error
		a.challenge, err = parseChallenge(x.challenge(p, binding))
		require.NoError(t, err)
		plaintext, err := a.encode(x.deviceKey, x.id)
		require.NoError(t, err)
		return plaintext
	}
	sign := func(opts crypto.SignerOpts) *attempt {
		text, err := newText(digestOf("contract"), opts)
		require.NoError(t, err)
		final, err := splitkey.CheckFinalKey(client.PublicKey(), client.PublicKey())
		require.NoError(t, err)
		m, err := splitkey.Encode(final, text.digest, opts)
		require.NoError(t, err)
		y, err := client.SignPartial(m)
		require.NoError(t, err)
		return &attempt{op: OpSign, text: text, salt: m.Salt(), partial: y, tokens: x.tokens[:1], next: x.tokens[1].commitment()}
	}
	wrong, clone, several := sign(crypto.SHA256), sign(crypto.SHA256), sign(crypto.SHA256)
	wrong.partial = bytes.Repeat([]byte{3}, 256)
	clone.tokens = x.tokens[1:]
	several.tokens = append([]secret{x.tokens[1]}, x.tokens...)
	for i := range maxGivenUp {
		several.givenUp = append(several.givenUp, givenUp{hash{byte(i)}, fixtureTime.UnixMilli() + int64(i)})
	}
	own := &attempt{op: OpChangePIN, partial: wrong.partial, tokens: x.tokens[:1]}
	return map[string][]byte{
		"good-right":    encode(sign(crypto.SHA256)),
		"good-pss":      encode(sign(&rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32})),
		"good-wrong":    encode(wrong),
		"good-clone":    encode(clone),
		"good-given-up": encode(several),
		"good-own":      encode(own),
		"good-refresh":  encode(&attempt{op: OpRefresh, tokens: x.tokens[:1], next: x.tokens[1].commitment()}),
		"good-confirm":  encode(&attempt{op: OpConfirm, partial: wrong.partial, tokens: x.tokens[:1]}),
	}
}

func answers(t *testing.T) map[string][]byte {
	client, _ := testShares()
	x := newFixture(t)
	next := announcement{fixtureTime.UnixMilli(), newHPKE(t).PublicKey()}
	encoded := make(map[string][]byte)
	for name, a := range map[string]answer{
		"good-enrolled":    {code: codeEnrolled, enrolled: enrolled{*client.PublicKey(), x.challenge(forOwnUse, nil), 7}},
		"good-key-refused": {code: codeKeyRefused, refusal: refusedFactor},
		"good-right":       {code: codeRight, signature: make([]byte, 512), current: hash{1}},
		"good-refreshed":   {code: codeRight, next: next},
		"good-wrong":       {code: codeWrong, verdict: verdict{2, 8, 0}},
		"good-wrong-locks": {code: codeWrong, verdict: verdict{0, 6, 1_800_000_000_000}},
		"good-locked":      {code: codeLocked, verdict: verdict{until: 1_800_000_000_000}},
		"good-destroyed":   {code: codeDestroyed, reason: ReasonClone},
		"good-later":       {code: codeLater},
		"good-expired":     {code: codeExpired},
	} {
		b, err := a.encode()
		require.NoError(t, err)
		encoded[name] = b
	}
	return encoded
}

func changedRecord(t *testing.T, template []byte, change func(*record)) []byte {
	rec, err := parseRecord(template)
	require.NoError(t, err)
	change(rec)
	b, err := rec.encode()
	require.NoError(t, err)
	return b
}

func fullRecord(t *testing.T, template []byte) []byte {
	return changedRecord(t, template, func(r *record) {
		for i := range maxRing {
			s := settled{request: hash{byte(i)}, expires: fixtureTime.UnixMilli(), fate: fate(i%3 + 1)}
			if s.fate == fateWrong {
				s.verdict = verdict{2, 8, 0}
			}
			r.ring = append(r.ring, s)
		}
	})
}

func deadRecord(t *testing.T, template []byte) []byte {
	return changedRecord(t, template, func(r *record) { r.destroy(ReasonClone) })
}

func someSecrets(t *testing.T) []byte {
	b, err := (&secrets{mustShare(), []byte("blob"), make([]byte, 256)}).encode()
	require.NoError(t, err)
	return b
}

// states are the insides of device states, which FuzzParseDeviceState wraps, in each phase.
func states(t *testing.T) map[string][]byte {
	inside := make(map[string][]byte)
	s := newService(t)
	keep := func(name string, p *phone) {
		data := p.state.data
		inside[name] = data[stateHeader : len(data)-sha256.Size]
	}
	p := newPhone(t, s, nil)
	lossy := openPhone(t, s, p.state, func(context.Context, []byte) ([]byte, error) { return nil, errLost })
	client, server := testShares()
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.Error(t, lossy.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: server}))
	p.id, lossy.id = id, id
	keep("good-enrolling", p)
	_, err = p.Resume(t.Context())
	require.NoError(t, err)
	keep("good-unconfirmed", p)
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	keep("good-ready", p)
	_, err = lossy.sign(t, "x", rightPIN)
	require.Error(t, err)
	keep("good-pending", p)
	require.NoError(t, p.GiveUp())
	keep("good-given-up", p)
	require.NoError(t, s.Revoke(t.Context(), id, "x"))
	_, err = p.sign(t, "x", rightPIN)
	require.Error(t, err)
	keep("good-dead", p)
	return inside
}

func sealedByFixture(t *testing.T) []byte {
	s, err := NewSoftwareSealer(bytes.Repeat([]byte{2}, SealerKeySize))
	require.NoError(t, err)
	b, err := s.Seal(t.Context(), []byte("other"), []byte("text"))
	require.NoError(t, err)
	return b
}
