package device

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// SignerConfig is what a [Signer] asks the app for. Both functions get the context of the
// signature, and a [Request] with Digests and Options; PIN also knows the challenge.
//
// PIN is called at most once for each signature or list, and for one device never while
// another call has not returned: it should return when the context is done. The signer
// clears what PIN returned.
type SignerConfig struct {
	// Challenge fetches a challenge for the digests from the service, which has decided
	// that they may be signed and calls server.Server.ChallengeSignAll. Required. It is
	// called again if the first challenge has expired when the user had typed the PIN.
	Challenge func(ctx context.Context, r *Request) ([]byte, error)

	// PIN asks the user for the PIN, and shows what it is for: the
	// [protocol.VerificationCode] of each digest, and what the app knows of them, from
	// the context (see [Signer.WithContext]). Required.
	PIN func(ctx context.Context, r *Request) ([]byte, error)

	// Queue is the most signatures that may wait for their turn. 0 means 64.
	Queue int
}

// Signer is a [crypto.Signer] and a [crypto.MessageSigner] over a device whose key is
// confirmed, for crypto/tls, crypto/x509, golang.org/x/crypto/ssh and the like. Its
// methods may be called from many goroutines: one signature is made at a time, in the
// order in which they were asked for, and those of all signers of a [Device] wait in one
// queue. One that finds it full is [ErrBusy].
//
// Each signature takes one challenge and one PIN. An answer that was lost is asked for
// again for some seconds. After these the error is [ErrUnanswered]. Signing the same
// digests again then takes up that request, without a PIN; another signature settles it
// first: nobody waits for its result any more.
//
// A signature whose context is done returns at once. Its place is free for the next one
// when both functions of [SignerConfig], or the transport, have returned.
type Signer struct {
	device *Device
	config SignerConfig
	ctx    context.Context
	final  *splitkey.FinalKey
	timing timing

	mu  sync.Mutex
	err error // of the last signature of this view
}

var (
	_ crypto.Signer        = (*Signer)(nil)
	_ crypto.MessageSigner = (*Signer)(nil)
)

// NewSigner returns a signer with the device's key. All that it does for a signature is
// done under ctx, unless [Signer.WithContext] gives it another one. Errors: [ErrPhase]
// for a device without a final key, [protocol.ErrConfig], [ErrBusy], [ErrStorage] and
// those of the storage.
func (d *Device) NewSigner(ctx context.Context, c SignerConfig) (*Signer, error) {
	if c.Challenge == nil || c.PIN == nil || c.Queue < 0 {
		return nil, fmt.Errorf("%w: a signer without challenges or PINs, or with a queue below 0", protocol.ErrConfig)
	}
	if c.Queue == 0 {
		c.Queue = 64
	}
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if s.key == nil || s.key.public.N == nil {
		return nil, fmt.Errorf("%w: there is no final key", ErrPhase)
	}
	if err := s.key.parse(); err != nil {
		return nil, err
	}
	return &Signer{device: d, config: c, ctx: ctx, final: s.key.final, timing: usualTiming}, nil
}

// WithContext returns a signer that works under ctx, with an [Signer.Err] of its own. A
// TLS server makes one for each handshake, with the context of the ClientHelloInfo. What
// the app's functions should know of the signature travels in ctx.
func (s *Signer) WithContext(ctx context.Context) *Signer {
	if s == nil {
		return nil
	}
	return &Signer{device: s.device, config: s.config, ctx: ctx, final: s.final, timing: s.timing}
}

// Public returns the final key, an *[rsa.PublicKey].
func (s *Signer) Public() crypto.PublicKey {
	if s == nil {
		return (*rsa.PublicKey)(nil)
	}
	return s.final.PublicKey()
}

// Err returns the error of the signature that ended last, nil if that was made, for
// callers of a package that passes on the text of an error only, as crypto/tls does. It
// knows the signatures of this view alone, not those of other results of
// [Signer.WithContext].
func (s *Signer) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Sign signs a digest, as [Signer.SignAll] does. It does not use the reader.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return one(s.SignAll([][]byte{digest}, opts))
}

// SignMessage hashes a message and signs the digest, as [Signer.SignAll] does. It does
// not use the reader.
func (s *Signer) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.made(); err != nil {
		return nil, err
	}
	hash, err := wire.HashOf(opts)
	if err != nil {
		return nil, s.keep(err)
	}
	h := hash.New()
	h.Write(message)
	return s.Sign(nil, h.Sum(nil), opts)
}

func one(signatures [][]byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return signatures[0], nil
}

// SignAll signs 1 to [protocol.MaxDocuments] digests with one PIN, all or none, padded as
// opts says (see [splitkey.FinalKey.Encode]: both [rsa.PSSSaltLengthAuto] and
// [rsa.PSSSaltLengthEqualsHash] mean a salt as long as the hash, which is what TLS and
// JOSE want and every verifier that finds the length takes).
//
// Errors: those of [Device.SignAll], of the app's two functions and of the context, which
// all come as they are; [ErrBusy] where the queue is full, or another process held the
// device's storage for half a minute; [ErrPhase] if the device has another key by now.
// What cannot be signed is refused before the user is asked.
func (s *Signer) SignAll(digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	if err := s.made(); err != nil {
		return nil, err
	}
	signatures, err := s.signAll(digests, opts)
	return signatures, s.keep(err)
}

func (s *Signer) made() error {
	if s == nil || s.device == nil || s.ctx == nil {
		return wire.ErrNothing
	}
	return nil
}

func (s *Signer) keep(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	return err
}

// signAll waits for its turn and then for the signatures, in both cases no longer than
// the context says.
func (s *Signer) signAll(digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	m, err := wire.NewMessages(digests, opts)
	if err != nil {
		return nil, err
	}
	if err := s.check(m); err != nil {
		return nil, err
	}
	end, err := s.device.turns.take(s.ctx, s.config.Queue)
	if err != nil {
		return nil, err
	}
	type result struct {
		signatures [][]byte
		err        error
	}
	made := make(chan result, 1)
	go func() {
		r := result{err: errors.New("device: one of the app's functions ended its goroutine")}
		defer func() { made <- r }()
		defer end()
		r.signatures, r.err = (&turn{Signer: s, messages: m}).sign()
	}()
	select {
	case r := <-made:
		return r.signatures, r.err
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// check refuses what the device would refuse once it has the PIN.
func (s *Signer) check(m wire.Messages) error {
	encoded, err := s.final.Encode(m.Digests[0], m.Options())
	if err == nil && len(encoded.Salt()) > wire.MaxSalt {
		err = fmt.Errorf("%w: a salt of %d bytes", splitkey.ErrMessage, len(encoded.Salt()))
	}
	return err
}
