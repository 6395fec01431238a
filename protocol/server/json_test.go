package server

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestNames: each enumeration is a name in JSON, and comes back from it; what is none
// does not.
func TestNames(t *testing.T) {
	for _, first := range []any{Pending, protocol.ReasonPIN, device.NoKey, protocol.OpEnroll, splitkey.Multiplicative} {
		typ := reflect.TypeOf(first)
		names := map[string]bool{}
		valid := 0
		for n := range 256 {
			v := reflect.New(typ)
			v.Elem().SetUint(uint64(n))
			text, err := json.Marshal(v.Elem().Interface())
			if err != nil {
				require.Contains(t, fmt.Sprint(v.Elem()), "(", "a value without a name")
				continue
			}
			valid++
			name := strings.Trim(string(text), `"`)
			require.Equal(t, v.Elem().Interface().(fmt.Stringer).String(), name)
			require.NotContains(t, name, "(")
			require.False(t, names[name], name)
			names[name] = true
			again := reflect.New(typ)
			require.NoError(t, json.Unmarshal(text, again.Interface()))
			require.Equal(t, v.Elem().Interface(), again.Elem().Interface())
		}
		require.GreaterOrEqual(t, valid, 2, typ)
		unknown := reflect.New(typ)
		require.Error(t, unknown.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte("nonsense")))
		require.Error(t, json.Unmarshal([]byte("2"), unknown.Interface()))
		require.True(t, unknown.Elem().IsZero())
	}
	for outcome, want := range map[limiter.Outcome]string{limiter.Right: "right", limiter.Wrong: "wrong"} {
		text, err := outcome.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
	_, err := limiter.Outcome(3).MarshalText()
	require.Error(t, err)
}

// longNumber is more digits than any time, count or size has; a modulus has 617 to 2,467.
var longNumber = regexp.MustCompile(`[:,\[ ][0-9]{20}`)

