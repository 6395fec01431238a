package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// allPINs is the number of PINs with 4 digits.
const allPINs = 10000

// sampleSize is the number of PINs that the attack tries at full cost.
const sampleSize = 8

// cheapParams is the least that Argon2id allows. The attack that tries every PIN uses it.
var cheapParams = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}

func formatPIN(n int) []byte { return fmt.Appendf(nil, "%04d", n) }

// stolenLockbox finds the lockbox in what a device has stored. A thief who has read the
// source does the same.
func stolenLockbox(stored []byte) (*pinlock.Lockbox, error) {
	const (
		magic    = "TDlb"
		atK1     = 31 // offset of k1 in a lockbox
		overhead = 79 // all of it but 2*k1
	)
	for at := 0; ; at++ {
		next := bytes.Index(stored[at:], []byte(magic))
		if next < 0 {
			return nil, errors.New("there is no lockbox in it")
		}
		at += next
		if len(stored) < at+atK1+2 {
			continue
		}
		end := at + overhead + 2*int(binary.BigEndian.Uint16(stored[at+atK1:]))
		if end > len(stored) {
			continue
		}
		if box, err := pinlock.ParseLockbox(stored[at:end]); err == nil {
			return box, nil
		}
	}
}

// yield is what an attack brought.
type yield struct {
	tried, opened int
	shares        map[[sha256.Size]byte]bool // that it opened to
	ones          uint64                     // bits set in them
	residues      [3]int                     // of them, modulo 3
}

func (y *yield) add(share *splitkey.ClientShare) {
	x := share.Secret()
	y.opened++
	y.shares[sha256.Sum256(x)] = true
	sum := 0 // modulo 3, 256 is 1
	for _, b := range x {
		y.ones += uint64(bits.OnesCount8(b))
		sum += int(b)
	}
	y.residues[sum%3]++
	clear(x)
}

// tryAll opens a lockbox with every PIN.
func tryAll(ctx context.Context, box *pinlock.Lockbox) (*yield, error) {
	var (
		next    atomic.Int64
		mu      sync.Mutex
		workers sync.WaitGroup
		failed  error
		y       = &yield{shares: make(map[[sha256.Size]byte]bool)}
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := next.Add(1) - 1; n < allPINs && ctx.Err() == nil; n = next.Add(1) - 1 {
				share, err := box.Unlock(formatPIN(int(n)), cheapParams)
				mu.Lock()
				y.tried++
				if err != nil {
					failed = err
				} else {
					y.add(share)
					share.Wipe()
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return y, errors.Join(failed, ctx.Err())
}

// cheapCopy locks the same share under the same PIN at the lowest cost. It needs the PIN.
// It is never stored: two lockboxes of one share tell the PIN.
func cheapCopy(box *pinlock.Lockbox, pin []byte) (*pinlock.Lockbox, error) {
	share, err := box.Unlock(pin, pinlock.DefaultParams())
	if err != nil {
		return nil, err
	}
	defer share.Wipe()
	return pinlock.Lock(share, pin, cheapParams)
}

func (d *demo) offlineThief(ctx context.Context) error {
	d.say("6. A THIEF COPIES THE PHONE'S STORAGE, and tries PINs at home")
	stored, err := os.ReadFile(d.path("device", pin2Key, storageFile))
	if err != nil {
		return err
	}
	box, err := stolenLockbox(stored)
	if err != nil {
		return err
	}
	device, err := box.PublicKey()
	if err != nil {
		return err
	}
	final, err := splitkey.CheckFinalKey(d.public, device)
	if err != nil {
		return err
	}
	message, err := final.Encode(d.digest, d.options())
	if err != nil {
		return err
	}
	// At full cost: the right PIN among others, and what each would send to the server.
	full := &yield{shares: make(map[[sha256.Size]byte]bool)}
	shown := map[string]string{}
	order := [][]byte{d.pin, d.wrong}
	sampled := map[string]bool{}
	start := time.Now()
	d.c.step("thief: a sample of PINs at full cost")
	for n := 0; n < sampleSize; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var pin []byte
		if n < len(order) {
			pin = order[n]
		} else {
			for pin = drawPIN(); sampled[string(pin)]; pin = drawPIN() {
			}
		}
		sampled[string(pin)] = true
		full.tried++
		share, err := box.Unlock(pin, pinlock.DefaultParams())
		if err != nil {
			return err
		}
		partial, err := share.SignPartial(message)
		if err != nil {
			return err
		}
		full.add(share)
		if n < len(order) {
			x := share.Secret()
			shown[string(pin)] = fmt.Sprintf("share %s..., partial signature %s...", hex.EncodeToString(x[:8]), hex.EncodeToString(partial[:8]))
			clear(x)
		}
		share.Wipe()
	}
	each := time.Since(start) / time.Duration(full.tried)
	for _, pin := range order {
		d.say("   %s opens it: %s", pin, shown[string(pin)])
	}
	d.say("   Nothing tells the two apart.")
	d.say("   A sample of %d PINs at full cost, %d ms each: %d open it, to %d shares.",
		full.tried, each.Milliseconds(), full.opened, len(full.shares))

	d.c.step("thief: all %d PINs", allPINs)
	cheap, err := cheapCopy(box, d.pin)
	if err != nil {
		return err
	}
	all, err := tryAll(ctx, cheap)
	if err != nil {
		return err
	}
	n1, err := box.PublicKey()
	if err != nil {
		return err
	}
	share := float64(all.ones) / (float64(all.opened) * 8 * float64(n1.Size()+8))
	d.say("   All %d PINs, on the same share locked anew at a reduced cost, Argon2id's least (full: %.0f minutes):", all.tried, (time.Duration(all.tried) * each).Minutes())
	d.say("   %d open it, to %d different shares, all of one length. %.2f %% of their bits are set; modulo 3", all.opened, len(all.shares), 100*share)
	d.say("   they are 0, 1, 2 in %d, %d, %d cases. So he has %d halves that look right, and one is.\n", all.residues[0], all.residues[1], all.residues[2], len(all.shares))
	return nil
}
