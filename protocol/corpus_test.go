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
		"FuzzParseChallenge":   variants(map[string][]byte{"good-own": x.challenge(forOwnUse, hash{}), "good-enrolment": x.challenge(forEnrolment, hash{})}),
		"FuzzParseEnrollment":  variants(map[string][]byte{"good": x.enrollment(t)}),
		"FuzzParseRequest":     variants(x.requests(t)),
		"FuzzParseAnswer":      variants(answers(t)),
		"FuzzParseKeyDocument": variants(map[string][]byte{"good": documentOf(t, 1, x.server.ServerKey())}),
		"FuzzParseRecord":      variants(map[string][]byte{"good-active": x.template, "good-events": recordWithEvents(t, x.template), "good-destroyed": deadRecord(t, x.template)}),
		"FuzzParseSecrets":     variants(map[string][]byte{"good": someSecrets(t)}),
		"FuzzParseSpent":       variants(map[string][]byte{"good-begun": spent{request: hash{1}}.encode(), "good-refused": spent{hash{2}, refusedFactor}.encode(), "reason": spent{hash{3}, refusedSmall + 1}.encode()}),
		"FuzzParseDeviceState": variants(states(t)),
		"FuzzParseKeyID": {"good": {x.id.String()}, "upper": {strings.ToUpper("ab" + x.id.String()[2:])}, "short": {"00"},
			"letter": {x.id.String()[1:] + "g"}, "empty": {""}},
		"FuzzOpenSealed": {"empty": {[]byte{}, []byte{}}, "no-key": {[]byte("a"), append([]byte{2}, make([]byte, 60)...)},
			"key": {[]byte("aad"), sealedByFixture(t)}, "version": {[]byte("aad"), append([]byte{3}, sealedByFixture(t)[1:]...)}},
		"FuzzOpenAnswer": {"empty": {[]byte{}}, "answer": {tap.answers[1]}, "short": {tap.answers[1][:40]}, "version": {append([]byte{3}, tap.answers[1][1:]...)}},
		"FuzzHandle":     {"empty": {[]byte{}}},
	}
	pub, err := kem.NewPublicKey(x.server.ServerKey())
	require.NoError(t, err)
	inside := make(seeds)
	for name, plaintext := range x.requests(t) {
		op := plaintext[1]
		request, _, err := sealRequest(pub, Operation(op), x.id, x.complete(plaintext))
		require.NoError(t, err)
		for variant, bytes := range variants(map[string][]byte{name: request}) {
			all["FuzzHandle"][variant] = bytes
		}
		inside[name] = []any{op, plaintext}
		inside["other-operation-"+name] = []any{op%7 + 1, plaintext}
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

func (x *fixture) challenge(p purpose, binding hash) []byte {
	return x.server.challenges.issue(p, x.id, fixtureTime, DefaultChallengeLife, binding)
}

func (x *fixture) enrollment(t *testing.T) []byte {
	return enrollmentOf(t, x.challenge(forEnrolment, hash{}), mustShare())
}

func mustShare() []byte {
	_, server := testShares()
	return server.Bytes()
}

// requests are a right and a wrong PIN, PSS, several documents, a refresh, a clone, a Cancel and a Report.
func (x *fixture) requests(t *testing.T) map[string][]byte {
	client, _ := testShares()
	encode := func(r *request) []byte {
		p, binding := forOwnUse, hash{}
		if r.op == OpSign {
			p, binding = forTransaction, r.messages.binding()
		}
		var err error
		r.challenge, err = parseChallenge(x.challenge(p, binding))
		require.NoError(t, err)
		if r.token == nil {
			r.token = x.tokens[0]
		}
		if r.op != OpReport {
			r.number, r.chain, r.target = max(r.number, 1), x.chain, x.tokens[1].commitment()
		}
		plaintext, err := r.encode(x.authKey, x.id, nil)
		require.NoError(t, err)
		return plaintext
	}
	sign := func(opts crypto.SignerOpts, texts ...string) *request {
		r := &request{op: OpSign}
		final, err := splitkey.CheckFinalKey(client.PublicKey(), client.PublicKey())
		require.NoError(t, err)
		var digests [][]byte
		for _, text := range texts {
			digests = append(digests, digestOf(text))
			m, err := splitkey.Encode(final, digestOf(text), opts)
			require.NoError(t, err)
			y, err := client.SignPartial(m)
			require.NoError(t, err)
			r.salts, r.partials = append(r.salts, m.Salt()), append(r.partials, y)
		}
		r.messages, err = newMessages(digests, opts)
		require.NoError(t, err)
		return r
	}
	proof := func(op Operation) *request {
		return &request{op: op, salts: [][]byte{nil}, partials: [][]byte{bytes.Repeat([]byte{3}, 256)}}
	}
	wrong, clone, ahead := sign(crypto.SHA256, "contract"), sign(crypto.SHA256, "contract"), sign(crypto.SHA256, "contract")
	wrong.partials[0] = bytes.Repeat([]byte{3}, 256)
	clone.token = x.tokens[1]
	ahead.number = 3
	signer, err := newTestHardware(t).signer()
	require.NoError(t, err)
	signed := sign(crypto.SHA256, "contract")
	signed.challenge, err = parseChallenge(x.challenge(forTransaction, signed.messages.binding()))
	require.NoError(t, err)
	signed.number, signed.token = 1, x.tokens[0]
	hardware, err := signed.encode(x.authKey, x.id, signer)
	require.NoError(t, err)
	return map[string][]byte{
		"good-right":    encode(sign(crypto.SHA256, "contract")),
		"good-pss":      encode(sign(&rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32}, "contract", "annex")),
		"good-three":    encode(sign(crypto.SHA256, "contract", "annex", "receipt")),
		"good-wrong":    encode(wrong),
		"good-clone":    encode(clone),
		"good-ahead":    encode(ahead),
		"good-hardware": hardware,
		"good-own":      encode(proof(OpChangePIN)),
		"good-confirm":  encode(proof(OpConfirm)),
		"good-refresh":  encode(&request{op: OpRefresh}),
		"good-cancel":   encode(&request{op: OpCancel}),
		"good-report":   encode(&request{op: OpReport, token: newSecret(make([]byte, secretSize))}),
	}
}

