package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/splitkey"
)

var demoCommand = &command{
	name: "demo", args: "[-shape two-prime] [-bits N] [-sharing additive] [-pss] [-hash H] FILE",
	about: "tells the whole story on a file of yours",
	help: `
Demo makes a server and a device in a new temporary folder, signs FILE with them, tries a wrong
PIN, attacks the device's half as a thief would, and ends with the openssl command that verifies
the signature. FILE is only read. It takes a few seconds, most of them for the attack.`,
	plain: true,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		d := &demo{config: serverConfig{Version: configVersion}}
		flags.StringVar(&d.config.Shape, "shape", composite, "`shape` of the key, composite or two-prime")
		flags.IntVar(&d.config.ClientBits, "bits", 2048, "`length` of the client modulus, 2048, 3072 or 4096; a composite key is twice as long")
		flags.StringVar(&d.sharing, "sharing", "multiplicative", "`kind` of split, multiplicative or additive")
		d.scheme.declare(flags)
		return d.run
	},
}

// demo is one telling of the story. Every number in it is of what just happened.
type demo struct {
	scheme
	config  serverConfig
	sharing string

	c       *call
	w       io.Writer
	folder  string
	file    string
	digest  []byte
	backend *backend
	server  *server.Server
	shut    func() error // ends server
	device  *device.Device
	id      protocol.KeyID
	public  *rsa.PublicKey
	pin     []byte
	wrong   []byte
}

func (d *demo) run(ctx context.Context, c *call) (_ result, err error) {
	d.c, d.w = c, c.out
	if d.file, err = c.oneFile("to sign"); err != nil {
		return nil, err
	}
	sharing, err := parseSharing(d.sharing)
	if err := errors.Join(err, d.scheme.check()); err != nil {
		return nil, err
	}
	if err := d.config.check(); err != nil {
		return nil, usagef("%v", err)
	}
	if d.digest, err = d.digestOf(ctx, c, d.file); err != nil {
		return nil, err
	}
	if d.folder, err = os.MkdirTemp("", "tandem-demo-"); err != nil {
		return nil, err
	}
	defer func() {
		if d.shut != nil {
			err = errors.Join(err, d.shut())
		}
		if d.backend != nil {
			err = errors.Join(err, d.backend.close())
		}
	}()
	d.pin = drawPIN()
	for d.wrong = drawPIN(); bytes.Equal(d.wrong, d.pin); d.wrong = drawPIN() {
	}
	for _, chapter := range []func(context.Context) error{
		func(ctx context.Context) error { return d.enroll(ctx, sharing) }, d.halves, d.request, d.wrongPIN, d.rightPIN, d.offlineThief, d.onlineThief,
	} {
		if err := chapter(ctx); err != nil {
			return nil, err
		}
		c.done()
	}
	return d, nil
}

func (d *demo) say(format string, args ...any) {
	d.c.done()
	fmt.Fprintf(d.w, format+"\n", args...)
}

func (d *demo) path(elements ...string) string {
	return filepath.Join(append([]string{d.folder}, elements...)...)
}

// drawPIN returns 4 random digits that package pinlock accepts.
func drawPIN() []byte {
	for {
		var b [8]byte
		rand.Read(b[:])
		pin := fmt.Appendf(nil, "%04d", binary.BigEndian.Uint64(b[:])%10000)
		if pinlock.CheckPIN(pin) == nil {
			return pin
		}
	}
}

func (d *demo) enroll(ctx context.Context, sharing splitkey.Sharing) (err error) {
	d.say("All that follows happens now, with real keys, in %s\n", d.folder)
	d.say("1. A KEY THAT NOBODY HAS")
	if err := createServer(ctx, d.c, d.path("server"), d.config, hsmPIN{}); err != nil {
		return err
	}
	if d.backend, err = openBackend(ctx, d.c, d.path("server"), hsmPIN{}); err != nil {
		return err
	}
	if d.server, d.shut, err = d.backend.open(ctx, d.c); err != nil {
		return err
	}
	if err := bind(d.path("device"), d.server.HPKEKey()); err != nil {
		return err
	}
	if d.device, err = openDevice(d.path("device"), pin2Key, d.server.HPKEKey(), wire(d.c, d.server), pinlock.DefaultParams()); err != nil {
		return err
	}
	k := &newKey{key: pin2Key, device: d.device, fresh: true, sharing: sharing, pin: d.pin, again: d.pin}
	defer k.halves.wipe()
	start := time.Now()
	if err := k.make(ctx, d.c, d.config); err != nil {
		return err
	}
	if err := k.enroll(ctx, d.c, d.server); err != nil {
		return err
	}
	status, err := d.device.Status()
	if err != nil {
		return err
	}
	d.id, d.public = status.KeyID, status.PublicKey
	rule := "d = d_c * d_s"
	if sharing == splitkey.Additive {
		rule = "d = d_c + d_s (4 bytes of d_s tell a thief of the phone the PIN: scheme.md, 10.3)"
	}
	d.say("   The phone made an RSA key of %d bits, split its exponent, %s, locked d_c with the", d.config.ClientBits, rule)
	d.say("   PIN %s, gave d_s to the server, and forgot the rest.", d.pin)
	if d.config.Shape == composite {
		d.say("   The server made one of %d bits of its own. The public key is the product: RSA-%d.", d.config.ClientBits, d.public.N.BitLen())
	} else {
		d.say("   The public key is that key's: RSA-%d.", d.public.N.BitLen())
	}
	d.say("   %.1f s, a first signature to confirm the PIN included.\n", time.Since(start).Seconds())
	return nil
}

