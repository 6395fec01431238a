package protocol

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVectorsKeyDocument: a device that has used the serial takes the good documents and their key, and
// no other; one that it refuses leaves its state as it was.
func TestVectorsKeyDocument(t *testing.T) {
	b, err := os.ReadFile("../vectors/key_document.json")
	require.NoError(t, err)
	var file struct {
		TestGroups []struct {
			AuthorityPublic, HpkePublic, UsedSerial hexBytes
			Tests                                   []struct {
				TcID                int
				Comment, Result     string
				Serial, DocumentEnc hexBytes
			}
		}
	}
	require.NoError(t, json.Unmarshal(b, &file))
	taken, refused := 0, 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			state := new(memoryState)
			d, err := NewDevice(DeviceConfig{State: state, Transport: func(context.Context, []byte) ([]byte, error) { return nil, errLost }, ServerKey: g.HpkePublic, Params: cheapest, Authority: []byte(g.AuthorityPublic)})
			require.NoError(t, err)
			used := &deviceState{serverKey: newHPKE(t).PublicKey().Bytes(), shipped: hpkeKeyIDOf(g.HpkePublic), serial: binary.BigEndian.Uint64(g.UsedSerial)}
			data, err := used.encode(nil)
			require.NoError(t, err)
			require.NoError(t, state.Save(data))

			err = d.UseKeyDocument(v.DocumentEnc)
			if v.Result != "valid" {
				require.ErrorIs(t, err, ErrKeyDocument, "%d %s", v.TcID, v.Comment)
				require.Equal(t, data, state.data)
				refused++
				continue
			}
			require.NoError(t, err, "%d %s", v.TcID, v.Comment)
			s, err := parseDeviceState(state.data, nil)
			require.NoError(t, err)
			require.Equal(t, []byte(g.HpkePublic), s.serverKey)
			require.Equal(t, binary.BigEndian.Uint64(v.Serial), s.serial)
			taken++
		}
	}
	require.Equal(t, []int{3, 20}, []int{taken, refused})
}
