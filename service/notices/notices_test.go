package notices_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/notices"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

var began = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time          { return began.Add(time.Duration(c.ahead.Load())) }
func (c *clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// sender does what a test says, and keeps what it was given.
type sender struct {
	mu   sync.Mutex
	err  error
	sent []string
}

func (s *sender) Send(_ context.Context, n notices.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, n.ID)
	return s.err
}

func (s *sender) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sender) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = nil
	return sent
}

func newOutbox(t *testing.T, db *database.DB, c *clock, senders map[string]notices.Sender) *notices.Outbox {
	t.Helper()
	o, err := notices.NewOutbox(notices.Config{DB: db, Senders: senders, Log: slog.New(slog.DiscardHandler), Clock: c.Now})
	require.NoError(t, err)
	return o
}

func add(t *testing.T, db *database.DB, o *notices.Outbox, n notices.Notice, fail error) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *sql.Tx) error {
		require.NoError(t, o.Add(t.Context(), tx, n))
		return fail
	})
	require.ErrorIs(t, err, fail)
}

// TestOutbox: a notice goes to each sender until it has taken it, with longer and longer
// pauses, and not if its transaction came to nothing.
func TestOutbox(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, c := open(), new(clock)
		mail, hook := new(sender), new(sender)
		o := newOutbox(t, db, c, map[string]notices.Sender{"mail": mail, "hook": hook})
		never := errors.New("never")
		add(t, db, o, notices.Notice{ID: "0", Kind: notices.KeyLocked}, never)
		add(t, db, o, notices.Notice{ID: "1", Kind: notices.KeyLocked}, nil)
		add(t, db, o, notices.Notice{ID: "1", Kind: notices.KeyLocked}, nil) // the same
		mail.set(errors.New("no connection"))
		require.NoError(t, o.Deliver(t.Context()))
		require.Equal(t, []string{"1"}, hook.take())
		require.Equal(t, []string{"1"}, mail.take())
		for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			c.Advance(pause - time.Millisecond)
			require.NoError(t, o.Deliver(t.Context()))
			require.Empty(t, mail.take())
			c.Advance(time.Millisecond)
			require.NoError(t, o.Deliver(t.Context()))
			require.Equal(t, []string{"1"}, mail.take())
		}
		waiting, failed, err := o.Waiting(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{1, 0}, []int{waiting, failed})
		mail.set(nil)
		c.Advance(time.Hour)
		require.NoError(t, o.Deliver(t.Context()))
		require.Equal(t, []string{"1"}, mail.take())
		c.Advance(time.Hour)
		require.NoError(t, o.Deliver(t.Context()))
		require.Empty(t, mail.take())
		require.Empty(t, hook.take())
	})
}

// TestGivenUp: a notice that cannot be delivered is given up at once, another one after
// days, and both are counted.
func TestGivenUp(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, c, s := open(), new(clock), new(sender)
		o := newOutbox(t, db, c, map[string]notices.Sender{"mail": s})
		s.set(fmt.Errorf("%w: nobody there", notices.ErrUndeliverable))
		add(t, db, o, notices.Notice{ID: "1"}, nil)
		require.NoError(t, o.Deliver(t.Context()))
		c.Advance(time.Hour)
		require.NoError(t, o.Deliver(t.Context()))
		require.Equal(t, []string{"1"}, s.take())
		s.set(errors.New("no connection"))
		add(t, db, o, notices.Notice{ID: "2"}, nil)
		tries := 0
		for began := c.Now(); c.Now().Sub(began) < 9*24*time.Hour; c.Advance(time.Hour) {
			require.NoError(t, o.Deliver(t.Context()))
			tries += len(s.take())
		}
		require.Greater(t, tries, 7*24-3)
		require.Less(t, tries, 7*24+10)
		waiting, failed, err := o.Waiting(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{0, 2}, []int{waiting, failed})
	})
}

