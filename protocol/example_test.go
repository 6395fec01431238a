package protocol_test

import (
	"crypto/sha256"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
)

func ExampleCodeChoice() {
	digest := sha256.Sum256([]byte("the contract"))
	for _, code := range protocol.CodeChoice(digest[:]) {
		if code == protocol.VerificationCode(digest[:]) {
			fmt.Println("the user must pick", code)
		}
	}
	// Output: the user must pick 6301
}

func ExampleParseKeyID() {
	id, err := protocol.ParseKeyID("000102030405060708090a0b0c0d0e0f")
	fmt.Println(id, err)
	_, err = protocol.ParseKeyID("000102030405060708090A0B0C0D0E0F")
	fmt.Println(err)
	// Output:
	// 000102030405060708090a0b0c0d0e0f <nil>
	// protocol: malformed encoding: key id, want 32 lower-case hexadecimal digits
}
