package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzServiceConfig: what is read as a configuration, encoding/json reads as the same
// one, and each of its names is one that docs/service.md has, in these letters. What is
// refused leaves nothing behind.
func FuzzServiceConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		var config serviceConfig
		if err := parseServiceConfig(text, &config); err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		var other serviceConfig
		decode := json.NewDecoder(bytes.NewReader(text))
		decode.DisallowUnknownFields()
		require.NoError(t, decode.Decode(&other))
		require.Equal(t, other, config)
		require.NotNil(t, config.Production)
		var members map[string]any
		require.NoError(t, json.Unmarshal(text, &members))
		for name, value := range members {
			require.Contains(t, serviceMembers, name)
			require.NotNil(t, value, name)
		}
		config.fill("/var/lib/tandem")
		_ = config.check()
	})
}

// serviceMembers are the names in a configuration, beside those in its parts.
var serviceMembers = map[string]bool{
	"production": true, "listen": true, "url": true, "tls": true, "proxies": true, "request_id_header": true, "metrics": true, "drain": true,
	"server": true, "hsm_pin_file": true, "hsm_sessions": true, "key_stock": true, "database": true, "secret": true, "ca": true, "scheme": true,
	"link_base": true, "qualified_device": true, "notices": true, "quotas": true, "test_identities": true,
}
