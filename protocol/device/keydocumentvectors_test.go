package device

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestVectorsKeyDocument: a device that has used the serial takes the good documents and
// their key, and no other; one that it refuses leaves its state as it was.
func TestVectorsKeyDocument(t *testing.T) {
	b, err := os.ReadFile("../../vectors/key_document.json")
	require.NoError(t, err)
	var file struct {
		TestGroups []struct {
			AuthorityPublic, HpkePublic, UsedSerial protocoltest.HexBytes
			Tests                                   []struct {
				TcID                int
				Comment, Result     string
				Serial, DocumentEnc protocoltest.HexBytes
			}
		}
	}
	require.NoError(t, json.Unmarshal(b, &file))
	taken, refused := 0, 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			storage := new(protocoltest.MemoryStorage)
			d, err := New(Config{Storage: storage, Transport: func(context.Context, []byte) ([]byte, error) { return nil, protocoltest.ErrLost }, HPKEKey: g.HpkePublic, Params: protocoltest.Cheapest, Authority: []byte(g.AuthorityPublic)})
			require.NoError(t, err)
			used := &state{hpkeKey: protocoltest.NewHPKE(t).PublicKey().Bytes(), shipped: wire.HPKEKeyIDOf(g.HpkePublic), serial: binary.BigEndian.Uint64(g.UsedSerial)}
			data, err := used.encode(nil)
			require.NoError(t, err)
			require.NoError(t, storage.Save(data))

			err = d.UseKeyDocument(v.DocumentEnc)
			if v.Result != "valid" {
				require.ErrorIs(t, err, protocol.ErrMalformed, "%d %s", v.TcID, v.Comment)
				require.Equal(t, data, storage.Data)
				refused++
				continue
			}
			require.NoError(t, err, "%d %s", v.TcID, v.Comment)
			s, err := parseState(storage.Data, nil)
			require.NoError(t, err)
			require.Equal(t, []byte(g.HpkePublic), s.hpkeKey)
			require.Equal(t, binary.BigEndian.Uint64(v.Serial), s.serial)
			taken++
		}
	}
	require.Equal(t, []int{3, 20}, []int{taken, refused})
}
