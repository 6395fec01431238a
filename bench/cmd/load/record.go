//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// recording is what devices sent to a server, and the server's store before that.
type recording struct {
	config   server.Config
	pool     *server.KeyPool
	store    *memory
	requests [][][]byte // of each device, in order
}

func (r *recording) close() { r.pool.Close() }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// record enrols devices, and has each of them sign.
func record(clients, signatures, bits int) (*recording, error) {
	ctx, store := context.Background(), newMemory()
	sealer, err := server.NewSoftwareSealer(random(server.SealerKeySize))
	if err != nil {
		return nil, err
	}
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, err
	}
	pool, err := server.NewKeyPool(bits, 0)
	if err != nil {
		return nil, err
	}
	r := &recording{pool: pool, requests: make([][][]byte, clients)}
	r.config = server.Config{Store: store, Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer, HPKE: server.HPKEKeys{Current: key},
		ChallengeKey: random(32), ChallengeLife: time.Hour, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	s, err := server.New(r.config)
	if err != nil {
		return nil, err
	}
	devices := make([]*phone, clients)
	for i := range devices {
		if devices[i], err = enrol(ctx, s, bits, func(request []byte) { r.requests[i] = append(r.requests[i], bytes.Clone(request)) }); err != nil {
			return nil, err
		}
		r.requests[i] = nil
	}
	r.store = store.copy()
	for _, d := range devices {
		for range signatures {
			if err := d.sign(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// recordSize is how many bytes the store has of a key, on average, its ids included.
func (r *recording) recordSize() float64 {
	size, keys := 0, 0
	for id, v := range r.store.values {
		size += len(id) + len(v.value)
		if strings.HasPrefix(id, "key/") {
			keys++
		}
	}
	return float64(size) / float64(keys)
}

// phone is a device whose storage is memory.
type phone struct {
	*device.Device
	data []byte
}

var pin = []byte("491703628")

func (p *phone) Load() ([]byte, error)  { return bytes.Clone(p.data), nil }
func (p *phone) Save(data []byte) error { p.data = bytes.Clone(data); return nil }
func (p *phone) Lock() (func(), error)  { return func() {}, nil }

// enrol makes a device with a key that is confirmed, which tells what it sends.
func enrol(ctx context.Context, s *server.Server, bits int, sent func([]byte)) (*phone, error) {
	p := new(phone)
	var err error
	p.Device, err = device.New(device.Config{Storage: p, HPKEKey: s.HPKEKey(), Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1},
		Transport: func(ctx context.Context, request []byte) ([]byte, error) {
			sent(request)
			return s.Handle(ctx, request)
		}})
	if err != nil {
		return nil, err
	}
	_, challenge, err := s.ChallengeEnroll(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: pin, Bits: bits}); err != nil {
		return nil, err
	}
	return p, p.Confirm(ctx, nil, pin)
}

func (p *phone) sign(ctx context.Context, s *server.Server) error {
	status, err := p.Status()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(random(32))
	challenge, err := s.ChallengeSign(ctx, status.KeyID, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	_, err = p.Sign(ctx, challenge, digest[:], crypto.SHA256, pin)
	return err
}
