package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/tandem-rsa/tandem/hsm"
)

// hsmConfig names a token and two AES keys in it.
type hsmConfig struct {
	Module     string `json:"module"`
	Parameters string `json:"parameters,omitempty"`
	Token      string `json:"token"`
	Serial     string `json:"serial"`
	SealingKey string `json:"sealing_key"`  // seals shares
	WrapKey    string `json:"wrapping_key"` // wraps the server keys; composite only
}

// parseHSM reads module:token. A module's path may have colons; then the token's label
// may not.
func parseHSM(s, parameters string) (*hsmConfig, error) {
	if s == "" {
		if parameters != "" {
			return nil, usagef("-hsm-parameters without -hsm")
		}
		return nil, nil
	}
	at := strings.LastIndexByte(s, ':')
	if at < 1 || at == len(s)-1 {
		return nil, usagef("-hsm is MODULE:TOKEN, the path of a PKCS #11 library and the label of a token, not %q", s)
	}
	return &hsmConfig{Module: s[:at], Token: s[at+1:], Parameters: parameters}, nil
}

// hsmPIN is where the token's PIN comes from: this file, TANDEM_HSM_PIN, or a prompt.
type hsmPIN struct{ file string }

func (p *hsmPIN) declare(flags *flag.FlagSet) {
	flags.StringVar(&p.file, "hsm-pin-file", "", "`file` with the PIN of the server's HSM token; else TANDEM_HSM_PIN or a prompt")
}

func (p hsmPIN) get(ctx context.Context, c *call, token string) ([]byte, error) {
	if p.file != "" {
		text, err := readPINFile(ctx, c, p.file) // one line, and not only of digits
		return bytes.TrimRight(text, "\r\n"), err
	}
	if pin := c.env("TANDEM_HSM_PIN"); pin != "" {
		return []byte(pin), nil
	}
	if !term.IsTerminal(int(c.stdin.Fd())) {
		return nil, usagef("the server's secrets are in an HSM: give its PIN with -hsm-pin-file or in TANDEM_HSM_PIN")
	}
	return c.ask(ctx, fmt.Sprintf("PIN of the token %q: ", token))
}

// closePatience is how long the end of a command waits for calls that still run in a
// module.
const closePatience = 3 * time.Second

// destroyPatience is how long an init that failed tries to take its keys out of a token
// again: longer, since else they stay there.
const destroyPatience = 30 * time.Second

// openToken asks for the PIN once, before the module is loaded. log gets what becomes of
// the token; nil is none.
func openToken(ctx context.Context, c *call, config *hsmConfig, source hsmPIN, sessions int, log *slog.Logger) (*hsm.Token, func() error, error) {
	if _, err := os.Stat(config.Module); err != nil {
		return nil, nil, failf("hsm", "give the path of a PKCS #11 library", "%w: %w", hsm.ErrModule, err)
	}
	pin, err := source.get(ctx, c, config.Token)
	if err != nil {
		return nil, nil, err
	}
	c.step("server: opening the token and testing what it can do")
	defer c.done()
	token, err := hsm.Open(ctx, hsm.Config{
		Module: config.Module, Parameters: config.Parameters, Label: config.Token, Serial: config.Serial, Sessions: sessions,
		PIN: func(context.Context) ([]byte, error) { return bytes.Clone(pin), nil }, Logger: log,
	})
	if err != nil {
		clear(pin)
		return nil, nil, err
	}
	return token, func() error {
		clear(pin)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
		defer cancel()
		return token.Close(ctx)
	}, nil
}

// createTokenVault makes the keys in the token, under labels that no other server has.
func createTokenVault(ctx context.Context, c *call, config *serverConfig, pin hsmPIN) (*vault, error) {
	token, shut, err := openToken(ctx, c, config.HSM, pin, oneRun.sessions, nil) // there is no log yet
	if err != nil {
		return nil, err
	}
	name := make([]byte, 4)
	rand.Read(name)
	h := config.HSM
	h.Serial, h.SealingKey = token.Serial(), "tandem-"+hex.EncodeToString(name)+"-seal"
	labels := []string{h.SealingKey}
	if config.Shape == composite {
		h.WrapKey = "tandem-" + hex.EncodeToString(name) + "-wrap"
		labels = append(labels, h.WrapKey)
	}
	undo := func(cause error) error { return destroyKeys(ctx, token, labels, cause) }
	c.step("server: making its keys in the token")
	defer c.done()
	if config.Shape == composite {
		if err = token.GenerateWrappingKey(ctx, h.WrapKey); errors.Is(err, hsm.ErrUnsupported) {
			return nil, errors.Join(failf("hsm", "this token wraps no keys, which composite keys need; two-prime keys do without: -shape two-prime", "%w", err), shut())
		}
	}
	if err == nil {
		_, err = token.GenerateSealingKey(ctx, h.SealingKey)
	}
	if err != nil {
		return nil, errors.Join(undo(err), shut())
	}
	v, err := tokenVault(ctx, token, *config, oneRun, func() error { return nil })
	if err != nil {
		return nil, errors.Join(undo(err), shut())
	}
	keys := v.close
	v.undo, v.close = undo, func() error { return errors.Join(keys(), shut()) }
	return v, nil
}

// destroyKeys removes what an init that failed made in the token.
func destroyKeys(ctx context.Context, token *hsm.Token, labels []string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), destroyPatience)
	defer cancel()
	for _, label := range labels {
		if err := token.DestroyKeys(ctx, label); err != nil {
			return failf("hsm", "remove these keys with the token's own tool",
				"%w; the keys %q may be left in the token: %v", cause, labels, err)
		}
	}
	return cause
}

func openTokenVault(ctx context.Context, c *call, config serverConfig, pin hsmPIN, d demand, log *slog.Logger) (*vault, error) {
	token, shut, err := openToken(ctx, c, config.HSM, pin, d.sessions, log)
	if err != nil {
		return nil, err
	}
	v, err := tokenVault(ctx, token, config, d, shut)
	if err != nil {
		return nil, errors.Join(err, shut())
	}
	return v, nil
}

func tokenVault(ctx context.Context, token *hsm.Token, config serverConfig, d demand, shut func() error) (*vault, error) {
	sealer, err := token.Sealer(ctx, config.HSM.SealingKey)
	if err != nil {
		return nil, err
	}
	v := &vault{sealer: sealer, token: token, close: shut}
	if config.Shape == composite {
		keys, err := token.ServerKeys(ctx, config.HSM.WrapKey, config.ClientBits, d.stock)
		if err != nil {
			return nil, err
		}
		v.keys, v.close = keys, func() error { keys.Close(); return shut() }
	}
	return v, nil
}