// TestManyNodes: nodes that deliver at once send a notice once, unless one of them dies
// over it; then another sends it again.
func TestManyNodes(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, c, s := open(), new(clock), new(sender)
		senders := map[string]notices.Sender{"mail": s}
		o := newOutbox(t, db, c, senders)
		const n = 30
		for i := range n {
			add(t, db, o, notices.Notice{ID: strconv.Itoa(i)}, nil)
		}
		var wg sync.WaitGroup
		for range 3 {
			node := newOutbox(t, open(), c, senders)
			wg.Go(func() { require.NoError(t, node.Deliver(t.Context())) })
		}
		wg.Wait()
		require.Len(t, s.take(), n)

		ctx, cancel := context.WithCancel(t.Context())
		dying := newOutbox(t, db, c, map[string]notices.Sender{"mail": dies{cancel}})
		add(t, db, o, notices.Notice{ID: "last"}, nil)
		require.ErrorIs(t, dying.Deliver(ctx), context.Canceled)
		c.Advance(time.Minute)
		require.NoError(t, o.Deliver(t.Context()))
		require.Empty(t, s.take(), "it is still being sent")
		c.Advance(time.Minute)
		require.NoError(t, o.Deliver(t.Context()))
		require.Equal(t, []string{"last"}, s.take())
	})
}

// TestStaleList: a node does not send what another node has tried since it looked.
func TestStaleList(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, c, s := open(), new(clock), new(sender)
		other := newOutbox(t, open(), c, map[string]notices.Sender{"mail": s})
		s.set(errors.New("no connection"))
		o := newOutbox(t, db, c, map[string]notices.Sender{"mail": meanwhile(func() { require.NoError(t, other.Deliver(t.Context())) })})
		for _, id := range []string{"1", "2", "3"} {
			add(t, db, o, notices.Notice{ID: id}, nil)
		}
		require.NoError(t, o.Deliver(t.Context()))
		require.Equal(t, []string{"2", "3"}, s.take())
		waiting, _, err := o.Waiting(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, waiting)
	})
}

// meanwhile sends, while something else happens.
type meanwhile func()

func (f meanwhile) Send(context.Context, notices.Notice) error { f(); return nil }

// dies ends its process before it can say that it has sent something.
type dies struct{ cancel context.CancelFunc }

func (d dies) Send(ctx context.Context, _ notices.Notice) error {
	d.cancel()
	return ctx.Err()
}

// TestRun: Run sends what comes, as it comes, until its context ends.
func TestRun(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, c := open(), new(clock)
		arrived := make(chan string, 10)
		o := newOutbox(t, db, c, map[string]notices.Sender{"mail": sendTo(arrived)})
		add(t, db, o, notices.Notice{ID: "before"}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- o.Run(ctx) }()
		require.Equal(t, "before", <-arrived)
		add(t, db, o, notices.Notice{ID: "then"}, nil)
		require.Equal(t, "then", <-arrived)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

type sendTo chan string

func (s sendTo) Send(_ context.Context, n notices.Notice) error { s <- n.ID; return nil }

var locked = notices.Notice{
	ID: "ABC", Kind: notices.KeyLocked, At: began, Person: "PNOEE-40504040001", Name: "MARI MÄND", Email: "mari@example.org",
	Document: "PNOEE-40504040001-7TRE-Q", Device: "Mari's phone", Use: "signature", Until: began.Add(3 * time.Hour),
}

// mailServer is an SMTP server (RFC 5321), as far as a client needs one.
type mailServer struct {
	t        *testing.T
	listener net.Listener
	tls      *tls.Config // nil offers no STARTTLS
	auth     string      // what AUTH PLAIN must be; empty offers none
	rcpt     string      // the reply to RCPT
	after    string      // the reply to the mail itself

	mu       sync.Mutex
	received []string
	secure   bool
}

func newMailServer(t *testing.T, change func(*mailServer)) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &mailServer{t: t, listener: l, rcpt: "250 ok", after: "250 ok"}
	change(s)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

func (s *mailServer) serve(c net.Conn) {
	defer func() { c.Close() }()
	c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	say := func(lines ...string) { fmt.Fprint(c, strings.Join(lines, "\r\n")+"\r\n") }
	say("220 tree.example")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			lines := []string{"250-tree.example"}
			if s.tls != nil && !s.secure {
				lines = append(lines, "250-STARTTLS")
			}
			if s.auth != "" {
				lines = append(lines, "250-AUTH PLAIN")
			}
			say(append(lines, "250 8BITMIME")...)
		case "STARTTLS":
			say("220 go on")
			secure := tls.Server(c, s.tls)
			if secure.Handshake() != nil {
				return
			}
			s.mu.Lock()
			s.secure = true
			s.mu.Unlock()
			c, in = secure, bufio.NewReader(secure)
		case "AUTH":
			if line != "AUTH PLAIN "+s.auth {
				say("535 no")
				return
			}
			say("235 ok")
		case "MAIL":
			say("250 ok")
		case "RCPT":
			say(s.rcpt)
		case "DATA":
			say("354 go on")
			var mail strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				mail.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.received = append(s.received, mail.String())
			s.mu.Unlock()
			say(s.after)
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 " + verb)
		}
	}
}

