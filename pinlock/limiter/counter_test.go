package limiter

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/costtest"
)

// TestCounterEncoding pins the layout: records outlive programs.
func TestCounterEncoding(t *testing.T) {
	for _, c := range []struct {
		s    Counter
		want string
	}{
		{Counter{}, "0100" + "0000000000000000" + "0000000000000000"},
		{Counter{wrong: 2, at: 1772366400000}, "0102" + "0000019ca9450a00" + "0000000000000000"},
		{Counter{wrong: 3, at: 1772366400000, lock: 10800000}, "0103" + "0000019ca9450a00" + "0000000000a4cb80"},
		{Counter{wrong: 9, at: 1772366400000, lock: forever}, "0109" + "0000019ca9450a00" + "7fffffffffffffff"},
		{Counter{}.Destroy(), "0100" + "0000000000000000" + "7fffffffffffffff"},
		{Counter{wrong: maxTries, at: maxMilliseconds, lock: MaxLock.Milliseconds()}, "0164" + "0000e677d21fdbff" + "000000496cebb800"},
	} {
		b, err := c.s.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, c.want, hex.EncodeToString(b))
		require.Len(t, b, CounterSize)
		s, err := ParseCounter(b)
		require.NoError(t, err)
		require.Equal(t, c.s, s)
		appended, err := c.s.AppendBinary([]byte("record"))
		require.NoError(t, err)
		require.Equal(t, "record"+string(b), string(appended))
	}
}

func TestParseCounterRefuses(t *testing.T) {
	good, err := Counter{wrong: 3, at: epoch.UnixMilli(), lock: 10800000}.MarshalBinary()
	require.NoError(t, err)
	with := func(offset int, b ...byte) []byte {
		bad := bytes.Clone(good)
		copy(bad[offset:], b)
		return bad
	}
	with64 := func(offset int, v uint64) []byte { return with(offset, binary.BigEndian.AppendUint64(nil, v)...) }
	bad := map[string][]byte{
		"nil":                nil,
		"one byte more":      append(bytes.Clone(good), 0),
		"version 0":          with(0, 0),
		"version 2":          with(0, 2),
		"version 255":        with(0, 255),
		"too many wrong":     with(1, maxTries+1),
		"255 wrong":          with(1, 255),
		"year 10000":         with64(2, maxMilliseconds+1),
		"before 1970":        with64(2, math.MaxUint64),
		"lock too long":      with64(10, uint64(MaxLock.Milliseconds())+1),
		"lock 2^63-2":        with64(10, math.MaxInt64-1),
		"lock 2^63":          with64(10, 1<<63),
		"lock negative":      with64(10, math.MaxUint64),
		"lock without wrong": with(1, 0),
	}
	for n := range good {
		bad["cut to "+string(rune('A'+n))] = good[:n]
	}
	for name, b := range bad {
		s, err := ParseCounter(b)
		require.ErrorIs(t, err, ErrCounter, name)
		require.Zero(t, s, name)
	}
}

// TestParseCounterEveryByte changes each byte to every value: what is accepted is encoded
// the same way, and differs.
func TestParseCounterEveryByte(t *testing.T) {
	original := Counter{wrong: 3, at: epoch.UnixMilli(), lock: 10800000}
	good, err := original.MarshalBinary()
	require.NoError(t, err)
	for i := range good {
		for v := range 256 {
			b := bytes.Clone(good)
			b[i] = byte(v)
			s, err := ParseCounter(b)
			if err != nil {
				continue
			}
			again, err := s.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, b, again)
			require.Equal(t, bytes.Equal(b, good), s == original)
		}
	}
}

func TestDestroy(t *testing.T) {
	for _, s := range []Counter{{}, {wrong: 2, at: 5}, {wrong: 3, at: 5, lock: 7}} {
		require.False(t, s.Destroyed())
		d := s.Destroy()
		require.True(t, d.Destroyed())
		require.Equal(t, d, d.Destroy())
		require.Equal(t, Counter{wrong: s.wrong, at: s.at, lock: forever}, d, "the count and its time are kept")
		requireDestroyed(t, DefaultPolicy(), d, epoch)
	}
}

func FuzzParseCounter(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseCounter(b)
		if err != nil {
			require.ErrorIs(t, err, ErrCounter)
			require.Zero(t, s)
			return
		}
		again, err := s.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, b, again)
		// Whatever was read can be counted on, and leaves a counter that can be read.
		for _, now := range []time.Time{time.UnixMilli(s.at), time.UnixMilli(s.at / 2), epoch} {
			for _, o := range []Outcome{Wrong, Right} {
				next, verdict := DefaultPolicy().Next(s, o, now)
				require.True(t, IsVerdict(verdict))
				require.True(t, next.Destroyed() || !s.Destroyed())
				b, err := next.MarshalBinary()
				require.NoError(t, err)
				parsed, err := ParseCounter(b)
				require.NoError(t, err)
				require.Equal(t, next, parsed)
			}
		}
	})
}

// TestParseCounterCorpus: a fuzz target without seeds would test nothing in an ordinary
// run.
func TestParseCounterCorpus(t *testing.T) {
	seeds, err := os.ReadDir("testdata/fuzz/FuzzParseCounter")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(seeds), 12)
}

func BenchmarkCounterMarshal(b *testing.B) {
	s := Counter{wrong: 3, at: epoch.UnixMilli(), lock: 10800000}
	defer costtest.Report(b)()
	for b.Loop() {
		s.MarshalBinary()
	}
}

func BenchmarkCounterParse(b *testing.B) {
	encoded, _ := Counter{wrong: 3, at: epoch.UnixMilli(), lock: 10800000}.MarshalBinary()
	defer costtest.Report(b)()
	for b.Loop() {
		if _, err := ParseCounter(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
