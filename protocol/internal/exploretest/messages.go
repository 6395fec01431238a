package exploretest

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// request is one that somebody made, opened.
type request struct {
	sealed    []byte
	hash      wire.Hash
	key       wire.ResponseKey
	op        protocol.Operation
	id        protocol.KeyID
	challenge *wire.Challenge
	minted    int // which challenge key made the challenge; -1 if none did
	hpke      int // which HPKE key it is sealed to
	number    uint64
	token     wire.Hash // commitment
	chain     wire.Hash
	target    wire.Hash
	documents int
	right     bool // its PIN
	thief     bool
	name      string
}

// subject is the hash of what is settled by the request: itself, or what it cancels.
func (r *request) subject() wire.Hash {
	if r.op == protocol.OpCancel {
		return r.target
	}
	return r.hash
}

// numbered says that the request has a number of its own.
func (r *request) numbered() bool {
	return r.op != protocol.OpCancel && r.op != protocol.OpReport && r.op != protocol.OpEnroll
}

// request numbers a request that was made by a call.
func (w *world) request(sealed []byte, k callKey, thief bool) int32 {
	if i, ok := w.reqs.find(string(sealed)); ok {
		return i
	}
	o, err := protocoltest.OpenRequest(sealed, w.ring)
	require.NoError(w.t, err)
	r := &request{sealed: append([]byte(nil), sealed...), hash: o.ResponseKey.Request, key: o.ResponseKey, op: o.Op, id: o.KeyID, thief: thief}
	if o.HPKEKey == w.nextKey {
		r.hpke = 1
	}
	if o.Op == protocol.OpEnroll {
		e, err := wire.ParseEnrollment(o.Plaintext.Get())
		require.NoError(w.t, err)
		r.challenge, r.target = e.Challenge, e.Commitment
		w.parents[wire.FirstChain(sealed)] = link{}
	} else {
		q, err := wire.ParseRequest(o.Plaintext.Get())
		require.NoError(w.t, err)
		r.challenge, r.number, r.chain, r.target, r.documents = q.Challenge, q.Number, q.Chain, q.Target, len(q.Partials)
		r.token = q.Token.Commitment()
		r.right = !thief && k.op.right()
	}
	r.minted = w.minted(r.challenge)
	if r.numbered() {
		for f := wire.FateRight; f <= wire.FateCancelled; f++ {
			w.parents[wire.NextChain(r.chain, r.hash, f)] = link{r.chain, r.hash, f, w.parents[r.chain].depth + 1}
		}
	}
	r.name = w.nameOf(r, k)
	return w.reqs.add(string(sealed), r)
}

// minted returns which challenge key made a challenge, or -1.
func (w *world) minted(c *wire.Challenge) int {
	return slices.IndexFunc(w.chals[:], func(k wire.ChallengeKey) bool { return k.Authentic(c) })
}

// nameOf is how schedules speak of a request: by its operation and its number.
func (w *world) nameOf(r *request, k callKey) string {
	switch {
	case r.thief:
		return fmt.Sprintf("the thief's %v %d", r.op, r.number)
	case r.op == protocol.OpReport:
		return "the report"
	case r.op == protocol.OpCancel:
		return fmt.Sprintf("the cancel of %d", r.number)
	case r.op == protocol.OpEnroll:
		return fmt.Sprintf("the enrolment %d", k.enroll)
	}
	return fmt.Sprintf("%v %d", k.op, r.number)
}

// answer is one that a node, or a thief, made for a request, opened.
type answer struct {
	*wire.Answer
	request int32
	sealed  []byte
	minted  int // which challenge key made the challenge in it
	forged  bool
	name    string
}

func (w *world) answer(req int32, sealed []byte, forged bool) int32 {
	plain, err := w.reqs.all[req].key.Open(sealed)
	require.NoError(w.t, err)
	key := fmt.Sprint(req, "/", forged, "/", string(plain))
	if i, ok := w.answers.find(key); ok {
		return i
	}
	a, err := wire.ParseAnswer(plain)
	require.NoError(w.t, err)
	name := words[a.Code]
	if a.Code == wire.CodeWrong {
		name = fmt.Sprintf("wrong PIN, %d left", a.Verdict.Total)
	}
	if forged {
		name = "forged: " + name
	}
	minted := -1
	if a.Parsed != nil {
		minted = w.minted(a.Parsed)
	}
	return w.answers.add(key, &answer{a, req, append([]byte(nil), sealed...), minted, forged, name})
}

var words = map[wire.Code]string{
	wire.CodeEnrolled: "enrolled", wire.CodeKeyRefused: "key refused", wire.CodeRight: "right", wire.CodeWrong: "wrong PIN",
	wire.CodeLocked: "locked", wire.CodeDestroyed: "destroyed", wire.CodeExpired: "expired", wire.CodeCancelled: "cancelled",
	wire.CodeUnconfirmed: "unconfirmed", wire.CodeRejected: "rejected", wire.CodeLater: "later", wire.CodeSuperseded: "superseded",
}