func (s *mailServer) sender() notices.SMTP {
	return notices.SMTP{Address: s.listener.Addr().String(), From: "Tree Bank <no-reply@tree.example>"}
}

// testTLS is the certificate of httptest, for 127.0.0.1, and what trusts it.
func testTLS(t *testing.T) (server, client *tls.Config) {
	h := httptest.NewUnstartedServer(nil)
	h.StartTLS()
	t.Cleanup(h.Close)
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	return &tls.Config{Certificates: h.TLS.Certificates}, &tls.Config{RootCAs: pool}
}

// TestSMTP: what arrives is a mail to the person, and says what happened.
func TestSMTP(t *testing.T) {
	server, client := testTLS(t)
	s := newMailServer(t, func(s *mailServer) { s.tls, s.auth = server, "AG1lAGh1bnRlcjI=" })
	sender := s.sender()
	sender.Config, sender.Username, sender.Password = client, "me", "hunter2"
	require.NoError(t, sender.Send(t.Context(), locked))
	require.True(t, s.secure)
	require.Len(t, s.received, 1)
	m, err := mail.ReadMessage(strings.NewReader(s.received[0]))
	require.NoError(t, err)
	require.Equal(t, "<mari@example.org>", m.Header.Get("To"))
	require.Equal(t, "<ABC@tree.example>", m.Header.Get("Message-ID"))
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "Wrong PINs were typed, and your key is locked for some time.", subject)
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	require.NoError(t, err)
	for _, part := range []string{"MARI MÄND", "PNOEE-40504040001-7TRE-Q", "Mari's phone", "signature", "1 March 2027, 15:00 UTC"} {
		require.Contains(t, string(text), part)
	}
	// Nobody to tell.
	require.NoError(t, sender.Send(t.Context(), notices.Notice{ID: "X"}))
	require.Len(t, s.received, 1)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", sender, sender, sender), "hunter2")
}

// TestSMTPInjection: nothing that a person or a phone is called makes a header or a
// command.
func TestSMTPInjection(t *testing.T) {
	s := newMailServer(t, func(*mailServer) {})
	sender := s.sender()
	sender.Write = func(n notices.Notice) (string, string) {
		return n.Device + "\r\nBcc: all@example.org", "text\r\n.\r\nMAIL FROM:<a@b>\r\n" + n.Name
	}
	n := locked
	n.Device, n.Name = "a\r\nBcc: some@example.org", "b\n.\nQUIT\n"
	require.NoError(t, sender.Send(t.Context(), n))
	m, err := mail.ReadMessage(strings.NewReader(s.received[0]))
	require.NoError(t, err)
	require.Empty(t, m.Header.Get("Bcc"))
	require.Len(t, s.received, 1)
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	require.NoError(t, err)
	require.Contains(t, string(text), "QUIT")
	n.Email = "mari@example.org>\r\nRCPT TO:<all@example.org"
	require.ErrorIs(t, sender.Send(t.Context(), n), notices.ErrUndeliverable)
	require.Len(t, s.received, 1)
}

// TestSMTPRefused: what the server refuses for good is undeliverable; everything else is
// worth another try, and no mail goes out without encryption or to a server with another
// name.
func TestSMTPRefused(t *testing.T) {
	server, _ := testTLS(t)
	for name, c := range map[string]struct {
		change func(*mailServer)
		final  bool
	}{
		"unknown address":   {func(s *mailServer) { s.rcpt = "550 no such user" }, true},
		"refused mail":      {func(s *mailServer) { s.after = "554 spam" }, true},
		"full for now":      {func(s *mailServer) { s.rcpt = "452 full" }, false},
		"not now":           {func(s *mailServer) { s.after = "451 later" }, false},
		"another authority": {func(s *mailServer) { s.tls = server }, false},
	} {
		s := newMailServer(t, c.change)
		err := s.sender().Send(t.Context(), locked)
		require.Error(t, err, name)
		require.Equal(t, c.final, errors.Is(err, notices.ErrUndeliverable), name)
	}
	s := newMailServer(t, func(s *mailServer) { s.auth = "AA==" })
	sender := s.sender()
	sender.Username = "me"
	require.Error(t, sender.Send(t.Context(), locked))
	require.Empty(t, s.received)
	for _, bad := range []notices.SMTP{{}, {Address: "127.0.0.1:1", From: "nobody"}, {Address: "nowhere", From: "a@b.example"}} {
		err := bad.Send(t.Context(), locked)
		require.ErrorIs(t, err, notices.ErrConfig)
	}
	// It ends with its context, although the server says nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, notices.SMTP{Address: silent.Addr().String(), From: "a@b.example"}.Send(ctx, locked))
}

