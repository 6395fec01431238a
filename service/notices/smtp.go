package notices

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"
)

// SMTP sends notices as mails, to persons who have an address (RFC 5321, RFC 5322). The
// connection is encrypted and the server's name verified, by STARTTLS or from the
// beginning, unless the server is on this machine.
type SMTP struct {
	// Address is the server's, "host:port". TLS says to begin with TLS, as on port 465.
	Address string
	TLS     bool
	// From is the sender's address, such as "Tree Bank <no-reply@tree.example>".
	From string
	// Username and Password log in, if Username is not empty (PLAIN, RFC 4616).
	Username string
	Password string `json:"-"`
	// Config may have certificates of CAs to trust. nil trusts those of the system.
	Config *tls.Config
	// Write writes a mail's subject and text. nil writes English.
	Write func(Notice) (subject, text string)
}

// Format hides the password, except where package fmt cannot call it: in an unexported
// field of a struct that is printed.
func (s SMTP) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "notices.SMTP(%s)", s.Address) }

var _ Sender = SMTP{}

// Send implements [Sender]. A person without an address is told nothing. A mail that the
// server refuses for good, or whose address it does not know, is undeliverable.
func (s SMTP) Send(ctx context.Context, n Notice) error {
	if ctx == nil {
		return fmt.Errorf("%w: no context", ErrConfig)
	}
	if n.Email == "" {
		return nil
	}
	from, err := mail.ParseAddress(s.From)
	if err != nil {
		return fmt.Errorf("%w: the sender's address: %w", ErrConfig, err)
	}
	to, err := mail.ParseAddress(n.Email)
	if err != nil {
		return fmt.Errorf("%w: the person's address: %w", ErrUndeliverable, err)
	}
	message, err := s.message(from, to, n)
	if err != nil {
		return fmt.Errorf("notices: writing a mail: %w", err)
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(from.Address); err != nil {
		return fmt.Errorf("notices: SMTP: %w", err)
	}
	if err := c.Rcpt(to.Address); err != nil {
		return refusedForGood(err)
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("notices: SMTP: %w", err)
	}
	if _, err := w.Write(message); err != nil {
		return fmt.Errorf("notices: SMTP: %w", err)
	}
	if err := w.Close(); err != nil {
		return refusedForGood(err)
	}
	_ = c.Quit() // the server has the mail
	return nil
}

// refusedForGood says of a reply whether another try is in vain.
func refusedForGood(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 500 {
		return fmt.Errorf("%w: SMTP: %w", ErrUndeliverable, err)
	}
	return fmt.Errorf("notices: SMTP: %w", err)
}

// connect returns a client that is logged in. All that it does ends with the context.
func (s SMTP) connect(ctx context.Context) (_ *smtp.Client, err error) {
	host, _, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: the server's address: %w", ErrConfig, err)
	}
	config := s.Config.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	config.ServerName = host
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, fmt.Errorf("notices: SMTP: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if err != nil {
			stop()
			conn.Close()
		}
	}()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, fmt.Errorf("notices: SMTP: %w", err)
		}
	}
	if s.TLS {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return nil, fmt.Errorf("notices: SMTP: %w", err)
	}
	if !s.TLS {
		switch ok, _ := c.Extension("STARTTLS"); {
		case ok:
			err = c.StartTLS(config)
		case !local(host):
			err = errors.New("the server offers no encryption")
		}
	}
	if err == nil && s.Username != "" {
		err = c.Auth(smtp.PlainAuth("", s.Username, s.Password, host))
	}
	if err != nil {
		return nil, fmt.Errorf("notices: SMTP: %w", err)
	}
	return c, nil
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// message is a mail as it travels.
func (s SMTP) message(from, to *mail.Address, n Notice) ([]byte, error) {
	write := s.Write
	if write == nil {
		write = English
	}
	subject, text := write(n)
	_, domain, _ := strings.Cut(from.Address, "@")
	var out bytes.Buffer
	for _, header := range [][2]string{
		{"From", from.String()},
		{"To", to.String()},
		{"Subject", mime.QEncoding.Encode("utf-8", strings.Join(strings.Fields(subject), " "))},
		{"Date", n.At.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + n.ID + "@" + domain + ">"}, // the same each time: a copy is known for one
		{"Auto-Submitted", "auto-generated"},            // RFC 3834
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&out, "%s: %s\r\n", header[0], header[1])
	}
	out.WriteString("\r\n")
	w := quotedprintable.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// English writes the mails of [SMTP] where nothing else does.
func English(n Notice) (subject, text string) {
	what := map[Kind]string{
		AccountOpened: "An account was opened in your name.",
		NewPhone:      "A new account was opened in your name, in place of an earlier one.",
		AccountEnded:  "Your account has ended. It can no longer be used.",
		PhoneApproved: "You have allowed another phone to take the place of this one.",
		KeyLocked:     "Wrong PINs were typed, and your key is locked for some time.",
		KeyDestroyed:  "Too many wrong PINs were typed, and your key was destroyed.",
		CloneDetected: "A copy of your phone's data was used, and your key was destroyed.",
	}[n.Kind]
	if what == "" {
		what = string(n.Kind)
	}
	var lines []string
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, name+": "+value)
		}
	}
	add("Account", n.Document)
	add("Phone", n.Device)
	add("Key for", n.Use)
	add("In place of", strings.Join(n.Replaced, ", "))
	add("Time", n.At.UTC().Format("2 January 2006, 15:04 MST"))
	if !n.Until.IsZero() {
		add("Locked until", n.Until.UTC().Format("2 January 2006, 15:04 MST"))
	}
	return what, fmt.Sprintf("%s\n\n%s\n\n%s\n\nIf this was not you, end the account with its revocation code, or ask us to.\n",
		n.Name, what, strings.Join(lines, "\n"))
}
