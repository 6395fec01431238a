package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// TestReadAudit: what a log says of a key. An event that comes again, or late, gives no
// tries back.
func TestReadAudit(t *testing.T) {
	id := protocol.KeyID{7}
	line := func(message string, event int, rest string) string {
		return fmt.Sprintf(`{"time":"2026-01-01T00:00:00Z","level":"WARN","msg":%q,"key":"%v","event":%d%s}`, message, id, event, rest)
	}
	wrong := func(event, left int) string {
		return line("wrong PIN", event, fmt.Sprintf(`,"tries_left":1,"tries_left_in_all":%d`, left))
	}
	signed := func(event int) string { return line("signature made", event, `,"documents":1`) }
	for name, c := range map[string]struct {
		lines []string
		want  server.Recovery
	}{
		"enrolled":           {[]string{line("key enrolled", 1, "")}, server.Recovery{Events: 1, TriesLeft: -1}},
		"confirmed":          {[]string{line("key enrolled", 1, ""), line("key confirmed", 2, "")}, server.Recovery{Events: 2, TriesLeft: -1, Confirmed: true}},
		"wrong":              {[]string{signed(1), wrong(2, 8), wrong(3, 7)}, server.Recovery{Events: 3, TriesLeft: 7, Confirmed: true}},
		"cleared":            {[]string{wrong(1, 8), signed(2)}, server.Recovery{Events: 2, TriesLeft: -1, Confirmed: true}},
		"an old one late":    {[]string{wrong(2, 8), wrong(3, 7), signed(1), wrong(2, 8)}, server.Recovery{Events: 3, TriesLeft: 7, Confirmed: true}},
		"two histories":      {[]string{wrong(2, 8), signed(3), wrong(3, 7)}, server.Recovery{Events: 3, TriesLeft: 7, Confirmed: true}},
		"recovered":          {[]string{wrong(2, 8), line("key recovered", 3, `,"tries_left_in_all":5`)}, server.Recovery{Events: 3, TriesLeft: 5}},
		"destroyed":          {[]string{wrong(2, 0), line("key destroyed", 2, `,"reason":"`+protocol.ReasonPIN.String()+`"`), signed(1)}, server.Recovery{Events: 2, TriesLeft: 0, Destroyed: protocol.ReasonPIN, Confirmed: true}},
		"other lines":        {[]string{"", "nonsense", `{"msg":"request refused"}`, `{"msg":"wrong PIN","event":3,"key":"x"}`, wrong(4, 6)}, server.Recovery{Events: 4, TriesLeft: 6}},
		"cut off at its end": {[]string{wrong(4, 6), wrong(5, 5)[:40]}, server.Recovery{Events: 4, TriesLeft: 6}},
		"locks tell nothing": {[]string{wrong(4, 6), line("key locked", 4, `,"until":"2026-01-01T03:00:00Z"`)}, server.Recovery{Events: 4, TriesLeft: 6}},
	} {
		file := filepath.Join(t.TempDir(), "audit.log")
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(c.lines, "\n")), 0o600))
		known, err := readAudit(file)
		require.NoError(t, err, name)
		require.Equal(t, map[protocol.KeyID]server.Recovery{id: c.want}, known, name)
	}
	for _, bad := range []string{line("wrong PIN", 2, ""), line("key destroyed", 2, `,"reason":"nobody knows"`)} {
		file := filepath.Join(t.TempDir(), "audit.log")
		require.NoError(t, os.WriteFile(file, []byte(bad), 0o600))
		_, err := readAudit(file)
		require.Error(t, err)
	}
}
