package protocol

import (
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
)

// fate is what became of a request that will not be decided about again.
type fate uint8

const (
	fateRight   fate = 1
	fateWrong   fate = 2
	fateGivenUp fate = 3
)

// settled is one request in the ring of those whose challenge may still live.
type settled struct {
	request [sha256.Size]byte
	expires int64 // of its challenge
	fate    fate
	verdict verdict // of fateWrong
}

const (
	settledSize = sha256.Size + 8 + 1 + 10

	// maxRing bounds the ring: at three wrong PINs before the first lock and one right one at
	// a time, far more than a user can do within a challenge's life.
	maxRing = 32
)

// ring holds the settled requests of a key, oldest first. A request leaves it when its challenge is
// so old that no node can take it for fresh.
type ring []settled

func (r ring) find(request [sha256.Size]byte) *settled {
	for i := range r {
		if r[i].request == request {
			return &r[i]
		}
	}
	return nil
}

// without returns a copy without the requests that no node can take for fresh any more. While the challenge key changes two nodes
// may hold different keys; then none compares its clock with the record's time, and one of them may be slow.
func (r ring) without(now int64) ring {
	var kept ring
	for _, s := range r {
		if s.expires > now-clockSkew.Milliseconds() {
			kept = append(kept, s)
		}
	}
	return kept
}

// giveUp adds the requests that the device gave up. Those that were settled keep their fate.
func (r ring) giveUp(given []givenUp, now int64) ring {
	for _, g := range given {
		// A device that lies about the expiry harms itself, within bounds. The node that issued the challenge may be
		// ahead of this one.
		expires := min(g.expires, now+(maxChallengeLife+clockSkew).Milliseconds())
		if expires > now-clockSkew.Milliseconds() && r.find(g.request) == nil {
			r = append(r, settled{request: g.request, expires: expires, fate: fateGivenUp})
		}
	}
	return r
}

func (r ring) append(b *cryptobyte.Builder) {
	for _, s := range r {
		b.AddBytes(s.request[:])
		b.AddUint64(uint64(s.expires))
		b.AddUint8(uint8(s.fate))
		s.verdict.append(b)
	}
}

func (r *ring) read(s cryptobyte.String) bool {
	if len(s)%settledSize != 0 || len(s)/settledSize > maxRing {
		return false
	}
	for !s.Empty() {
		var e settled
		var expires uint64
		var f uint8
		if !s.CopyBytes(e.request[:]) || !s.ReadUint64(&expires) || expires > maxUntil ||
			!s.ReadUint8(&f) || !e.verdict.read(&s) {
			return false
		}
		e.expires, e.fate = int64(expires), fate(f)
		if e.fate < fateRight || e.fate > fateGivenUp || e.fate != fateWrong && e.verdict != (verdict{}) {
			return false
		}
		*r = append(*r, e)
	}
	return true
}