func (d *demo) halves(context.Context) error {
	d.say("2. WHERE THE HALVES ARE")
	own := ""
	if d.config.Shape == composite {
		own = " and the server key"
	}
	for _, f := range []struct{ folder, file, what string }{
		{"device", filepath.Join(pin2Key, storageFile), "d_c, under the PIN: Argon2id, 3 passes over 64 MiB"},
		{"server", storeFile, "d_s" + own + ", sealed; the count of wrong PINs"},
		{"server", sealerFile, "what it is sealed with; in production an HSM (init -hsm)"},
	} {
		info, err := os.Stat(d.path(f.folder, f.file))
		if err != nil {
			return err
		}
		d.say("   %-18s %6d bytes   %s", filepath.Join(f.folder, f.file), info.Size(), f.what)
	}
	d.say("   On two machines, that is. Here they are two folders, and share nothing.\n")
	return nil
}

func (d *demo) request(context.Context) error {
	code := protocol.VerificationCode(d.digest)
	d.say("3. THE SERVICE ASKS FOR A SIGNATURE")
	d.say("   of %s, %s %s...", d.file, d.hash, hex.EncodeToString(d.digest[:16]))
	d.say("   Its page shows the code %s. The phone shows %v: the person picks the same.\n", code, protocol.CodeChoice(d.digest))
	return nil
}

// try signs with a PIN, on whatever phone has the key.
func (d *demo) try(ctx context.Context, phone *device.Device, pin []byte) ([]byte, error) {
	challenge, err := d.server.ChallengeSign(ctx, d.id, d.digest, d.options())
	if err != nil {
		return nil, err
	}
	d.c.step("device: opening its half with the PIN")
	defer d.c.done()
	return phone.Sign(ctx, challenge, d.digest, d.options(), pin)
}

func (d *demo) wrongPIN(ctx context.Context) error {
	_, err := d.try(ctx, d.device, d.wrong)
	var wrong *limiter.WrongPINError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("a wrong PIN was answered with: %w", err)
	}
	d.say("4. A WRONG PIN, %s", d.wrong)
	d.say("   opens the phone's half too, to a wrong d_c. The phone cannot tell. Only the server sees that")
	d.say("   what it got does not fit. It counts, on disk, and then answers: wrong PIN,")
	d.say("   %s.\n", triesLeft(wrong.Remaining, wrong.RemainingTotal))
	return nil
}

func (d *demo) rightPIN(ctx context.Context) error {
	start := time.Now()
	signature, err := d.try(ctx, d.device, d.pin)
	if err != nil {
		return err
	}
	took := time.Since(start)
	if err := verify(d.public, d.options(), d.digest, signature); err != nil {
		return err
	}
	known, err := d.server.Status(ctx, d.id)
	if err != nil {
		return err
	}
	text, _, err := publicPEM(d.public)
	if err != nil {
		return err
	}
	if err := errors.Join(writeNew(d.path("public.pem"), text, publicMode), writeNew(d.path("signature"), signature, publicMode)); err != nil {
		return err
	}
	d.say("5. THE RIGHT PIN, %s", d.pin)
	d.say("   signs: %d bytes in %.2f s, most of it Argon2id. An ordinary RSA signature, verified by", len(signature), took.Seconds())
	d.say("   the server, by the phone, and just now by Go's crypto/rsa. The count starts again:")
	d.say("   %s.\n", triesLeft(known.Attempts.Remaining, known.Attempts.RemainingTotal))
	return nil
}

func (d *demo) onlineThief(ctx context.Context) error {
	d.say("7. SO HE ASKS THE SERVER")
	if err := os.CopyFS(d.path("thief"), os.DirFS(d.path("device"))); err != nil {
		return err
	}
	thief, err := openDevice(d.path("thief"), pin2Key, d.server.HPKEKey(), wire(d.c, d.server), pinlock.DefaultParams())
	if err != nil {
		return err
	}
	for range 3 {
		guess := drawPIN()
		for bytes.Equal(guess, d.pin) {
			guess = drawPIN()
		}
		_, err := d.try(ctx, thief, guess)
		var wrong *limiter.WrongPINError
		if !errors.As(err, &wrong) {
			return fmt.Errorf("a thief's guess was answered with: %w", err)
		}
		if wrong.LockedUntil.IsZero() {
			d.say("   %s: wrong, %s", guess, triesLeft(wrong.Remaining, wrong.RemainingTotal))
		} else {
			d.say("   %s: wrong, locked %s", guess, until(wrong.LockedUntil, d.c.clock()))
		}
	}
	_, err = d.try(ctx, thief, d.pin)
	var locked *limiter.LockedError
	if !errors.As(err, &locked) {
		return fmt.Errorf("a locked key answered: %w", err)
	}
	d.say("   %s: the right one by chance: locked, and not looked at", d.pin)
	d.say("   Three more wrong ones lock it for 24 h, three more destroy it: 9 guesses of 10,000. But now")
	_, err = d.try(ctx, d.device, d.pin)
	var destroyed *protocol.DestroyedError
	if !errors.As(err, &destroyed) || destroyed.Reason != protocol.ReasonClone {
		return fmt.Errorf("a copy was not found: %w", err)
	}
	d.say("   the owner's phone speaks: it has fallen behind its copy. The server destroys the key, for both.")
	d.say("   Had the owner signed once after the theft, the thief's first guess would have done so.\n")
	return nil
}

func (d *demo) text(w io.Writer) {
	fmt.Fprintf(w, "8. VERIFY IT YOURSELF, with software that knows nothing of two halves\n   (and then: rm -r %s)\n\n%s\n",
		quote(d.folder), d.opensslVerify(d.path("public.pem"), d.path("signature"), d.file))
}
