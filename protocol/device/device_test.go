package device

import (
	"bytes"
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

func TestDeviceWithoutKey(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	status, err := p.Status()
	require.NoError(t, err)
	require.Equal(t, KeyStatus{}, status)
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, ErrPhase)
	require.ErrorIs(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN), ErrPhase)
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrNothingPending)
	require.ErrorIs(t, p.Cancel(t.Context(), nil), ErrNothingPending)
}

func TestEnrollRefusesOptions(t *testing.T) {
	s := newService(t)
	client, server := protocoltest.Shares()
	other, err := splitkey.NewClientShare(client.PublicKey(), splitkey.Additive, client.Secret())
	require.NoError(t, err)
	good := EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server}
	for name, c := range map[string]struct {
		change func(*EnrollOptions)
		want   error
	}{
		"no challenge":      {func(o *EnrollOptions) { o.Challenge = nil }, protocol.ErrMalformed},
		"other challenge":   {func(o *EnrollOptions) { o.Challenge, _ = s.Challenge(t.Context(), protocol.KeyID{}) }, protocol.ErrMalformed},
		"no PIN":            {func(o *EnrollOptions) { o.PIN = nil }, pinlock.ErrPINFormat},
		"one share":         {func(o *EnrollOptions) { o.Server = nil }, splitkey.ErrShare},
		"the other share":   {func(o *EnrollOptions) { o.Client = nil }, splitkey.ErrShare},
		"shares of no pair": {func(o *EnrollOptions) { o.Client = other }, splitkey.ErrShare},
		"bits":              {func(o *EnrollOptions) { o.Client, o.Server, o.Bits = nil, nil, 1024 }, splitkey.ErrKey},
		"sharing":           {func(o *EnrollOptions) { o.Client, o.Server, o.Sharing = nil, nil, 9 }, splitkey.ErrShare},
	} {
		p := newPhone(t, s, nil)
		o := good
		c.change(&o)
		require.ErrorIs(t, p.Enroll(t.Context(), o), c.want, name)
		require.Nil(t, p.state.Data, name)
	}
	alone := good
	alone.Client = nil
	require.ErrorContains(t, newPhone(t, s, nil).Enroll(t.Context(), alone), "one share without the other")
	var weak *pinlock.WeakPINError
	good.PIN = []byte("1234")
	require.ErrorAs(t, newPhone(t, s, nil).Enroll(t.Context(), good), &weak)
}

// TestBadPINFormatCostsNothing: nothing is sent or saved for a PIN that no lockbox can
// have.
func TestBadPINFormatCostsNothing(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	before := bytes.Clone(p.state.Data)
	_, err := p.sign(t, "x", []byte("12x4"))
	require.ErrorIs(t, err, pinlock.ErrPINFormat)
	var weak *pinlock.WeakPINError
	require.ErrorAs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, []byte("0000")), &weak)
	require.Equal(t, before, p.state.Data)
}

// TestCancelEnrolment leaves no key, and asks nobody.
func TestCancelEnrolment(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, func(context.Context, []byte) ([]byte, error) { return nil, protocoltest.ErrLost })
	client, server := protocoltest.Shares()
	err := p.Enroll(t.Context(), EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, ErrUnanswered)
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, ErrPending)
	require.NoError(t, p.Cancel(t.Context(), nil))
	status, err := p.Status()
	require.NoError(t, err)
	require.Equal(t, NoKey, status.Phase)
}

// TestDeviceBelievesNobody: answers that are damaged, cut, another request's or of
// another server leave the request pending.
func TestDeviceBelievesNobody(t *testing.T) {
	s, imposter := newService(t), newService(t)
	var forge func(good []byte) []byte
	var earlier []byte
	p := newPhone(t, s, func(ctx context.Context, request []byte) ([]byte, error) {
		good, err := s.Handle(ctx, request)
		if forge != nil {
			return forge(good), err
		}
		earlier = good
		return good, err
	})
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	digest := protocoltest.DigestOf("x")
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	wrongSignature := func([]byte) []byte {
		st, err := parseState(p.state.Data, nil)
		require.NoError(t, err)
		a := wire.Answer{Code: wire.CodeRight, Signatures: [][]byte{make([]byte, 512)}}
		plaintext, err := a.Encode()
		require.NoError(t, err)
		sealed, err := st.pending.responseKey().Seal(plaintext)
		require.NoError(t, err)
		return sealed
	}
	enrolledAgain := func([]byte) []byte {
		st, err := parseState(p.state.Data, nil)
		require.NoError(t, err)
		a := wire.Answer{Code: wire.CodeEnrolled, Public: st.key.public, Challenge: p.challenge(t), ConfirmBy: 1}
		plaintext, err := a.Encode()
		require.NoError(t, err)
		sealed, err := st.pending.responseKey().Seal(plaintext)
		require.NoError(t, err)
		return sealed
	}
	for i, f := range []func([]byte) []byte{
		func([]byte) []byte { return nil },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return append(b, 0) },
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func(b []byte) []byte { b[0] = 1; return b },
		func([]byte) []byte { return earlier },
		func([]byte) []byte { return make([]byte, protocol.MaxResponse+1) },
		wrongSignature, enrolledAgain,
	} {
		forge = f
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.ErrorIs(t, err, ErrUnanswered, i)
		require.ErrorIs(t, err, errAnswer, i)
		forge = nil
		result, err := p.Resume(t.Context())
		require.NoError(t, err, i)
		require.Equal(t, digest, result.Digests[0])
	}
	forge = func([]byte) []byte { b, _ := imposter.Handle(t.Context(), nil); return b }
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, errAnswer)
}

