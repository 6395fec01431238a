package hsm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// data is a saved value. A data object of the token holds it:
//
//	0   1  version, 1
//	1   8  number, big-endian; each save has a higher one
//	9   n  value
//	   32  SHA-256 of the above
//
// No object is ever changed. Whatever ends a save between two calls, the object with the
// highest number is the value that was saved last, or the one that was being saved.
type data struct {
	number uint64
	value  []byte
}

const (
	dataVersion = 1
	dataExtra   = 1 + 8 + sha256.Size
	// MaxData is the longest value of Token.SetData in bytes.
	MaxData = 1024
	// maxDataObjects bounds what saves leave on a token that destroys nothing.
	maxDataObjects = 64
)

func (d data) marshal() []byte {
	b := binary.BigEndian.AppendUint64([]byte{dataVersion}, d.number)
	b = append(b, d.value...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// parseData reports whether an object is whole.
func parseData(b []byte) (d data, ok bool) {
	if len(b) < dataExtra || len(b) > dataExtra+MaxData || b[0] != dataVersion {
		return d, false
	}
	body := b[:len(b)-sha256.Size]
	sum := sha256.Sum256(body)
	return data{binary.BigEndian.Uint64(body[1:]), body[9:]}, bytes.Equal(sum[:], b[len(body):])
}

func dataObjects(label string) []attribute {
	return labelled(pkcs11.CKO_DATA, label, attribute{pkcs11.CKA_APPLICATION, []byte("tandem")})
}

// SetData saves a value of at most MaxData bytes in the token, in the place of what was
// saved under the label before. One process at a time may save under a label. After an
// error the old value is there or the new one, whole; after ErrUnavailable the call may
// go on and save it yet, and until it has ended another is refused with ErrUnavailable.
//
// Errors: ErrUnsupported also where the token keeps no data objects.
func (t *Token) SetData(ctx context.Context, label string, value []byte) error {
	if err := cmp.Or(t.made(ctx), checkLabel(label)); err != nil {
		return err
	}
	if len(value) > MaxData {
		return fmt.Errorf("%w: value of %d bytes, must be at most %d", ErrInput, len(value), MaxData)
	}
	value = bytes.Clone(value)
	return do(ctx, t, operation{name: "save data"}, func(s *session) error {
		done, err := t.alone("data", label)
		if err != nil {
			return err
		}
		defer done()
		list, newest, err := s.readData(label)
		if err != nil && !errors.Is(err, ErrAmbiguous) {
			return err
		}
		if len(list) >= maxDataObjects {
			return fmt.Errorf("%w: the token does not destroy old data objects", ErrUnsupported)
		}
		encoded := data{newest.number + 1, value}.marshal()
		h, err := s.mod.CreateObject(s.h, append(dataObjects(label), attrBool(pkcs11.CKA_TOKEN, true),
			attrBool(pkcs11.CKA_PRIVATE, true), attrBool(pkcs11.CKA_MODIFIABLE, false), attribute{pkcs11.CKA_VALUE, encoded}))
		if err != nil {
			return err
		}
		got, err := s.mod.Attribute(s.h, h, pkcs11.CKA_VALUE)
		if err == nil && !bytes.Equal(got, encoded) {
			err = t.fault("save data")
		}
		if err != nil {
			return s.discard(h, err)
		}
		return s.destroy(list)
	})
}

// Data returns the value that SetData saved last under a label.
//
// Errors: ErrNoData, ErrAmbiguous if two processes saved at a time, and ErrFault if what
// the token has is damaged.
func (t *Token) Data(ctx context.Context, label string) ([]byte, error) {
	if err := cmp.Or(t.made(ctx), checkLabel(label)); err != nil {
		return nil, err
	}
	return run(ctx, t, operation{name: "read data"}, func(s *session) ([]byte, error) {
		list, newest, err := s.readData(label)
		switch {
		case err != nil:
			return nil, err
		case len(list) == 0:
			return nil, fmt.Errorf("%w: %q", ErrNoData, label)
		case newest.number == 0:
			return nil, t.fault("read data")
		}
		return newest.value, nil
	})
}

// readData returns all objects under a label, and what has the highest number. An object
// that is not whole was being made when its process or its token ended. ErrAmbiguous
// comes with the objects.
func (s *session) readData(label string) (list []handle, newest data, err error) {
	list, err = s.search(dataObjects(label), maxDataObjects)
	if err != nil {
		return nil, newest, err
	}
	for _, h := range list {
		b, e := s.mod.Attribute(s.h, h, pkcs11.CKA_VALUE)
		if e != nil {
			return nil, newest, e
		}
		switch d, ok := parseData(b); {
		case !ok || d.number < newest.number:
		case d.number > newest.number:
			newest, err = d, nil
		case !bytes.Equal(d.value, newest.value):
			err = fmt.Errorf("%w: data %q", ErrAmbiguous, label)
		}
	}
	return list, newest, err
}
