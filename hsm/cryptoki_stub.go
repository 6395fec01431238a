//go:build !cgo || !unix || nopkcs11

package hsm

const loadable = false

// load reports that this program was built without PKCS #11.
func load(string, string) (cryptoki, error) { return nil, ErrNoPKCS11 }
