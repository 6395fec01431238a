package main

import (
	"bytes"
	"fmt"

	"github.com/tandem-rsa/tandem/service/notices"
)

// The names of senders are in the database, with what waits for them.
const (
	mailSender    = "mail"
	webhookSender = "webhook"
)

// senders are those of the configuration.
func (n noticesConfig) senders() (map[string]notices.Sender, error) {
	senders := map[string]notices.Sender{}
	if s := n.SMTP; s != nil {
		if s.Address == "" || s.From == "" {
			return nil, usagef("notices by mail need an address of a server, and a sender")
		}
		password, err := readLine(s.PasswordFile)
		if err != nil {
			return nil, err
		}
		senders[mailSender] = notices.SMTP{Address: s.Address, TLS: s.TLS, From: s.From, Username: s.Username, Password: password}
	}
	if w := n.Webhook; w != nil {
		secret, err := readSecret(w.SecretFile, 32, 1024)
		if err != nil {
			return nil, err
		}
		defer clear(secret)
		webhook, err := notices.NewWebhook(w.URL, secret, nil)
		if err != nil {
			return nil, usagef("%v", err)
		}
		senders[webhookSender] = webhook
	}
	return senders, nil
}

// readLine reads a file with a password, which only its owner may read. Without a name
// there is none.
func readLine(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if err := checkSecret(name); err != nil {
		return "", err
	}
	text, err := readPart(name)
	if err != nil {
		return "", err
	}
	line := bytes.TrimRight(text, "\r\n")
	if len(line) == 0 || bytes.ContainsAny(line, "\r\n") {
		return "", failf("damaged", "write the password into it, and nothing else", "%s: %w", name, fmt.Errorf("want one line"))
	}
	return string(line), nil
}