// TestJSON: no exported struct, empty or full, is a long number, a zero time, or a number
// in place of a name in JSON.
func TestJSON(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	pending, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	known, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	status, err := p.Status()
	require.NoError(t, err)
	now := s.clock.Now()
	pss := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32}
	waiting := &device.Request{Operation: protocol.OpSign, Challenge: p.challenge(t), Digests: [][]byte{protocoltest.DigestOf("x")}, Options: pss, Expires: now}
	busy := status
	busy.Pending = waiting
	signed := Signed{KeyID: p.id, Challenge: p.challenge(t), Expires: now, Digests: [][]byte{protocoltest.DigestOf("x")}, Options: crypto.SHA256, Signatures: [][]byte{make([]byte, 512)}, PublicKey: status.PublicKey}
	client, server := protocoltest.Shares()
	state, err := device.NewFileStorage(t.TempDir())
	require.NoError(t, err)
	ask := func(context.Context, *device.Request) ([]byte, error) { return nil, nil }
	signer, err := p.NewSigner(t.Context(), device.SignerConfig{Challenge: ask, PIN: ask})
	require.NoError(t, err)
	pool, err := NewKeyPool(2048, 0)
	require.NoError(t, err)
	sealer := s.config.Sealer.(*SoftwareSealer)
	event := Event{now, p.id, 7, eventLocked, slog.LevelWarn, []slog.Attr{slog.Time("until", now), slog.Int("tries_left", 2), slog.String("reason", "x")}}
	values := map[string][]any{
		"server.Config": {s.config}, "server.HPKEKeys": {HPKEKeys{}, s.config.HPKE}, "server.Signed": {Signed{}, signed},
		"server.KeyStatus": {KeyStatus{}, pending, known, KeyStatus{Condition: Destroyed, Reason: protocol.ReasonClone}},
		"server.Recovery":  {Recovery{}, Recovery{now, 7, 6, protocol.ReasonClone, true}},
		"server.Event":     {Event{Time: now}, event}, "protocol.DestroyedError": {protocol.DestroyedError{}, &protocol.DestroyedError{Reason: protocol.ReasonClone}},
		"device.Device": {p.Device}, "device.Config": {device.Config{}, device.Config{Storage: p.state, HPKEKey: s.HPKEKey()}},
		"device.KeyStatus":          {device.KeyStatus{}, status, busy, device.KeyStatus{Phase: device.Dead, Reason: protocol.ReasonPIN}},
		"device.Request":            {device.Request{}, waiting, device.Request{Operation: protocol.OpSign, Challenge: p.challenge(t), Digests: [][]byte{protocoltest.DigestOf("x")}, Options: pss, Signatures: [][]byte{make([]byte, 512)}}},
		"device.EnrollOptions":      {device.EnrollOptions{}, device.EnrollOptions{PIN: protocoltest.RightPIN, Client: client, Server: server, Sharing: splitkey.Additive}},
		"server.HardwareEnrollment": {HardwareEnrollment{}, HardwareEnrollment{KeyID: p.id, PublicKey: &protocoltest.NewHardware(t).Key.PublicKey, Attestation: []byte("x")}},
		"device.SignerConfig":       {device.SignerConfig{}}, "device.Signer": {signer},
		"device.FileStorage": {*state}, "server.KeyPool": {pool}, "server.SoftwareSealer": {sealer}, "server.Server": {s.Server},
	}
	for _, name := range exportedStructs(t) {
		require.NotEmpty(t, values[name], "%s is exported and not tried", name)
		for _, v := range values[name] {
			text, err := json.Marshal(v)
			if err != nil { // a function
				require.Contains(t, []string{"server.Config", "device.Config", "device.SignerConfig"}, name)
				continue
			}
			require.NotRegexp(t, longNumber, string(text), name)
			require.NotContains(t, string(text), "0001-01-01", name)
			for _, field := range []string{"condition", "reason", "phase", "operation", "hash", "padding", "Sharing"} {
				require.NotContains(t, strings.ReplaceAll(string(text), `"Sharing":0`, ""), `"`+field+`":0`, name)
				require.NotRegexp(t, `"`+field+`":[1-9]`, string(text), name)
			}
			require.NotContains(t, string(text), string(protocoltest.RightPIN))
		}
	}
	for _, v := range []any{limiter.Status{}, limiter.WrongPINError{}, limiter.LockedError{}} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NotContains(t, string(text), "0001-01-01")
	}

	var got struct {
		Condition, Phase string
		PublicKey        []byte `json:"public_key"`
		Attempts         struct{ Remaining int }
		Key              protocol.KeyID
		Hash, Padding    string
		SaltLength       int    `json:"salt_length"`
		ConfirmBy        string `json:"confirm_by"`
		Pending          *struct {
			Operation protocol.Operation
			Padding   string
		}
		Kind, Level string
		TriesLeft   int `json:"tries_left"`
		Until, Time time.Time
	}
	read := func(v any) {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &got))
	}
	read(pending)
	require.Equal(t, "pending", got.Condition)
	require.NotEmpty(t, got.ConfirmBy)
	require.Equal(t, 3, got.Attempts.Remaining)
	pub, err := x509.ParsePKIXPublicKey(got.PublicKey)
	require.NoError(t, err)
	require.True(t, status.PublicKey.Equal(pub))
	read(busy)
	require.Equal(t, "ready", got.Phase)
	require.Equal(t, p.id, got.Key)
	require.Equal(t, protocol.OpSign, got.Pending.Operation)
	require.Equal(t, "pss", got.Pending.Padding)
	read(signed)
	require.Equal(t, "SHA-256 pkcs1v15 0", fmt.Sprint(got.Hash, " ", got.Padding, " ", got.SaltLength))
	read(waiting)
	require.Equal(t, "SHA-256 pss 32", fmt.Sprint(got.Hash, " ", got.Padding, " ", got.SaltLength))
	read(event)
	require.Equal(t, "key locked WARN 2", fmt.Sprint(got.Kind, " ", got.Level, " ", got.TriesLeft))
	require.Equal(t, now, got.Until)
	require.Equal(t, now, got.Time)
}

// exportedStructs returns the names of the exported structs of the three packages.
func exportedStructs(t *testing.T) []string {
	var names []string
	for _, folder := range []string{"..", "../device", "."} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
					if _, ok := spec.Type.(*ast.StructType); ok {
						names = append(names, file.Name.Name+"."+spec.Name.Name)
					}
				}
				return true
			})
		}
	}
	require.Greater(t, len(names), 10)
	return names
}
