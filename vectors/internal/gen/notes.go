package main

import "log"

// note says what a flag is for. bugType is one of Wycheproof's words.
type note struct {
	BugType     string   `json:"bugType"`
	Description string   `json:"description"`
	Effect      string   `json:"effect"`
	CVEs        []string `json:"cves"`
}

// sharedNotes are notes of flags that mean the same in several files. A file's own notes
// come first.
var sharedNotes = map[string]note{
	"CompositeShort": {"EDGE_CASE", "n1*n2 has one bit less than n1 and n2 together.", "A wrong emBits.", nil},
	"DigestLength":   {"MODIFIED_PARAMETER", "The digest has not the length of its hash function.", "Something else than a digest is signed.", nil},
	"EmLenShort":     {"EDGE_CASE", "The modulus has 1 bit more than a multiple of 8, so EM is one byte shorter than it.", "An offset of one byte.", nil},
	"EvenModulus":    {"CAN_OF_WORMS", "The modulus is even.", "Montgomery arithmetic gives nonsense.", nil},
	"ExponentEven":   {"CAN_OF_WORMS", "e is even.", "No d exists.", nil},
	"ExponentOne":    {"CAN_OF_WORMS", "e = 1.", "Everybody signs.", nil},
	"ExponentTooBig": {"CAN_OF_WORMS", "e >= 2^31.", "Verifiers refuse the key.", nil},
	"ModulusUnusual": {"EDGE_CASE", "The length of the modulus is not a multiple of 8 bits.", "emLen is rounded down.", nil},
	"OddModulusBits": {"CAN_OF_WORMS", "The length of the modulus in bits is not a multiple of 8.", "Shares of ambiguous length.", nil},
	"PinEmpty":       {"EDGE_CASE", "No PIN.", "A lockbox under nothing.", nil},
	"PinNonAscii":    {"MODIFIED_PARAMETER", "Something else than the bytes 30 to 39.", "Two programs that read one PIN as two.", nil},
	"PinTooLong":     {"MODIFIED_PARAMETER", "More than 12 digits.", "A PIN that is cut off.", nil},
	"PinTooShort":    {"MODIFIED_PARAMETER", "Less than 4 digits.", "A PIN that was read as a number.", nil},
	"ReducedCostKdf": {"NORMAL", "Argon2id with less than the default cost, so that many can be checked.", "", nil},
	"ShareAllOnes":   {"EDGE_CASE", "x is the largest there is.", "2x+1 has one bit more than x.", nil},
	"SmallModulus":   {"WEAK_PARAMS", "The modulus has less than 2048 bits.", "Weak keys.", nil},
	"UnknownHash":    {"WEAK_PARAMS", "A hash function that is not in the list.", "Collisions.", nil},
}

// note returns a file's note of a flag.
func (f *file) note(flag string) note {
	n, ok := f.notes[flag]
	if !ok {
		n, ok = sharedNotes[flag]
	}
	if !ok {
		log.Fatalf("%s: flag %s has no note", f.name, flag)
	}
	if n.CVEs == nil {
		n.CVEs = []string{}
	}
	return n
}

// usedNotes are the notes of the flags that a file's tests have.
func (f *file) usedNotes() map[string]note {
	used := map[string]note{}
	for _, g := range f.groups {
		for _, t := range g.tests {
			for _, flag := range t["flags"].([]string) {
				used[flag] = f.note(flag)
			}
		}
	}
	return used
}

// checkNotes ends the program if a note is used in no file.
func checkNotes(files []*file) {
	used := map[string]bool{}
	for _, f := range files {
		for flag := range f.usedNotes() {
			used[flag] = true
		}
	}
	for _, f := range append(files, &file{name: "shared", notes: sharedNotes}) {
		for flag := range f.notes {
			if !used[flag] {
				log.Fatalf("%s: no test has the flag %s", f.name, flag)
			}
		}
	}
}
