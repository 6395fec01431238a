package deviceclient_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
)

// TestRestore: another process goes on with a transaction: what is signed is what the
// first one showed, and nothing else.
func TestRestore(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
	r := login3(rp.Notification, rp.ConfirmationMessageAndVerificationCodeChoice)
	x := s.begin(r)
	tx := open(t, p)
	data, err := tx.Save()
	require.NoError(t, err)
	p.Start(t)
	tx, err = p.Restore(data)
	require.NoError(t, err)
	require.Len(t, tx.Codes, 3)
	require.Empty(t, tx.Code)
	challenge, err := base64.StdEncoding.DecodeString(r.Challenge)
	require.NoError(t, err)
	require.NoError(t, tx.Choose(t.Context(), protocol.VerificationCode(challenge)))
	deadline := tx.Deadline
	data, err = tx.Save()
	require.NoError(t, err)

	// What was changed meanwhile is not signed.
	for name, change := range map[string][2]string{
		"the name":     {`"relyingParty":"DEMO"`, `"relyingParty":"BANK"`},
		"the text":     {`"text":"Log in"`, `"text":"Log out"`},
		"the digest":   {`"digest":"`, `"digest":"AAAA`},
		"the code":     {`"picked":"` + tx.Code, `"picked":"` + other(tx.Code)},
		"the verifier": {`"verifier":"`, `"other":"`},
		"the kind":     {`"kind":"authentication"`, `"kind":"signature"`},
		"the version":  {`"version":3`, `"version":2`},
		"JSON":         {`{`, ``},
	} {
		bad := bytes.Replace(data, []byte(change[0]), []byte(change[1]), 1)
		require.NotEqual(t, data, bad, name)
		_, err := p.Restore(bad)
		require.ErrorIs(t, err, deviceclient.ErrMismatch, name)
	}
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	delete(members["claimed"].(map[string]any), "toSign")
	bad, err := json.Marshal(members)
	require.NoError(t, err)
	_, err = p.Restore(bad)
	require.ErrorIs(t, err, deviceclient.ErrMismatch)
	_, err = p.Restore(bytes.Repeat([]byte(" "), 1<<17))
	require.ErrorIs(t, err, deviceclient.ErrMismatch)

	p.Start(t)
	tx, err = p.Restore(data)
	require.NoError(t, err)
	require.True(t, deadline.Equal(tx.Deadline))
	require.ErrorIs(t, tx.Resume(t.Context()), device.ErrNothingPending)
	s.loses("/sign")
	require.ErrorIs(t, tx.Sign(t.Context(), pin1), device.ErrUnanswered)

	// Of two transactions that are open, the one resumes that was sent.
	other, err := p.Open(t.Context(), &deviceclient.Pending{Session: s.begin(login2(rp.DisplayTextAndPIN)).ID})
	require.NoError(t, err)
	require.ErrorIs(t, other.Resume(t.Context()), device.ErrNothingPending)
	p.Start(t)
	tx, err = p.Restore(data)
	require.NoError(t, err)
	require.NoError(t, tx.Resume(t.Context()))
	require.NoError(t, tx.Resume(t.Context()), "said again")
	require.Equal(t, rp.OK, s.outcome(x.ID).End)
	data, err = tx.Save()
	require.NoError(t, err)
	tx, err = p.Restore(data)
	require.NoError(t, err)
	require.NoError(t, tx.Sign(t.Context(), nil), "it is done")
	require.NoError(t, p.Cancel(t.Context(), p.Authentication()), "nothing waits")
}
