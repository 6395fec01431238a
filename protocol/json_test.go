package protocol

import (
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
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestNames: each enumeration is a name in JSON, and comes back from it; what is none does not.
func TestNames(t *testing.T) {
	for _, first := range []any{Pending, ReasonPIN, NoKey, OpEnroll, splitkey.Multiplicative} {
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

// TestJSON: no exported struct, empty or full, is a long number, a zero time, or a number in place of a name in JSON.
func TestJSON(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	pending, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	known, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	status, err := p.Status()
	require.NoError(t, err)
	now := s.clock.Now()
	pss := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32}
	waiting := &PendingRequest{Operation: OpSign, Challenge: p.challenge(t), Digests: [][]byte{digestOf("x")}, Options: pss, Expires: now}
	busy := status
	busy.Pending = waiting
	signed := Signed{KeyID: p.id, Challenge: p.challenge(t), Expires: now, Digests: [][]byte{digestOf("x")}, Options: crypto.SHA256, Signatures: [][]byte{make([]byte, 512)}, PublicKey: status.PublicKey}
	client, server := testShares()
	state, err := NewFileState(t.TempDir())
	require.NoError(t, err)
	pool, err := NewKeyPool(2048, 0)
	require.NoError(t, err)
	sealer := s.config.Sealer.(*SoftwareSealer)
	event := Event{now, p.id, 7, eventLocked, slog.LevelWarn, []slog.Attr{slog.Time("until", now), slog.Int("tries_left", 2), slog.String("reason", "x")}}
	values := map[string][]any{
		"Config": {s.config}, "HPKEKeys": {HPKEKeys{}, s.config.HPKE}, "Signed": {Signed{}, signed},
		"KeyStatus": {KeyStatus{}, pending, known, KeyStatus{Condition: Destroyed, Reason: ReasonClone}},
		"Event":     {Event{Time: now}, event}, "DestroyedError": {DestroyedError{}, &DestroyedError{ReasonClone}},
		"Device": {p.Device}, "DeviceConfig": {DeviceConfig{}, DeviceConfig{State: p.state, ServerKey: s.ServerKey()}},
		"DeviceStatus": {DeviceStatus{}, status, busy, DeviceStatus{Phase: Dead, Reason: ReasonPIN}}, "PendingRequest": {PendingRequest{}, waiting},
		"Result":             {Result{}, Result{Operation: OpSign, Challenge: p.challenge(t), Digests: [][]byte{digestOf("x")}, Options: pss, Signatures: [][]byte{make([]byte, 512)}}},
		"EnrollOptions":      {EnrollOptions{}, EnrollOptions{PIN: rightPIN, Client: client, Server: server, Sharing: splitkey.Additive, HardwareKey: &newTestHardware(t).key.PublicKey}},
		"HardwareEnrollment": {HardwareEnrollment{}, HardwareEnrollment{KeyID: p.id, PublicKey: &newTestHardware(t).key.PublicKey, Attestation: []byte("x")}},
		"FileState":          {*state}, "KeyPool": {pool}, "SoftwareSealer": {sealer}, "Server": {s.Server},
	}
	for _, name := range exportedStructs(t) {
		require.NotEmpty(t, values[name], "%s is exported and not tried", name)
		for _, v := range values[name] {
			text, err := json.Marshal(v)
			if err != nil { // a function
				require.Contains(t, []string{"Config", "DeviceConfig"}, name)
				continue
			}
			require.NotRegexp(t, longNumber, string(text), name)
			require.NotContains(t, string(text), "0001-01-01", name)
			for _, field := range []string{"condition", "reason", "phase", "operation", "hash", "padding", "Sharing"} {
				require.NotContains(t, strings.ReplaceAll(string(text), `"Sharing":0`, ""), `"`+field+`":0`, name)
				require.NotRegexp(t, `"`+field+`":[1-9]`, string(text), name)
			}
			require.NotContains(t, string(text), string(rightPIN))
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
		Key              KeyID
		Hash, Padding    string
		SaltLength       int    `json:"salt_length"`
		ConfirmBy        string `json:"confirm_by"`
		Pending          *struct {
			Operation Operation
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
	require.Equal(t, OpSign, got.Pending.Operation)
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

// exportedStructs returns the names of the package's exported structs.
func exportedStructs(t *testing.T) []string {
	var names []string
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				if _, ok := spec.Type.(*ast.StructType); ok {
					names = append(names, spec.Name.Name)
				}
			}
			return true
		})
	}
	require.Greater(t, len(names), 10)
	return names
}

// TestChangePINToTheSame is refused before anything is sent, saved or counted.
func TestChangePINToTheSame(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	before, sent := p.state.copy().data, len(l.requests)
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), rightPIN, rightPIN), ErrSamePIN)
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), wrongPIN, wrongPIN), ErrSamePIN)
	require.Equal(t, before, p.state.data)
	require.Len(t, l.requests, sent)
}
