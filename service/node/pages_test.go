package node_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/node"
)

// TestPages: a node has the pages that it was told to have, and no bank in production.
func TestPages(t *testing.T) {
	for _, c := range []struct {
		bank, production bool
		phone            func() (fs.FS, error)
		paths            map[string]int
	}{
		{true, false, nil, map[string]int{"/": 200, "/bank/": 303, "/bank": 404, "/self/": 303, "/self/login": 200, "/phone/": 404, "/assets/style.css": 200, "/nothing": 404, "/nothing/": 404, "//bank/": 404, "/device-link": 200, "/bank/nothing": 404}},
		{false, true, func() (fs.FS, error) {
			return fstest.MapFS{"index.html": {Data: []byte("the phone")}}, nil
		}, map[string]int{"/": 200, "/bank/": 404, "/self/": 303, "/phone/": 200, "/phone/x": 404}},
		{false, false, func() (fs.FS, error) { return nil, errors.New("not built") }, map[string]int{"/": 200, "/bank/": 404, "/phone/": 404}},
	} {
		name := map[bool]string{true: "Tree issuing", false: "TEST Tree issuing"}[c.production]
		config, _ := newConfig(t, name)
		config.Production = c.production
		config.Pages = &node.Pages{URL: "https://id.example", Bank: c.bank, Phone: c.phone}
		n, err := node.Open(t.Context(), config)
		require.NoError(t, err)
		for path, status := range c.paths {
			got, _ := get(t, n, "GET", path)
			require.Equal(t, status, got, path)
		}
		_, body := get(t, n, "GET", "/")
		require.Equal(t, c.bank, strings.Contains(body, "Tree Bank"))
		require.Equal(t, c.production, !strings.Contains(body, "A trial"))
		n.Close()
	}
	config, _ := newConfig(t, "Tree issuing")
	config.Production, config.Pages = true, &node.Pages{URL: "https://id.example", Bank: true}
	_, err := node.Open(t.Context(), config)
	require.ErrorIs(t, err, node.ErrProduction)
	config, _ = newConfig(t, "TEST Tree issuing")
	config.Pages = &node.Pages{URL: "https://id.example/path"}
	_, err = node.Open(t.Context(), config)
	require.ErrorIs(t, err, node.ErrConfig)
}

// TestPagesParty: nobody outside is taken for a page, not on this machine either, and
// what an operator disabled stays so.
func TestPagesParty(t *testing.T) {
	config, _ := newConfig(t, "TEST Tree issuing")
	config.Pages = &node.Pages{URL: "https://id.example", Bank: true}
	n, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	parties, err := n.Accounts().RelyingParties(t.Context())
	require.NoError(t, err)
	require.Len(t, parties, 2)
	for _, p := range parties {
		require.NotEqual(t, accounts.Hash{}, p.TokenHash)
		for _, address := range []string{"127.0.0.1:1", "192.0.0.8:1"} { // the second without the token
			r := httptest.NewRequest("POST", "/smart-id-rp/v3/authentication/device-link/anonymous", strings.NewReader(`{"relyingPartyUUID":"`+p.UUID+`","relyingPartyName":"`+p.Names[0]+`",
				"signatureProtocol":"ACSP_V2","signatureProtocolParameters":{"rpChallenge":"`+strings.Repeat("A", 43)+`=","signatureAlgorithm":"sha256WithRSAEncryption"},
				"interactions":"W3sidHlwZSI6ImRpc3BsYXlUZXh0QW5kUElOIiwiZGlzcGxheVRleHQ2MCI6IkxvZyBpbiJ9XQ=="}`))
			r.RemoteAddr = address
			r.Header.Set("Content-Type", "application/json")
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
				in.RemoteAddr = address
				n.ServeHTTP(w, in)
			}))
			out, err := http.Post(server.URL+r.URL.Path, "application/json", r.Body)
			require.NoError(t, err)
			out.Body.Close()
			server.Close()
			require.Equal(t, http.StatusUnauthorized, out.StatusCode, address)
		}
		p.Disabled = true
		require.NoError(t, n.Accounts().SetRelyingParty(t.Context(), p))
	}
	n.Close()
	n, err = node.Open(t.Context(), config)
	require.NoError(t, err)
	defer n.Close()
	parties, err = n.Accounts().RelyingParties(t.Context())
	require.NoError(t, err)
	for _, p := range parties {
		require.True(t, p.Disabled)
	}
}