// TestStorageKey: the sealed state opens under its storage key only, and damage is found
// in either form.
func TestStorageKey(t *testing.T) { fips140.WithoutEnforcement(func() { testStorageKey(t) }) } // see TestFIPSOnly

func testStorageKey(t *testing.T) {
	s := newService(t)
	key := bytes.Repeat([]byte{3}, 32)
	open := func(state Storage, storageKey []byte) *phone {
		d, err := New(Config{Storage: state, Transport: s.Handle, HPKEKey: s.HPKEKey(), StorageKey: storageKey, Params: protocoltest.Cheapest})
		require.NoError(t, err)
		return &phone{Device: d, service: s}
	}
	state := new(protocoltest.MemoryStorage)
	p := open(state, key)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	st, err := parseState(state.Data, key)
	require.NoError(t, err)
	require.False(t, protocoltest.Contains(state.Data, st.key.authKey.Get()), "sealed")
	require.False(t, protocoltest.Contains(state.Data, st.key.lockbox), "sealed")
	for _, other := range [][]byte{nil, bytes.Repeat([]byte{4}, 32)} {
		_, err := open(state, other).Status()
		require.ErrorIs(t, err, ErrStorage)
	}
	plain := new(protocoltest.MemoryStorage)
	data, err := st.encode(nil)
	require.NoError(t, err)
	require.NoError(t, plain.Save(data))
	_, err = open(plain, key).Status()
	require.ErrorIs(t, err, ErrStorage, "whoever writes to the disk has taken the seal off")
	for _, c := range []struct {
		state *protocoltest.MemoryStorage
		key   []byte
	}{{state, key}, {plain, nil}} {
		good := bytes.Clone(c.state.Data)
		for i := 0; i < len(good); i += 1 + len(good)/200 {
			c.state.Data = bytes.Clone(good)
			c.state.Data[i] ^= 0x10
			_, err := open(c.state, c.key).Status()
			require.ErrorIs(t, err, ErrStorage)
			c.state.Data = good[:i]
			_, err = open(c.state, c.key).Status()
			require.ErrorIs(t, err, ErrStorage)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	s := newService(t)
	good := Config{Storage: new(protocoltest.MemoryStorage), Transport: s.Handle, HPKEKey: s.HPKEKey()}
	_, err := New(good)
	require.NoError(t, err)
	atLimit := good
	atLimit.Params = pinlock.Params{Time: 2, MemoryKiB: 64, Threads: 2}
	atLimit.Limit = atLimit.Params
	_, err = New(atLimit)
	require.NoError(t, err)
	for _, change := range []func(*Config){
		func(c *Config) {
			c.Params, c.Limit = atLimit.Params, pinlock.Params{Time: 1, MemoryKiB: 64, Threads: 2}
		},
		func(c *Config) {
			c.Params, c.Limit = atLimit.Params, pinlock.Params{Time: 2, MemoryKiB: 63, Threads: 2}
		},
		func(c *Config) {
			c.Params, c.Limit = atLimit.Params, pinlock.Params{Time: 2, MemoryKiB: 64, Threads: 1}
		},
		func(c *Config) { c.Storage = nil },
		func(c *Config) { c.Transport = nil },
		func(c *Config) { c.HPKEKey = nil },
		func(c *Config) { c.HPKEKey = c.HPKEKey[1:] },
		func(c *Config) { c.HPKEKey = make([]byte, len(c.HPKEKey)) },
		func(c *Config) { c.StorageKey = bytes.Repeat([]byte{1}, 16) },
		func(c *Config) { c.StorageKey = make([]byte, 32) },
		func(c *Config) { c.StorageKey = []byte{} },
		func(c *Config) { c.Serial = 1 },
	} {
		bad := good
		change(&bad)
		_, err := New(bad)
		require.ErrorIs(t, err, protocol.ErrConfig)
	}
}

// TestOneOperationAtATime in a device, and between devices that share a folder.
func TestOneOperationAtATime(t *testing.T) {
	s := newService(t)
	folder := filepath.Join(t.TempDir(), "device")
	state, err := NewFileStorage(folder)
	require.NoError(t, err)
	var during func()
	d, err := New(Config{Storage: state, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest,
		Transport: func(ctx context.Context, request []byte) ([]byte, error) {
			during()
			return s.Handle(ctx, request)
		}})
	require.NoError(t, err)
	p := &phone{Device: d, service: s}
	calls := 0
	during = func() {
		calls++
		_, err := d.Status()
		require.ErrorIs(t, err, ErrBusy)
		again, err := NewFileStorage(folder)
		require.NoError(t, err)
		if _, err := again.Lock(); runtime.GOOS != "js" {
			require.ErrorIs(t, err, ErrBusy)
		}
	}
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	require.Equal(t, 2, calls)
	info, err := os.Stat(filepath.Join(folder, "state"))
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
}

// TestFileStorageSurvivesKill: a process that is killed while it saves leaves an old or a
// new state, complete, and no lock.
func TestFileStorageSurvivesKill(t *testing.T) {
	const name = "TANDEM_TEST_FILESTORAGE"
	if folder := os.Getenv(name); folder != "" {
		saveForever(t, folder)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	folder := t.TempDir()
	for range 20 {
		child := exec.Command(self, "-test.run=^TestFileStorageSurvivesKill$")
		child.Env = append(os.Environ(), name+"="+folder)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		confirmed := make([]byte, 1)
		for range 3 { // as many saves as that are confirmed
			_, err = out.Read(confirmed)
			require.NoError(t, err)
		}
		require.NoError(t, child.Process.Kill())
		rest := new(bytes.Buffer)
		_, _ = rest.ReadFrom(out)
		require.Error(t, child.Wait())
		if b := rest.Bytes(); len(b) > 0 {
			confirmed[0] = b[len(b)-1]
		}
		state, err := NewFileStorage(folder)
		require.NoError(t, err)
		unlock, err := state.Lock()
		require.NoError(t, err)
		data, err := state.Load()
		require.NoError(t, err)
		unlock()
		require.Len(t, data, 12_000)
		require.Equal(t, bytes.Repeat(data[:1], 12_000), data, "one save, not two mixed")
		require.LessOrEqual(t, data[0]-confirmed[0], byte(1), "what was confirmed is there, or the next one")
	}
}

// saveForever saves states of 12,000 equal bytes, and prints that byte once the save is
// confirmed.
func saveForever(t *testing.T, folder string) {
	state, err := NewFileStorage(folder)
	require.NoError(t, err)
	_, err = state.Lock()
	require.NoError(t, err)
	data, err := state.Load()
	require.NoError(t, err)
	b := byte(0)
	if len(data) > 0 {
		b = data[0]
	}
	for {
		b++
		require.NoError(t, state.Save(bytes.Repeat([]byte{b}, 12_000)))
		_, err := os.Stdout.Write([]byte{b})
		require.NoError(t, err)
	}
}

// TestFailingState: nothing is sent before it is saved.
func TestFailingState(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	sent := 0
	broken := errors.New("disk is full")
	d, err := New(Config{Storage: &brokenState{p.state, broken}, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest,
		Transport: func(context.Context, []byte) ([]byte, error) { sent++; return nil, protocoltest.ErrLost }})
	require.NoError(t, err)
	q := &phone{Device: d, service: s, id: p.id}
	_, err = q.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, q.Refresh(t.Context(), q.challenge(t)), broken)
	require.Zero(t, sent)
}

type brokenState struct {
	Storage
	err error
}

func (b *brokenState) Save([]byte) error { return b.err }

// TestNothingPrintsState: no verb shows a secret of what a device keeps, or of its
// configuration.
func TestNothingPrintsState(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	st := p.stored(t)
	x := bytes.Repeat([]byte{0xa5}, 32)
	key := wire.NewSecret(x)
	var sealed *Device
	fips140.WithoutEnforcement(func() {
		var err error
		sealed, err = New(Config{Storage: p.state, Transport: s.Handle, HPKEKey: s.HPKEKey(), StorageKey: x})
		require.NoError(t, err)
	})
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s", "%q"} {
		for _, value := range []any{
			pending{next: key, secret: key}, EnrollOptions{PIN: x}, Config{StorageKey: x}, st.key.authKey,
			p.Device, struct{ d *Device }{sealed}, struct{ s *state }{st}, sealed,
		} {
			text := []byte(fmt.Sprintf(verb, value))
			require.False(t, protocoltest.Contains(text, x), "%s of %T: %s", verb, value, text)
			require.NotContains(t, string(text), "165 165 165")
			require.False(t, protocoltest.Contains(text, st.key.authKey.Get()))
		}
	}
}

// TestChangePINToTheSame is refused before anything is sent, saved or counted.
func TestChangePINToTheSame(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	before, sent := p.state.Copy().Data, len(l.requests)
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.RightPIN), ErrPINUnchanged)
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.WrongPIN, protocoltest.WrongPIN), ErrPINUnchanged)
	require.Equal(t, before, p.state.Data)
	require.Len(t, l.requests, sent)
}

// TestOutcome: every answer but two is an error.
func TestOutcome(t *testing.T) {
	for code := wire.CodeEnrolled; code <= wire.CodeSuperseded; code++ {
		err := outcome(&wire.Answer{Code: code, Reason: protocol.ReasonPIN})
		require.Equal(t, code == wire.CodeEnrolled || code == wire.CodeRight, err == nil, "%d: %v", code, err)
	}
}
