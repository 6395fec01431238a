package hsm

import (
	"bytes"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// saved lists what the fake has under a label, as it was encoded.
func (f *fake) saved(label string) (list []*fakeObject) {
	f.set(func() {
		for _, o := range f.objects {
			if string(o.attrs[pkcs11.CKA_LABEL]) == label {
				list = append(list, o)
			}
		}
	})
	return list
}

// A saved value is a private object that cannot be changed, and there is one of a label.
func TestData(t *testing.T) {
	ctx := t.Context()
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	_, err := tok.Data(ctx, "a")
	require.ErrorIs(t, err, ErrNoData)
	require.NotErrorIs(t, err, ErrUnavailable)
	for _, value := range [][]byte{[]byte("first"), nil, bytes.Repeat([]byte{7}, MaxData)} {
		require.NoError(t, tok.SetData(ctx, "a", value))
		require.NoError(t, tok.SetData(ctx, "b", []byte("another")))
		got, err := tok.Data(ctx, "a")
		require.NoError(t, err)
		require.True(t, bytes.Equal(value, got))
		list := f.saved("a")
		require.Len(t, list, 1)
		require.Equal(t, []byte{1}, list[0].attrs[pkcs11.CKA_PRIVATE])
		require.Equal(t, []byte{0}, list[0].attrs[pkcs11.CKA_MODIFIABLE])
		require.Zero(t, list[0].session, "an object of the token")
	}
	calls := f.count("C_CreateObject")
	require.ErrorIs(t, tok.SetData(ctx, "a", make([]byte, MaxData+1)), ErrInput)
	require.ErrorIs(t, tok.SetData(ctx, "", nil), ErrInput)
	_, err = tok.Data(ctx, "")
	require.ErrorIs(t, err, ErrInput)
	require.Equal(t, calls, f.count("C_CreateObject"))
	// The login is lost: nothing is taken for missing.
	f.set(func() { f.loggedIn = false })
	got, err := tok.Data(ctx, "b")
	require.NoError(t, err)
	require.Equal(t, "another", string(got))
}

// The value of the highest number counts, whatever older ones are left; an object that is
// not whole is none; and the next save leaves one.
func TestDataLeftBehind(t *testing.T) {
	ctx := t.Context()
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	put := func(encoded []byte) {
		f.set(func() {
			f.add(0, nil, dataObjects("a"), []attribute{attrBool(pkcs11.CKA_TOKEN, true), attribute{pkcs11.CKA_VALUE, encoded}})
		})
	}
	torn := data{9, []byte("torn")}.marshal()
	torn = torn[:len(torn)-1]
	put(torn)
	_, err := tok.Data(ctx, "a")
	require.ErrorIs(t, err, ErrFault, "all is damaged")
	for _, number := range []uint64{255, 256, 3} {
		put(data{number, []byte{byte(number >> 1)}}.marshal())
	}
	changed := data{1000, []byte("changed")}.marshal()
	changed[10] ^= 1
	put(changed)
	got, err := tok.Data(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []byte{128}, got, "that of 256")
	require.NoError(t, tok.SetData(ctx, "a", []byte("new")))
	list := f.saved("a")
	require.Len(t, list, 1)
	require.Equal(t, data{257, []byte("new")}.marshal(), list[0].attrs[pkcs11.CKA_VALUE])
	// Two processes saved at a time.
	put(data{257, []byte("other")}.marshal())
	_, err = tok.Data(ctx, "a")
	require.ErrorIs(t, err, ErrAmbiguous)
	require.NoError(t, tok.SetData(ctx, "a", []byte("newer")))
	got, err = tok.Data(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "newer", string(got))
}

// A token that destroys nothing is not filled with old values.
func TestDataNotDestroyed(t *testing.T) {
	ctx := t.Context()
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	require.NoError(t, tok.SetData(ctx, "a", []byte{0}))
	fails(f, "C_DestroyObject", 1<<30, CKR(pkcs11.CKR_ACTION_PROHIBITED))
	last := byte(0)
	for i := byte(1); i < 2*maxDataObjects; i++ {
		before := len(f.saved("a"))
		require.ErrorIs(t, tok.SetData(ctx, "a", []byte{i}), ErrUnsupported)
		if len(f.saved("a")) > before {
			last = i
		}
		got, err := tok.Data(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, []byte{last}, got, "the newest")
	}
	require.Len(t, f.saved("a"), maxDataObjects)
}

// garbling saves something else than it was given.
type garbling struct{ *fake }

func (g *garbling) CreateObject(s handle, template []attribute) (handle, error) {
	h, err := g.fake.CreateObject(s, template)
	g.set(func() { g.objects[h].attrs[pkcs11.CKA_VALUE][9] ^= 1 })
	return h, err
}

// What the token did not keep as it was given is not saved, and the old value stays.
func TestDataReadBack(t *testing.T) {
	ctx := t.Context()
	g := &garbling{newFake()}
	tok := mustOpenFake(t, g.fake, nil)
	require.NoError(t, tok.SetData(ctx, "a", []byte("old")))
	tok.mod = g
	require.ErrorIs(t, tok.SetData(ctx, "a", []byte("new")), ErrFault)
	require.Len(t, g.saved("a"), 1)
	got, err := tok.Data(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
}
