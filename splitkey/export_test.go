package splitkey

import "crypto/rsa"

// EncodingKey returns a final key for the encoders' tests, which want moduli of all kinds
// of lengths: of every key in the range of sizes, as if it were its own device key.
func EncodingKey(pub *rsa.PublicKey) (*FinalKey, error) {
	if err := checkSize(pub, maxFinalBits); err != nil {
		return nil, err
	}
	return newFinalKey(pub, &publicKey{n: pub.N.Bytes()})
}
