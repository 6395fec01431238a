package pinlock

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/costtest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// settings are the default and its neighbours; reduced shows the cost of the rest.
var settings = []struct {
	name   string
	params Params
}{
	{"t1-m8KiB-p1", reduced},
	{"t3-m16MiB-p4", Params{3, 16 << 10, 4}},
	{"t3-m64MiB-p1", Params{3, 64 << 10, 1}},
	{"t3-m64MiB-p4", DefaultParams()},
	{"t1-m256MiB-p4", Params{1, 256 << 10, 4}},
}

func BenchmarkLock(b *testing.B) {
	share, _ := testShares(b, 2048, splitkey.Multiplicative, "BenchmarkLock")
	for _, s := range settings {
		b.Run(s.name, func(b *testing.B) {
			defer costtest.Report(b)()
			for b.Loop() {
				if _, err := Lock(share, []byte("0846"), s.params); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnlock(b *testing.B) {
	share, _ := testShares(b, 2048, splitkey.Multiplicative, "BenchmarkUnlock")
	for _, s := range settings {
		b.Run(s.name, func(b *testing.B) {
			box := lockFixed(share, "0846", s.params, "BenchmarkUnlock")
			defer costtest.Report(b)()
			for b.Loop() {
				if _, err := box.Unlock([]byte("0846"), s.params); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckPIN(b *testing.B) {
	for name, pin := range map[string]string{
		"4/accepted": "0846", "4/refused": "1234",
		"6/accepted": "839501", "6/refused": "123456",
		"12/accepted": "839501726408", "12/refused": "112219842580",
	} {
		b.Run(name, func(b *testing.B) {
			defer costtest.Report(b)()
			for b.Loop() {
				CheckPIN([]byte(pin))
			}
		})
	}
}

func BenchmarkParseLockbox(b *testing.B) {
	encoded, _ := testEncoded(b, "BenchmarkParseLockbox")
	defer costtest.Report(b)()
	for b.Loop() {
		_, err := ParseLockbox(encoded)
		require.NoError(b, err)
	}
}

func BenchmarkOpenLockbox(b *testing.B) {
	sealed, _ := testSealed(b, "BenchmarkOpenLockbox")
	defer costtest.Report(b)()
	for b.Loop() {
		_, err := openSealed(sealed, testStorageKey)
		require.NoError(b, err)
	}
}
