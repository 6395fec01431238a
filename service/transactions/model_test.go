package transactions

import (
	"maps"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/service/rp"
)

// model says what sessions must become, in as few words as possible, and without what the
// machine is made of: sets of accounts that have done something, and one end for each
// session. Accounts are numbers.
type model struct {
	now      time.Time
	dead     map[deadKey]bool // locked, or of accounts that have ended
	sessions []modelSession
}

type deadKey struct {
	account int
	login   bool
}

func (s *modelSession) key(account int) deadKey { return deadKey{account, s.kind == rp.Authentication} }

type modelSession struct {
	kind     rp.Kind
	asked    map[int]bool // accounts
	link     map[int]bool // of a device link: who may open it; then asked has who has
	codes    bool         // the person picks one of three
	text     bool         // the person confirms a text
	began    time.Time
	deadline time.Time

	claimed, picked, left map[int]bool

	end   rp.End // 0 while it runs
	by    int    // whose signature or choice it was
	ended time.Time
}

func (m model) clone() model {
	m.dead = maps.Clone(m.dead)
	m.sessions = slices.Clone(m.sessions)
	for i := range m.sessions {
		s := &m.sessions[i]
		s.asked = maps.Clone(s.asked)
		s.claimed, s.picked, s.left = maps.Clone(s.claimed), maps.Clone(s.picked), maps.Clone(s.left)
	}
	return m
}

// step is something that a phone does, or that happens.
type step struct {
	what    string // claim, pick, account, sign, replay, refuse, close
	session int
	account int
	right   bool   // of pick; of sign: the PIN
	lock    bool   // of sign: the wrong PIN locks the key
	screen  Screen // of refuse
}

// do takes a step, and returns what the phone is told.
func (m *model) do(st step) string {
	m.tick()
	if st.what == "close" {
		m.dead[deadKey{st.account, true}], m.dead[deadKey{st.account, false}] = true, true
		for i := range m.sessions {
			m.leave(i, st.account)
		}
		return "ok"
	}
	s, a := &m.sessions[st.session], st.account
	forgotten := s.end != 0 && !m.now.Before(s.ended.Add(Retention))
	own := s.end == rp.OK && s.by == a
	signs := st.what == "sign" || st.what == "replay"
	if st.what == "replay" {
		// The protocol's server makes the signature whatever the session is: nobody hears
		// that it is dropped.
		if !forgotten && s.end == 0 && m.mayRefuse(s, a, PINScreen) {
			m.finish(s, rp.OK, a)
		}
		return "ok"
	}
	switch {
	case forgotten:
		return "not found"
	case st.what == "claim" && s.link != nil && s.end == 0 && len(s.asked) == 0:
		if !s.link[a] {
			return "wrong account"
		}
		s.asked[a], s.deadline = true, m.now.Add(DefaultLife)
	case st.what == "claim" && s.link != nil && s.end == 0 && !s.asked[a]:
		return "gone"
	case !s.asked[a] && (s.end == 0 || st.what == "sign"):
		return "not found"
	case s.end != 0 && own && (signs && s.kind != rp.CertificateChoice || st.what == "account" && s.kind == rp.CertificateChoice):
		if signs && !st.right && st.lock {
			m.dead[s.key(a)] = true
		}
		return "ok"
	case s.end != 0:
		return "gone"
	case s.left[a]:
		return "unusable"
	}
	switch st.what {
	case "claim":
		if !s.claimed[a] && m.dead[s.key(a)] {
			m.leave(st.session, a)
			return "unusable"
		}
		s.claimed[a] = true
	case "pick":
		switch {
		case !s.claimed[a] || !s.codes || s.picked[a] && !st.right:
			return "order"
		case !st.right:
			m.finish(s, rp.WrongVC, a)
			return "wrong code"
		}
		s.picked[a] = true
	case "account":
		if !s.claimed[a] || s.kind != rp.CertificateChoice {
			return "order"
		}
		m.finish(s, rp.OK, a)
	case "sign":
		if !m.mayRefuse(s, a, PINScreen) {
			return "order"
		}
		if st.right {
			m.finish(s, rp.OK, a)
		} else if st.lock {
			m.dead[s.key(a)] = true
			m.leave(st.session, a)
		} else if m.dead[s.key(a)] {
			m.leave(st.session, a)
		}
	case "refuse":
		switch {
		case st.screen == NoScreen:
			m.finish(s, rp.UserRefused, a)
		case !m.mayRefuse(s, a, st.screen):
			return "order"
		case st.screen == AccountScreen:
			m.finish(s, rp.UserRefusedCertChoice, a)
		default:
			m.finish(s, rp.UserRefusedInteraction, a)
		}
	}
	return "ok"
}

// mayRefuse reports whether a phone shows a screen, or may.
func (m *model) mayRefuse(s *modelSession, a int, screen Screen) bool {
	choice := s.kind == rp.CertificateChoice
	if !s.claimed[a] || s.left[a] {
		return false
	}
	switch screen {
	case AccountScreen:
		return choice || len(s.asked) > 1
	case CodesScreen:
		return !choice && s.codes && !s.picked[a]
	case ConfirmationScreen:
		return !choice && s.text
	case PINScreen:
		return !choice && (!s.codes || s.picked[a])
	}
	return false
}

func (m *model) finish(s *modelSession, end rp.End, by int) {
	s.end, s.by, s.ended = end, by, m.now
}

// leave takes an account out of a session; the last one ends it.
func (m *model) leave(i, a int) {
	s := &m.sessions[i]
	if s.end != 0 || !s.asked[a] {
		return
	}
	s.left[a] = true
	if len(s.left) == len(s.asked) {
		m.finish(s, rp.DocumentUnusable, a)
	}
}

// tick ends what has no more time.
func (m *model) tick() {
	for i := range m.sessions {
		if s := &m.sessions[i]; s.end == 0 && !m.now.Before(s.deadline) {
			s.end, s.ended = rp.Timeout, s.deadline
		}
	}
}
