//go:build !cgo || !unix || nopkcs11

package hsm

import "fmt"

const loadable = false

// load reports that this program was built without PKCS #11.
func load(string) (cryptoki, error) { return nil, ErrNoPKCS11 }

func layOut(template []attribute) []byte { return make([]byte, len(template)) }

func (r CKR) Error() string { return fmt.Sprintf("pkcs11: 0x%X", uint(r)) }