func answers(t *testing.T) map[string][]byte {
	client, _ := testShares()
	x := newFixture(t)
	document := documentOf(t, 1, newHPKE(t).PublicKey().Bytes())
	own := x.challenge(forOwnUse, hash{})
	encoded := make(map[string][]byte)
	for name, a := range map[string]answer{
		"good-enrolled":    {code: codeEnrolled, public: *client.PublicKey(), challenge: own, confirmBy: 7},
		"good-key-refused": {code: codeKeyRefused, refusal: refusedFactor},
		"good-right":       {code: codeRight, signatures: [][]byte{make([]byte, 512)}},
		"good-two":         {code: codeRight, signatures: [][]byte{make([]byte, 256), make([]byte, 256)}},
		"good-refreshed":   {code: codeRight, document: document},
		"good-wrong":       {code: codeWrong, verdict: verdict{2, 8, 0}},
		"good-wrong-locks": {code: codeWrong, verdict: verdict{0, 6, 1_800_000_000_000}},
		"good-wrong-last":  {code: codeWrong, challenge: own},
		"good-locked":      {code: codeLocked, verdict: verdict{until: 1_800_000_000_000}},
		"good-destroyed":   {code: codeDestroyed, reason: ReasonClone, challenge: own},
		"good-superseded":  {code: codeSuperseded, challenge: own},
		"good-cancelled":   {code: codeCancelled},
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

func recordWithEvents(t *testing.T, template []byte) []byte {
	return changedRecord(t, template, func(r *record) {
		at := fixtureTime.UnixMilli()
		r.settle(settled{number: 9, request: hash{1}, fate: fateWrong, verdict: verdict{2, 8, 0}})
		r.events = []event{
			{kind: signedEvent, at: at, documents: 3}, {kind: wrongEvent, at: at, verdict: verdict{2, 8, 0}},
			{kind: refreshedEvent, at: at}, {kind: destroyedEvent, at: at, reason: ReasonClone},
			{kind: wrongEvent, at: at, reason: ReasonPIN}, {kind: cancelledEvent, at: at},
		}
		r.eventNumber = 11
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
	require.ErrorIs(t, lossy.Cancel(t.Context(), p.challenge(t)), ErrUnanswered)
	keep("good-cancel", p)
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)))
	require.NoError(t, s.Revoke(t.Context(), id, "x"))
	halfway := openPhone(t, s, p.state.copy(), onceOnly(s))
	halfway.id = id
	_, err = halfway.sign(t, "x", rightPIN)
	require.Error(t, err)
	keep("good-superseded", halfway)
	_, err = p.sign(t, "x", rightPIN)
	require.Error(t, err)
	keep("good-dead", p)
	return inside
}

// onceOnly is a network that carries one request.
func onceOnly(s *service) Transport {
	carried := false
	return func(ctx context.Context, request []byte) ([]byte, error) {
		if carried {
			return nil, errLost
		}
		carried = true
		return s.Handle(ctx, request)
	}
}

func sealedByFixture(t *testing.T) []byte {
	s, err := NewSoftwareSealer(bytes.Repeat([]byte{2}, SealerKeySize))
	require.NoError(t, err)
	b, err := s.Seal(t.Context(), []byte("other"), []byte("text"))
	require.NoError(t, err)
	return b
}
