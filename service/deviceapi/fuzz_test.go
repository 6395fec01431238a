package deviceapi_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
)

// FuzzHandler: whatever a phone sends, the answer is JSON, nothing fails within the
// service, and no session gets a signature. The session in the corpus is one that waits.
func FuzzHandler(f *testing.F) {
	s := servicetest.New(f, databasetest.Open(f, databasetest.SQLite(f)))
	p := s.Enrol(f, s.Serve(f), servicetest.Mari, identity.Qualified)
	const placeholder = "9137cc94-06e2-4a0b-af83-b8544970b00a"
	digest := sha256.Sum256([]byte("the contract"))
	begin := func(t testing.TB) string {
		x, err := s.Engine.Begin(t.Context(), rp.Request{
			Version: rp.V2, Kind: rp.Signature, Flow: rp.Notification, Target: rp.Target{Person: &servicetest.Mari.ID}, RelyingPartyUUID: servicetest.Party,
			RelyingPartyName: "DEMO", Level: rp.LevelQualified, Digest: digest[:], Algorithm: rp.Algorithm{Hash: crypto.SHA256},
			Interactions: []rp.Interaction{{Type: rp.VerificationCodeChoice, Text: "Sign"}},
		}, servicetest.Source)
		require.NoError(t, err)
		return x.ID
	}
	id := begin(f)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if method == "DELETE" || path == "/message" {
			return // the account would be gone; the other is another handler's
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(strings.ReplaceAll(body, placeholder, id)))
		r.Method, r.URL.Path = method, path
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+p.Config.Token)
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		require.NotEqual(t, 500, w.Code)
		var answer map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, w.Code == 200, answer["error"] == nil)
		st, err := s.Engine.Status(t.Context(), id, 0, servicetest.Source)
		require.NoError(t, err)
		if st.Outcome != nil {
			require.Empty(t, st.Outcome.Signature)
			id = begin(t)
		}
	})
}
