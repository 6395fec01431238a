package rp

import (
	"crypto"
)

// Algorithm is how a digest is signed: RSASSA-PKCS1-v1_5, or RSASSA-PSS with a salt as
// long as the hash and the same hash in MGF1. The zero Algorithm is none.
type Algorithm struct {
	Hash crypto.Hash
	PSS  bool
}

// hashes of version 3 for PSS, by their names. PKCS#1 v1.5 has the first three.
var hashes = []struct {
	hash  crypto.Hash
	name  string // of version 3
	old   string // of version 2
	pkcs1 string
}{
	{crypto.SHA256, "SHA-256", "SHA256", "sha256WithRSAEncryption"},
	{crypto.SHA384, "SHA-384", "SHA384", "sha384WithRSAEncryption"},
	{crypto.SHA512, "SHA-512", "SHA512", "sha512WithRSAEncryption"},
	{crypto.SHA3_256, "SHA3-256", "", ""},
	{crypto.SHA3_384, "SHA3-384", "", ""},
	{crypto.SHA3_512, "SHA3-512", "", ""},
}

const pssName = "rsassa-pss"

// AlgorithmOfHash returns that of a hashType of version 2 ("SHA512").
func AlgorithmOfHash(hashType string) (Algorithm, bool) {
	for _, h := range hashes {
		if h.old != "" && h.old == hashType {
			return Algorithm{h.hash, false}, true
		}
	}
	return Algorithm{}, false
}

// AlgorithmOfName returns that of a signatureAlgorithm of version 3. One of PSS has the
// hash that hashAlgorithm names; any other may name its own hash once more, or none.
func AlgorithmOfName(signatureAlgorithm, hashAlgorithm string) (a Algorithm, nameOK, hashOK bool) {
	for _, h := range hashes {
		switch {
		case signatureAlgorithm == pssName && h.name == hashAlgorithm:
			return Algorithm{h.hash, true}, true, true
		case h.pkcs1 != "" && h.pkcs1 == signatureAlgorithm:
			return Algorithm{h.hash, false}, true, hashAlgorithm == "" || hashAlgorithm == h.name
		}
	}
	return Algorithm{}, signatureAlgorithm == pssName, false
}

// Name returns the signatureAlgorithm: "rsassa-pss", or such as
// "sha256WithRSAEncryption".
func (a Algorithm) Name() string {
	for _, h := range hashes {
		switch {
		case a.Hash != h.hash:
		case a.PSS:
			return pssName
		default:
			return h.pkcs1
		}
	}
	return ""
}

// PSSParameters are the signatureAlgorithmParameters of version 3's answers.
type PSSParameters struct {
	HashAlgorithm    string `json:"hashAlgorithm"`
	MaskGenAlgorithm struct {
		Algorithm  string `json:"algorithm"`
		Parameters struct {
			HashAlgorithm string `json:"hashAlgorithm"`
		} `json:"parameters"`
	} `json:"maskGenAlgorithm"`
	SaltLength   int    `json:"saltLength"`
	TrailerField string `json:"trailerField"`
}

// Parameters returns those of an algorithm with PSS, and nil for any other.
func (a Algorithm) Parameters() *PSSParameters {
	for _, h := range hashes {
		if a.PSS && a.Hash == h.hash {
			p := &PSSParameters{HashAlgorithm: h.name, SaltLength: h.hash.Size(), TrailerField: "0xbc"}
			p.MaskGenAlgorithm.Algorithm = "id-mgf1"
			p.MaskGenAlgorithm.Parameters.HashAlgorithm = h.name
			return p
		}
	}
	return nil
}
