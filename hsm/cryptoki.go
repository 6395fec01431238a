package hsm

import (
	"encoding/binary"
	"math/bits"
)

// handle is a session or object handle: a number that the module chose.
type handle uint

// cryptoki is the part of PKCS #11 that this package uses. Every call to a module goes
// through it, so that a test can record what reaches a module.
//
// Errors are of type CKR. Who calls sees to it that Finalize is alone (Token.lock).
type cryptoki interface {
	// Initialize passes parameters as pReserved unless they are empty.
	Initialize(parameters string) error
	Finalize() error
	// Slots lists the slots that hold a token.
	Slots() ([]uint, error)
	TokenInfo(slot uint) (tokenInfo, error)
	Mechanisms(slot uint) ([]uint, error)

	OpenSession(slot uint, readOnly bool) (handle, error)
	// SessionState is the state in CK_SESSION_INFO.
	SessionState(s handle) (uint, error)
	CloseSession(s handle) error
	CloseAllSessions(slot uint) error
	Login(s handle, pin []byte) error

	// FindObjects returns at most limit objects that match the template.
	FindObjects(s handle, template []attribute, limit int) ([]handle, error)
	Attribute(s, object handle, kind uint) ([]byte, error)
	CreateObject(s handle, template []attribute) (handle, error)
	SetAttributes(s, object handle, template []attribute) error
	CopyObject(s, object handle, template []attribute) (handle, error)
	DestroyObject(s, object handle) error

	GenerateKey(s handle, m mechanism, template []attribute) (handle, error)
	GenerateKeyPair(s handle, m mechanism, public, private []attribute) (pub, priv handle, err error)

	// Use is one of these functions after its Init.
	Use(function string, s handle, m mechanism, key handle, in []byte) ([]byte, error)
	WrapKey(s handle, m mechanism, kek, key handle) ([]byte, error)
	UnwrapKey(s handle, m mechanism, kek handle, wrapped []byte, template []attribute) (handle, error)
}

const bySign, byDecrypt, byEncrypt = "C_Sign", "C_Decrypt", "C_Encrypt"

// mechanism is CK_MECHANISM.
type mechanism struct {
	kind  uint
	param []byte
}

// attribute is CK_ATTRIBUTE.
type attribute struct {
	kind  uint
	value []byte
}

func attrBool(kind uint, v bool) attribute {
	if v {
		return attribute{kind, []byte{1}}
	}
	return attribute{kind, []byte{0}}
}

// attrUint encodes a CK_ULONG, which is the platform's unsigned long.
func attrUint(kind, v uint) attribute { return attribute{kind, encodeUint(v)} }

func encodeUint(v uint) []byte {
	if bits.UintSize == 32 {
		return binary.NativeEndian.AppendUint32(nil, uint32(v))
	}
	return binary.NativeEndian.AppendUint64(nil, uint64(v))
}

// tokenInfo is the part of CK_TOKEN_INFO that decides anything here.
type tokenInfo struct {
	label, serial, model string
	flags, maxRWSessions uint
}