// TestWebhook: the receiver has the notice and can tell that it is genuine; a redirect is
// not followed, and anything but success is worth another try.
func TestWebhook(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	status := http.StatusNoContent
	var got []notices.Notice
	elsewhere := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hook", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		h := hmac.New(sha256.New, secret)
		fmt.Fprintf(h, "%s.%s", r.Header.Get("Tandem-Time"), body)
		require.Equal(t, hex.EncodeToString(h.Sum(nil)), r.Header.Get("Tandem-Signature"))
		at, err := strconv.ParseInt(r.Header.Get("Tandem-Time"), 10, 64)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), time.Unix(at, 0), time.Minute)
		var n notices.Notice
		require.NoError(t, json.Unmarshal(body, &n))
		got = append(got, n)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere++ })
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	w, err := notices.NewWebhook(server.URL+"/hook", secret, server.Client().Transport)
	require.NoError(t, err)
	require.NoError(t, w.Send(t.Context(), locked))
	require.Equal(t, []notices.Notice{locked}, got)
	for _, status = range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusGone, http.StatusInternalServerError} {
		err := w.Send(t.Context(), locked)
		require.Error(t, err)
		require.NotErrorIs(t, err, notices.ErrUndeliverable)
	}
	require.Zero(t, elsewhere)
	plain, err := notices.NewWebhook(server.URL+"/hook?token=hunter2", secret, nil)
	require.NoError(t, err)
	err = plain.Send(t.Context(), locked) // the certificate is nobody's
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", w, *w, *w, w), "0123456789abcdef")
	for _, address := range []string{"", "http://example.org/hook", "ftp://example.org", "https://user:pw@example.org", "://"} {
		_, err := notices.NewWebhook(address, secret, nil)
		require.ErrorIs(t, err, notices.ErrConfig, address)
	}
	_, err = notices.NewWebhook("https://example.org", secret[:31], nil)
	require.ErrorIs(t, err, notices.ErrConfig)
}

// TestNothing: calls with nothing are errors and no panics.
func TestNothing(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLite(t))
	var nothing context.Context
	var none *notices.Outbox
	for _, c := range []notices.Config{{}, {DB: db, Senders: map[string]notices.Sender{"": new(sender)}},
		{DB: db, Senders: map[string]notices.Sender{"a b": new(sender)}}, {DB: db, Senders: map[string]notices.Sender{"a": nil}},
		{DB: db, Senders: map[string]notices.Sender{"a": (*notices.Webhook)(nil)}}} {
		_, err := notices.NewOutbox(c)
		require.ErrorIs(t, err, notices.ErrConfig)
	}
	good, err := notices.NewOutbox(notices.Config{DB: db})
	require.NoError(t, err)
	require.ErrorIs(t, good.Add(t.Context(), nil, notices.Notice{}), notices.ErrConfig)
	for _, c := range []struct {
		o   *notices.Outbox
		ctx context.Context
	}{{none, t.Context()}, {new(notices.Outbox), t.Context()}, {good, nothing}} {
		require.ErrorIs(t, c.o.Add(c.ctx, nil, notices.Notice{}), notices.ErrConfig)
		require.ErrorIs(t, c.o.Run(c.ctx), notices.ErrConfig)
		require.ErrorIs(t, c.o.Deliver(c.ctx), notices.ErrConfig)
		_, _, err := c.o.Waiting(c.ctx)
		require.ErrorIs(t, err, notices.ErrConfig)
	}
	var hook *notices.Webhook
	require.ErrorIs(t, hook.Send(t.Context(), locked), notices.ErrConfig)
	require.ErrorIs(t, new(notices.Webhook).Send(t.Context(), locked), notices.ErrConfig)
	require.ErrorIs(t, notices.SMTP{}.Send(nothing, locked), notices.ErrConfig)
	subject, text := notices.English(notices.Notice{Kind: "something new"})
	require.Equal(t, "something new", subject)
	require.NotEmpty(t, text)
}
