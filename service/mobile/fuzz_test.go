package mobile

import (
	"bytes"
	"crypto/fips140"
	"testing"

	"github.com/stretchr/testify/require"
)

// one is a storage of one value.
type one struct{ value []byte }

func (o *one) Load(string) ([]byte, error)       { return o.value, nil }
func (o *one) Save(_ string, value []byte) error { o.value = bytes.Clone(value); return nil }

// fuzzKey sealed the corpus.
var fuzzKey = bytes.Repeat([]byte{7}, 32)

// FuzzLoadRecord: what is stored is what was saved, or damaged.
func FuzzLoadRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed && fips140.Enforced() {
			return // there are no storage keys
		}
		key := fuzzKey
		if !sealed {
			key = nil
		}
		value, err := loadRecord(&one{data}, tokenName, key)
		if len(data) == 0 {
			require.NoError(t, err)
			require.Nil(t, value)
			return
		}
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			require.Nil(t, value)
			return
		}
		if !sealed {
			require.Equal(t, data[1:], value)
			return
		}
		require.Equal(t, `{"token":"x"}`, string(value), "nobody else has the key")
	})
}

// FuzzReadConfig: what is read makes a phone, or is refused by NewPhone.
func FuzzReadConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ReadConfig(text)
		if err != nil {
			require.ErrorIs(t, err, errConfig)
			return
		}
		require.NotEmpty(t, c.URL)
		require.NotEmpty(t, c.Scheme)
		require.NotEmpty(t, c.HPKEKey)
		if p, err := NewPhone(c, new(one), nil); err == nil {
			require.NotNil(t, p)
		}
	})
}
