package hsm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// A data object holds one saved value:
//
//	0   1  version, 1
//	1   8  number, big-endian; each save has a higher one
//	9   n  value
//	   32  SHA-256 of the above
//
// A save makes the object of the new value, reads it back, and destroys the older ones.
// So whatever ends it between two calls, the object with the highest number is the value
// that was saved last, or the one that was being saved. No object is ever changed.
const (
	dataVersion = 1
	dataExtra   = 1 + 8 + sha256.Size
	// MaxData is the longest value of Token.SetData in bytes.
	MaxData = 1024
	// maxDataObjects bounds what saves leave on a token that destroys nothing.
	maxDataObjects = 64
)

// data is a data object that was read.
type data struct {
	number uint64
	value  []byte
}

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
	return labelled(pkcs11.CKO_DATA, label, attrString(pkcs11.CKA_APPLICATION, "tandem"))
}

// SetData saves a value of at most MaxData bytes in the token, in a private data object,
// in the place of what was saved under the label before. One process at a time may save
// under a label. It is as durable as the module's own objects. After an error the old
// value is there or the new one, whole; after ErrUnavailable the call may go on and save
// it yet, and until it has ended another is refused with ErrUnavailable.
//
// Errors: ErrUnsupported also where the token keeps no data objects.
func (t *Token) SetData(ctx context.Context, label string, value []byte) error {
	if err := t.made(ctx); err != nil {
		return err
	}
	if label == "" || len(value) > MaxData {
		return fmt.Errorf("%w: label %q, value of %d bytes, must be at most %d", ErrInput, label, len(value), MaxData)
	}
	value = bytes.Clone(value)
	return do(ctx, t, operation{name: "save data"}, func(s *session) error {
		done, err := t.alone("data", label)
		if err != nil {
			return err
		}
		defer done()
		list, newest, err := s.readData(label)
		if err != nil {
			return err
		}
		if len(list) >= maxDataObjects {
			return fmt.Errorf("%w: the token does not destroy old data objects", ErrUnsupported)
		}
		next := data{1, value}
		for _, d := range newest {
			next.number = d.number + 1
		}
		if err := s.createData(label, next.marshal()); err != nil {
			return err
		}
		for _, old := range list {
			if err := s.mod.DestroyObject(s.h, old); err != nil {
				return err
			}
		}
		return nil
	})
}

// createData makes a data object, and reads it back.
func (s *session) createData(label string, encoded []byte) error {
	h, err := s.mod.CreateObject(s.h, append(dataObjects(label),
		attrBool(pkcs11.CKA_TOKEN, true),
		attrBool(pkcs11.CKA_PRIVATE, true),
		attrBool(pkcs11.CKA_MODIFIABLE, false),
		attrBytes(pkcs11.CKA_VALUE, encoded)))
	if err != nil {
		return err
	}
	got, err := s.mod.Attribute(s.h, h, pkcs11.CKA_VALUE)
	if err == nil && !bytes.Equal(got, encoded) {
		err = s.t.fault("save data")
	}
	if err != nil {
		return s.discard(h, err)
	}
	return nil
}

// Data returns the value that SetData saved last under a label.
//
// Errors: ErrNoData, ErrAmbiguous if two processes saved at a time, and ErrFault if what
// the token has is damaged.
func (t *Token) Data(ctx context.Context, label string) ([]byte, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	if label == "" {
		return nil, fmt.Errorf("%w: empty label", ErrInput)
	}
	return run(ctx, t, operation{name: "read data"}, func(s *session) ([]byte, error) {
		list, newest, err := s.readData(label)
		switch {
		case err != nil:
			return nil, err
		case len(list) == 0:
			return nil, fmt.Errorf("%w: %q", ErrNoData, label)
		case len(newest) == 0:
			return nil, t.fault("read data")
		case len(newest) > 1:
			return nil, fmt.Errorf("%w: data %q", ErrAmbiguous, label)
		}
		return newest[0].value, nil
	})
}

// readData returns all objects under a label, and the values of the highest number. That
// is one value, unless two processes saved at a time. An object that is not whole was
// being made when its process or its token ended.
func (s *session) readData(label string) (list []handle, newest []data, err error) {
	list, err = s.search(dataObjects(label), maxDataObjects)
	for _, h := range list {
		b, err := s.mod.Attribute(s.h, h, pkcs11.CKA_VALUE)
		if err != nil {
			return nil, nil, err
		}
		d, ok := parseData(b)
		if !ok || len(newest) > 0 && d.number < newest[0].number {
			continue
		}
		if len(newest) > 0 && d.number > newest[0].number {
			newest = nil
		}
		if !slices.ContainsFunc(newest, func(n data) bool { return bytes.Equal(n.value, d.value) }) {
			newest = append(newest, d)
		}
	}
	return list, newest, err
}
