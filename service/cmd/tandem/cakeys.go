package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/hsmsigner"
)

// caReference says in the folder of a CA which key in which token is its own: root.ref,
// issuing-1.ref.
type caReference struct {
	Module     string `json:"module"`
	Parameters string `json:"parameters,omitempty"`
	Token      string `json:"token"`
	Serial     string `json:"serial"`
	Key        string `json:"key"` // its label
}

// caBits is the length of a CA's RSA key in a token.
const caBits = 4096

// caKeys are keys of CAs in tokens, and the tokens that were opened for them. A module
// has one user in a process, so each token is opened once.
type caKeys struct {
	c          *call
	parameters string

	tokens []*caToken
	made   []string // labels of keys
}

type caToken struct {
	module, label, serial string
	token                 *hsm.Token
	shut                  func() error
}

// lend has keys be found in a token that somebody else closes.
func (k *caKeys) lend(config *hsmConfig, token *hsm.Token) {
	if config != nil && token != nil {
		k.tokens = append(k.tokens, &caToken{config.Module, config.Token, token.Serial(), token, func() error { return nil }})
	}
}

// token returns an open token.
func (k *caKeys) token(ctx context.Context, config *hsmConfig, pin hsmPIN, log *slog.Logger) (*hsm.Token, error) {
	for _, t := range k.tokens {
		if sameFile(t.module, config.Module) && t.label == config.Token && (config.Serial == "" || t.serial == config.Serial) {
			return t.token, nil
		}
	}
	token, shut, err := openToken(ctx, k.c, config, pin, oneRun.sessions, log)
	if err != nil {
		return nil, err
	}
	k.tokens = append(k.tokens, &caToken{config.Module, config.Token, token.Serial(), token, shut})
	return token, nil
}

// maker makes a key, under a label that no other CA has; nil if the key is not to be in a
// token. The token is opened at once, so that a wrong PIN costs nothing.
func (k *caKeys) maker(ctx context.Context, one oneCA, purpose string) (func() (ca.Elsewhere, error), error) {
	config, err := parseHSM(one.token, "")
	if config == nil || err != nil {
		return nil, err
	}
	config.Parameters = k.parameters
	token, err := k.token(ctx, config, one.pin, nil) // a CA has no log
	if err != nil {
		return nil, err
	}
	return func() (ca.Elsewhere, error) { return k.make(ctx, config, token, purpose) }, nil
}

func (k *caKeys) make(ctx context.Context, config *hsmConfig, token *hsm.Token, purpose string) (out ca.Elsewhere, err error) {
	name := make([]byte, 4)
	rand.Read(name)
	r := caReference{config.Module, config.Parameters, config.Token, token.Serial(), "tandem-" + hex.EncodeToString(name) + "-" + purpose}
	k.made = append(k.made, r.Key)
	k.c.step("making the key of a CA in the token")
	defer k.c.done()
	key, err := token.GenerateKey(ctx, r.Key, caBits)
	if err != nil {
		return out, err
	}
	if out.Signer, err = hsmsigner.New(key); err != nil {
		return out, err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	out.Reference = append(text, '\n')
	return out, err
}

// opener finds keys by their references. pin is asked for the PIN of each token that is
// not open yet.
func (k *caKeys) opener(ctx context.Context, pin hsmPIN, log *slog.Logger) ca.Opener {
	return func(reference []byte) (crypto.Signer, error) {
		var r caReference
		if err := decodeFile(reference, &r); err != nil {
			return nil, failf("damaged", "restore the file", "the reference to a key: %w", err)
		}
		token, err := k.token(ctx, &hsmConfig{Module: r.Module, Parameters: r.Parameters, Token: r.Token, Serial: r.Serial}, pin, log)
		if err != nil {
			return nil, err
		}
		key, err := token.Key(ctx, r.Key)
		if err != nil {
			return nil, err
		}
		return hsmsigner.New(key)
	}
}

// left says which keys are in tokens for a CA that failed to be. A private key of a CA is
// not removed without a person's word.
func (k *caKeys) left(cause error) error {
	if len(k.made) == 0 {
		return cause
	}
	f := explain(cause, k.c.clock())
	f.Message += fmt.Sprintf("; the keys %q are left in the token", k.made)
	f.Next = "if no folder of a CA names them, remove them with the token's own tool"
	return f
}

// close closes the tokens.
func (k *caKeys) close() error {
	var errs []error
	for _, t := range k.tokens {
		errs = append(errs, t.shut())
	}
	k.tokens = nil
	return errors.Join(errs...)
}

// sameFile reports whether two names are of one file.
func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
