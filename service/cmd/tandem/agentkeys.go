package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// agentKey is a key of the device's.
type agentKey struct {
	name   string // auth or sign
	public ssh.PublicKey
	signer *device.Signer
}

// open finds the keys that can sign.
func (a *sshAgent) open() error {
	var errs []error
	for _, name := range keyNames {
		if a.key != "" && a.key != name {
			continue
		}
		status, err := look(a.device, name, a.b.hpkeKey())
		if err != nil {
			return err
		}
		if err := (&signing{folders: a.folders, key: name}).ready(status); err != nil {
			errs = append(errs, err)
			continue
		}
		k, err := a.openKey(name, status.KeyID)
		if err != nil {
			return err
		}
		a.keys = append(a.keys, k)
	}
	if len(a.keys) == 0 {
		return errs[0]
	}
	return nil
}

func (a *sshAgent) openKey(name string, id protocol.KeyID) (*agentKey, error) {
	d, err := openDevice(a.device, name, a.b.hpkeKey(), a.c.link(func(ctx context.Context, request []byte) (response []byte, err error) {
		err = a.withServer(ctx, func(srv *server.Server) error {
			response, err = srv.Handle(ctx, request)
			return err
		})
		return response, err
	}), maxParams)
	if err != nil {
		return nil, err
	}
	k := &agentKey{name: name}
	k.signer, err = d.NewSigner(a.ctx, device.SignerConfig{
		Challenge: func(ctx context.Context, r *device.Request) (challenge []byte, err error) {
			err = a.withServer(ctx, func(srv *server.Server) error {
				challenge, err = srv.ChallengeSignAll(ctx, id, r.Digests, r.Options)
				return err
			})
			return challenge, err
		},
		PIN: func(ctx context.Context, r *device.Request) ([]byte, error) {
			return a.askPIN(ctx, k, protocol.VerificationCode(r.Digests[0]))
		},
	})
	if err != nil {
		return nil, err
	}
	k.public, err = ssh.NewPublicKey(k.signer.Public())
	return k, err
}

// withServer starts the server for one call, and waits while another tandem uses its
// folder.
func (a *sshAgent) withServer(ctx context.Context, work func(*server.Server) error) error {
	for {
		err := a.b.with(ctx, a.c, work)
		if !errors.Is(err, bolt.ErrInUse) && !errors.Is(err, watermark.ErrInUse) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// agentClient is the agent as one client sees it.
type agentClient struct {
	*sshAgent
	ctx context.Context // until the client leaves
}

var _ agent.ExtendedAgent = (*agentClient)(nil)

var (
	errAgentLocked = errors.New("the agent is locked")
	errFixedKeys   = errors.New("keys come from the device's folder: none is added or removed here")
)

// List implements agent.Agent.
func (a *agentClient) List() (keys []*agent.Key, err error) {
	if a.isLocked() {
		return nil, nil
	}
	for _, k := range a.keys {
		keys = append(keys, &agent.Key{Format: k.public.Type(), Blob: k.public.Marshal(), Comment: fmt.Sprintf("tandem %s (%s)", k.name, pinName(k.name))})
	}
	return keys, nil
}

// Sign implements agent.Agent, for clients that know of SHA-1 only.
func (a *agentClient) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return a.SignWithFlags(key, data, 0)
}

// SignWithFlags implements agent.ExtendedAgent.
func (a *agentClient) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	s, err := a.sign(key, data, flags)
	if err != nil {
		f := explain(err, a.c.clock())
		a.tell("not signed: %s", f.Message)
		if f.Next != "" && f.exit != exitWrongPIN {
			fmt.Fprintf(a.c.errOut, "  -> %s\n", f.Next)
		}
	}
	return s, err
}

func (a *agentClient) sign(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if a.isLocked() {
		return nil, errAgentLocked
	}
	var k *agentKey
	for _, mine := range a.keys {
		if bytes.Equal(mine.public.Marshal(), key.Marshal()) {
			k = mine
		}
	}
	if k == nil {
		return nil, errors.New("a client asks for a key that is not here")
	}
	var s ssh.Signature
	var hash crypto.Hash
	switch flags {
	case agent.SignatureFlagRsaSha256:
		s.Format, hash = ssh.KeyAlgoRSASHA256, crypto.SHA256
	case agent.SignatureFlagRsaSha512:
		s.Format, hash = ssh.KeyAlgoRSASHA512, crypto.SHA512
	case 0:
		return nil, errors.New("a client asks for ssh-rsa, which is SHA-1: only rsa-sha2-256 and rsa-sha2-512 are signed")
	default:
		return nil, fmt.Errorf("a client asks for a signature of an unknown kind (flags %#x)", uint32(flags))
	}
	ctx, cancel := context.WithTimeout(context.WithValue(a.ctx, purpose{}, purposeOf(data)), a.timeout)
	defer cancel()
	var err error
	s.Blob, err = k.signer.WithContext(ctx).SignMessage(nil, data, hash)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// Lock implements agent.Agent.
func (a *agentClient) Lock(passphrase []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.locked != nil {
		return errAgentLocked
	}
	sum := sha256.Sum256(passphrase)
	a.locked = &sum
	return nil
}

// Unlock implements agent.Agent.
func (a *agentClient) Unlock(passphrase []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := sha256.Sum256(passphrase)
	if a.locked == nil || subtle.ConstantTimeCompare(sum[:], a.locked[:]) != 1 {
		return errors.New("not locked, or not with this passphrase")
	}
	a.locked = nil
	return nil
}

func (a *agentClient) isLocked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.locked != nil
}

// Extension implements agent.ExtendedAgent. OpenSSH asks for session-bind@openssh.com
// before a login, which serves keys that are bound to a host; it goes on without.
func (a *agentClient) Extension(string, []byte) ([]byte, error) {
	return nil, agent.ErrExtensionUnsupported
}

// Add implements agent.Agent.
func (a *agentClient) Add(agent.AddedKey) error { return errFixedKeys }

// Remove implements agent.Agent.
func (a *agentClient) Remove(ssh.PublicKey) error { return errFixedKeys }

// RemoveAll implements agent.Agent.
func (a *agentClient) RemoveAll() error { return errFixedKeys }

// Signers implements agent.Agent. No client can ask for them.
func (a *agentClient) Signers() ([]ssh.Signer, error) { return nil, errFixedKeys }
