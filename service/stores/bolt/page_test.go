package bolt

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// encodePage writes a page as bbolt does, from what parsePage read.
func encodePage(id uint64, p page) []byte {
	flags := uint16(branchPage)
	if p.leaf {
		flags = leafPage
	}
	b := native.AppendUint64(nil, id)
	b = native.AppendUint16(b, flags)
	b = native.AppendUint16(b, uint16(len(p.elements)))
	b = native.AppendUint32(b, uint32(p.overflow))
	at := pageHeader + len(p.elements)*elementLength
	var data []byte
	for i, e := range p.elements {
		position := uint32(at + len(data) - pageHeader - i*elementLength)
		if p.leaf {
			var flags uint32
			if e.bucket {
				flags = bucketFlag
			}
			b = native.AppendUint32(b, flags)
			b = native.AppendUint32(b, position)
			b = native.AppendUint32(b, uint32(len(e.key)))
			b = native.AppendUint32(b, uint32(len(e.value)))
		} else {
			b = native.AppendUint32(b, position)
			b = native.AppendUint32(b, uint32(len(e.key)))
			b = native.AppendUint64(b, e.child)
		}
		data = append(append(data, e.key...), e.value...)
	}
	return append(b, data...)
}

// FuzzPage: a page is refused, or is exactly what bbolt writes for what was read from it.
func FuzzPage(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePage(7, b, 1024)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			require.Empty(t, p.elements)
			return
		}
		want := encodePage(7, p)
		require.Equal(t, want, b[:len(want)])
		require.Equal(t, uint64((len(want)+1023)/1024-1), p.overflow)
		for i, e := range p.elements {
			require.NotEmpty(t, e.key)
			require.True(t, i == 0 || bytes.Compare(p.elements[i-1].key, e.key) < 0)
		}
	})
}

// TestElementOutOfPlace: bbolt takes an element from where its page says it is, which may
// be anywhere.
func TestElementOutOfPlace(t *testing.T) {
	leaf := page{leaf: true, elements: []element{{key: []byte("a"), value: []byte("1")}, {key: []byte("b"), value: []byte("2")}}}
	branch := page{elements: []element{{key: []byte("a"), child: 3}, {key: []byte("b"), child: 4}}}
	for _, p := range []page{leaf, branch} {
		whole := encodePage(7, p)
		_, err := parsePage(7, whole, 1024)
		require.NoError(t, err)
		for i := range p.elements {
			position := pageHeader + i*elementLength
			if p.leaf {
				position += 4
			}
			for bit := range 32 {
				b := bytes.Clone(whole)
				flipBit(b[position:], bit)
				_, err := parsePage(7, b, 1024)
				require.ErrorIs(t, err, ErrDamaged)
			}
		}
		_, err = parsePage(8, whole, 1024)
		require.ErrorIs(t, err, ErrDamaged, "the page of another id")
	}
}

// TestEmptyPage: a page may have no elements, and then need not be longer than its
// header. The pages of inline buckets are so.
func TestEmptyPage(t *testing.T) {
	b := encodePage(7, page{leaf: true})
	require.Len(t, b, pageHeader)
	p, err := parsePage(7, b, 1024)
	require.NoError(t, err)
	require.Empty(t, p.elements)
	_, err = parsePage(7, b[:pageHeader-1], 1024)
	require.ErrorIs(t, err, ErrDamaged)
}
