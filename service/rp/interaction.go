package rp

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// InteractionType is what the person sees and does before the PIN.
type InteractionType string

const (
	DisplayTextAndPIN      InteractionType = "displayTextAndPIN"
	VerificationCodeChoice InteractionType = "verificationCodeChoice" // versions 1 and 2
	ConfirmationMessage    InteractionType = "confirmationMessage"
	// ConfirmationMessageAndVerificationCodeChoice is for notifications only in version
	// 3.
	ConfirmationMessageAndVerificationCodeChoice InteractionType = "confirmationMessageAndVerificationCodeChoice"
)

// MaxText returns the most characters of the text, and the name of the member that has
// it. They are 0 and empty for what is no type.
func (t InteractionType) MaxText() (characters int, member string) {
	switch t {
	case DisplayTextAndPIN, VerificationCodeChoice:
		return 60, "displayText60"
	case ConfirmationMessage, ConfirmationMessageAndVerificationCodeChoice:
		return 200, "displayText200"
	}
	return 0, ""
}

// Choice reports whether the person chooses one of three codes.
func (t InteractionType) Choice() bool {
	return t == VerificationCodeChoice || t == ConfirmationMessageAndVerificationCodeChoice
}

// Interaction is one that a relying party offers.
type Interaction struct {
	Type InteractionType
	Text string // empty only in version 1
}

// DisplayProblem says why a text cannot be shown to a person; "" if it can. One that has
// a line break, a control character or a mark that changes the direction of text would
// look like another.
func DisplayProblem(s string, maxCharacters int) string {
	switch {
	case !utf8.ValidString(s):
		return "is not UTF-8"
	case strings.ContainsFunc(s, unshown):
		return "has a control character, a line break or a mark of direction"
	case utf8.RuneCountInString(s) > maxCharacters:
		return "is too long"
	}
	return ""
}

func unshown(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point) ||
		r == '\ufeff'
}
