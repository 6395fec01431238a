package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
)

var statusCommand = &command{
	name: "status", args: "[-device DIR] [-server DIR]",
	about: "shows each key, the tries left and locks",
	help: `
Status shows what the device knows of its keys, and, with -server too, what the server does: how
many wrong PINs are left, whether the key is locked or destroyed. With -server alone it shows what
kind of server that is. It changes nothing and needs no PIN but the HSM's.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		var (
			f   folders
			pin hsmPIN
		)
		f.declareDevice(flags)
		f.declareServer(flags)
		pin.declare(flags)
		return func(ctx context.Context, c *call) (_ result, err error) {
			f.fill(c)
			if err := c.noFiles(); err != nil {
				return nil, err
			}
			if f.device == "" && f.server == "" {
				return nil, usagef("status of what? Give -device, -server or both")
			}
			if f.device != "" && f.server != "" {
				if err := f.apart(); err != nil {
					return nil, err
				}
			}
			r := &statusResult{now: c.clock()}
			if f.server != "" {
				config, err := readServerConfig(f.server)
				if err != nil {
					return nil, err
				}
				s := newServerResult(f.server, config)
				r.Server = &s
			}
			if f.device == "" {
				return r, nil
			}
			hpkeKey, err := readHPKEKey(f.device)
			if err != nil {
				return nil, err
			}
			r.Device = &deviceStatus{Folder: f.device}
			var srv *server.Server
			if f.server != "" {
				var b *backend
				if b, err = openBackend(ctx, c, f.server, pin); err != nil {
					return nil, err
				}
				defer func() { err = errors.Join(err, b.close()) }()
				var shut func() error
				srv, shut, err = b.open(ctx, c)
				if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
					srv, shut, err = b.openCopy(ctx, c)
				}
				if err != nil {
					return nil, err
				}
				defer func() { err = errors.Join(err, shut()) }()
			}
			for _, key := range keyNames {
				k, err := statusOf(ctx, f.device, key, hpkeKey, srv)
				if err != nil {
					return nil, err
				}
				r.Device.Keys = append(r.Device.Keys, k)
			}
			return r, nil
		}
	},
}

func statusOf(ctx context.Context, folder, key string, hpkeKey []byte, srv *server.Server) (*keyStatus, error) {
	status, err := look(folder, key, hpkeKey)
	if err != nil {
		return nil, err
	}
	k := &keyStatus{Key: key, Phase: status.Phase.String()}
	if status.Reason != 0 {
		k.Reason = status.Reason.String()
	}
	if status.KeyID != (protocol.KeyID{}) {
		k.ID = status.KeyID.String()
	}
	if status.PublicKey != nil {
		k.Bits = status.PublicKey.N.BitLen()
		if _, k.Fingerprint, err = publicPEM(status.PublicKey); err != nil {
			return nil, err
		}
	}
	if p := status.Pending; p != nil {
		k.Pending = &pendingStatus{Operation: p.Operation.String(), Expires: p.Expires}
		if len(p.Digests) == 1 {
			k.Pending.Hash, k.Pending.Digest, k.Pending.Code = hashName(p.Options.HashFunc()), hex.EncodeToString(p.Digests[0]), protocol.VerificationCode(p.Digests[0])
		}
	}
	if srv == nil || k.ID == "" {
		return k, nil
	}
	known, err := srv.Status(ctx, status.KeyID)
	if errors.Is(err, server.ErrUnknownKey) {
		k.Server = &serverStatus{Condition: "unknown"}
		return k, nil
	}
	if err != nil {
		return nil, err
	}
	k.Server = &serverStatus{
		Condition: known.Condition.String(), Enrolled: &known.Enrolled,
		TriesLeft: known.Attempts.Remaining, TriesLeftInAll: known.Attempts.RemainingTotal,
	}
	if known.Condition == server.Destroyed {
		k.Server.Reason = known.Reason.String()
	}
	if t := known.Attempts.LockedUntil; !t.IsZero() {
		k.Server.LockedUntil = &t
	}
	if t := known.ConfirmBy; !t.IsZero() {
		k.Server.ConfirmBy = &t
	}
	return k, nil
}

type statusResult struct {
	Device *deviceStatus `json:"device,omitempty"`
	Server *serverResult `json:"server,omitempty"`
	now    time.Time
}

type deviceStatus struct {
	Folder string       `json:"folder"`
	Keys   []*keyStatus `json:"keys"`
}

type keyStatus struct {
	Key         string         `json:"key"`
	Phase       string         `json:"phase"`
	Reason      string         `json:"reason,omitempty"`
	ID          string         `json:"id,omitempty"`
	Bits        int            `json:"bits,omitempty"`
	Fingerprint string         `json:"public_key_sha256,omitempty"`
	Pending     *pendingStatus `json:"pending,omitempty"`
	Server      *serverStatus  `json:"server,omitempty"`
}

type pendingStatus struct {
	Operation string    `json:"operation"`
	Hash      string    `json:"hash,omitempty"`
	Digest    string    `json:"digest,omitempty"`
	Code      string    `json:"verification_code,omitempty"`
	Expires   time.Time `json:"expires"`
}

type serverStatus struct {
	Condition      string     `json:"condition"`
	Reason         string     `json:"reason,omitempty"`
	Enrolled       *time.Time `json:"enrolled,omitempty"`
	ConfirmBy      *time.Time `json:"confirm_by,omitempty"`
	TriesLeft      int        `json:"tries_left"`
	TriesLeftInAll int        `json:"tries_left_in_all"`
	LockedUntil    *time.Time `json:"locked_until,omitempty"`
}

func (r *statusResult) text(w io.Writer) {
	if r.Server != nil {
		fmt.Fprintln(w, r.Server.line())
	}
	if r.Device == nil {
		return
	}
	fmt.Fprintf(w, "device %s\n", r.Device.Folder)
	for _, k := range r.Device.Keys {
		fmt.Fprintf(w, "  %s  %s  %s", k.Key, pinName(k.Key), k.Phase)
		if k.Reason != "" {
			fmt.Fprintf(w, ": %s", k.Reason)
		}
		if k.Bits != 0 {
			fmt.Fprintf(w, ", RSA-%d, key id %s", k.Bits, k.ID)
		}
		fmt.Fprintln(w)
		if p := k.Pending; p != nil {
			fmt.Fprintf(w, "        not answered: %s %s, until %s\n", p.Operation, p.Code, p.Expires.Format("15:04:05 UTC"))
		}
		if s := k.Server; s != nil {
			fmt.Fprintf(w, "        server: %s\n", s.line(r.now))
		}
	}
}

func (s *serverStatus) line(now time.Time) string {
	switch {
	case s.Condition == "unknown":
		return "knows no such key"
	case s.Reason != "":
		return s.Condition + " for ever: " + s.Reason
	case s.LockedUntil != nil:
		return fmt.Sprintf("locked %s; wrong PINs: %d left before the key is destroyed", until(*s.LockedUntil, now), s.TriesLeftInAll)
	}
	return fmt.Sprintf("%s; wrong PINs: %s", s.Condition, triesLeft(s.TriesLeft, s.TriesLeftInAll))
}
