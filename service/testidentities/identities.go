package testidentities

import (
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Behavior is what a phone's person always does.
type Behavior uint8

const (
	Signs               Behavior = 1  // after the right code, where there are codes
	Refuses             Behavior = 2  // without looking at a screen
	RefusesPIN          Behavior = 3  // on the screen with text and PIN, after the right code
	RefusesCodes        Behavior = 4  // among three codes
	RefusesText         Behavior = 5  // on the screen with a text to confirm
	RefusesTextAndCodes Behavior = 6  // on that with a text and three codes
	RefusesAccount      Behavior = 7  // when asked which account
	PicksWrongCode      Behavior = 8  // of three
	Sleeps              Behavior = 9  // never answers
	Unusable            Behavior = 10 // opens the session with an account that is suspended meanwhile
	Suspended           Behavior = 11 // the account is suspended, and so begins nothing
)

// interactions are those that the phone can do. A person who refuses on a certain screen
// has a phone that shows this one only, so that it is this screen or none.
func (b Behavior) interactions() []rp.InteractionType {
	switch b {
	case RefusesPIN:
		return []rp.InteractionType{rp.DisplayTextAndPIN, rp.VerificationCodeChoice}
	case RefusesCodes:
		return []rp.InteractionType{rp.VerificationCodeChoice}
	case RefusesText:
		return []rp.InteractionType{rp.ConfirmationMessage}
	case RefusesTextAndCodes:
		return []rp.InteractionType{rp.ConfirmationMessageAndVerificationCodeChoice}
	case PicksWrongCode:
		return []rp.InteractionType{rp.VerificationCodeChoice, rp.ConfirmationMessageAndVerificationCodeChoice}
	}
	return []rp.InteractionType{rp.DisplayTextAndPIN, rp.VerificationCodeChoice, rp.ConfirmationMessage, rp.ConfirmationMessageAndVerificationCodeChoice}
}

// Identity is a test person.
type Identity struct {
	Person identity.Person
	Level  identity.Level
	Phones []Behavior // one account each
}

// All returns the test persons. The numbers are those of the public demonstration
// service, as far as it has such a person.
func All() []Identity {
	return slices.Clone(all)
}

var all = []Identity{
	of("EE", "40504040001", "OK", identity.Qualified, Signs),
	of("EE", "50001029996", "OK", identity.Qualified, Signs),
	of("EE", "40404040009", "OK", identity.Qualified, Signs),
	of("EE", "61101012257", "OK MINOR", identity.Qualified, Signs),
	of("LV", "050405-10009", "OK", identity.Qualified, Signs),
	of("LT", "40504040001", "OK", identity.Qualified, Signs),
	of("BE", "05040400032", "OK", identity.Qualified, Signs),
	of("LT", "40504049999", "OK", identity.Advanced, Signs),
	of("EE", "39901012239", "OK TWO PHONES", identity.Qualified, Signs, Sleeps),
	of("EE", "30403039917", "USER REFUSED", identity.Qualified, Refuses),
	of("EE", "30403039928", "USER REFUSED DISPLAYTEXTANDPIN", identity.Qualified, RefusesPIN),
	of("EE", "30403039939", "USER REFUSED VC CHOICE", identity.Qualified, RefusesCodes),
	of("EE", "30403039946", "USER REFUSED CONFIRMATION", identity.Qualified, RefusesText),
	of("EE", "30403039950", "USER REFUSED CONFIRMATION VC", identity.Qualified, RefusesTextAndCodes),
	of("EE", "30403039961", "USER REFUSED CERT CHOICE", identity.Qualified, RefusesAccount, Sleeps),
	of("EE", "30403039972", "WRONG VC", identity.Qualified, PicksWrongCode),
	of("EE", "30403039983", "TIMEOUT", identity.Qualified, Sleeps),
	of("EE", "30403039994", "DOCUMENT UNUSABLE", identity.Qualified, Unusable),
	of("EE", "30403039895", "VIEW APP", identity.Qualified, Suspended),
}

func of(country, number, given string, level identity.Level, phones ...Behavior) Identity {
	return Identity{
		Person: identity.Person{
			ID: identity.ID{Type: "PNO", Country: country, Number: number}, Given: given, Surname: "TESTNUMBER",
			Born: time.Date(2004, 4, 4, 0, 0, 0, 0, time.UTC),
		},
		Level: level, Phones: phones,
	}
}
