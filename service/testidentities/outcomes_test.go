package testidentities

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/transactions"
)

var digest = sha512.Sum512([]byte("document"))

// body2 is a request of version 2.
func body2(interaction string) object {
	text := "displayText60"
	if len(interaction) > 7 && interaction[:7] == "confirm" {
		text = "displayText200"
	}
	return object{
		"relyingPartyUUID": demo, "relyingPartyName": "DEMO", "certificateLevel": "ADVANCED", "hash": base64.StdEncoding.EncodeToString(digest[:]), "hashType": "SHA512",
		"allowedInteractionsOrder": []any{object{"type": interaction, text: "Log in"}},
	}
}

// end starts a session and returns its end.
func (w *world) end(version int, path string, body any) (result string, status object) {
	w.t.Helper()
	code, o := w.call("POST", fmt.Sprintf("/smart-id-rp/v%d/%s", version, path), body)
	require.Equal(w.t, 200, code, "%v", o)
	code, status = w.call("GET", fmt.Sprintf("/smart-id-rp/v%d/session/%s?timeoutMs=60000", version, o["sessionID"]), nil)
	require.Equal(w.t, 200, code, "%v", status)
	require.Equal(w.t, "COMPLETE", status["state"])
	return status["result"].(object)["endResult"].(string), status
}

// TestOutcomes: each person does what the table says, in each version.
func TestOutcomes(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		number, interaction, v1, v2, v3 string
	}{
		{"EE-40504040001", "displayTextAndPIN", "OK", "OK", "OK"}, {"EE-40504040001", "verificationCodeChoice", "OK", "OK", ""},
		{"EE-50001029996", "confirmationMessage", "", "OK", "OK"}, {"EE-40404040009", "confirmationMessageAndVerificationCodeChoice", "", "OK", "OK"},
		{"EE-61101012257", "displayTextAndPIN", "OK", "OK", "OK"}, {"LV-050405-10009", "displayTextAndPIN", "OK", "OK", "OK"}, {"LT-40504040001", "displayTextAndPIN", "OK", "OK", "OK"},
		{"BE-05040400032", "displayTextAndPIN", "OK", "OK", "OK"}, {"LT-40504049999", "displayTextAndPIN", "OK", "OK", "OK"}, {"EE-39901012239", "displayTextAndPIN", "OK", "OK", "OK"},
		{"EE-30403039917", "displayTextAndPIN", "USER_REFUSED", "USER_REFUSED", "USER_REFUSED"},
		{"EE-30403039928", "displayTextAndPIN", "USER_REFUSED", "USER_REFUSED_DISPLAYTEXTANDPIN", "USER_REFUSED_INTERACTION"},
		{"EE-30403039928", "verificationCodeChoice", "USER_REFUSED", "USER_REFUSED_DISPLAYTEXTANDPIN", ""},
		{"EE-30403039939", "verificationCodeChoice", "USER_REFUSED", "USER_REFUSED_VC_CHOICE", ""},
		{"EE-30403039939", "displayTextAndPIN", "DOCUMENT_UNUSABLE", "REQUIRED_INTERACTION_NOT_SUPPORTED_BY_APP", "REQUIRED_INTERACTION_NOT_SUPPORTED_BY_APP"},
		{"EE-30403039946", "confirmationMessage", "", "USER_REFUSED_CONFIRMATIONMESSAGE", "USER_REFUSED_INTERACTION"},
		{"EE-30403039950", "confirmationMessageAndVerificationCodeChoice", "", "USER_REFUSED_CONFIRMATIONMESSAGE_WITH_VC_CHOICE", "USER_REFUSED_INTERACTION"},
		{"EE-30403039972", "verificationCodeChoice", "WRONG_VC", "WRONG_VC", ""}, {"EE-30403039972", "confirmationMessageAndVerificationCodeChoice", "", "WRONG_VC", "WRONG_VC"},
		{"EE-30403039994", "displayTextAndPIN", "DOCUMENT_UNUSABLE", "DOCUMENT_UNUSABLE", "DOCUMENT_UNUSABLE"},
	} {
		for _, kind := range []string{"authentication", "signature"} {
			// One person signs in all versions: signatures differ from logins nowhere
			// else.
			if kind == "signature" && c.number != "EE-40504040001" {
				c.v1, c.v3 = "", ""
			}
			name := kind + " PNO" + c.number + " " + c.interaction
			if c.v1 != "" {
				b := body2(c.interaction)
				delete(b, "allowedInteractionsOrder")
				b["displayText"], b["requestProperties"] = "Log in", object{"vcChoice": c.interaction == "verificationCodeChoice"}
				b["relyingPartyUUID"] = oldDemo
				result, _ := w.end(1, kind+"/pno/"+c.number[:2]+"/"+c.number[3:], b)
				require.Equal(t, c.v1, result, name)
			}
			result, status := w.end(2, kind+"/etsi/PNO"+c.number, body2(c.interaction))
			require.Equal(t, c.v2, result, name)
			if result == "OK" {
				requireSigned(t, w, status, digest[:], crypto.SHA512)
				require.Equal(t, c.interaction, status["interactionFlowUsed"])
			}
			if c.v3 == "" {
				continue
			}
			b := body3(kind, c.interaction)
			if kind == "authentication" {
				b["vcType"] = "numeric4"
			}
			result, status = w.end(3, kind+"/notification/etsi/PNO"+c.number, b)
			require.Equal(t, c.v3, result, name)
			if result == "USER_REFUSED_INTERACTION" {
				require.Equal(t, object{"interaction": c.interaction}, status["result"].(object)["details"])
			}
			if result == "OK" && kind == "signature" {
				requireSigned(t, w, status, digest[:], crypto.SHA512)
			}
		}
	}
}

func body3(kind, interaction string) object {
	b := body2(interaction)
	text := base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(`[{"type":%q,%q:"Log in"}]`, interaction, map[bool]string{true: "displayText200", false: "displayText60"}[interaction != "displayTextAndPIN"])))
	out := object{"relyingPartyUUID": demo, "relyingPartyName": "DEMO", "certificateLevel": "ADVANCED", "interactions": text, "signatureProtocol": "RAW_DIGEST_SIGNATURE"}
	name := "digest"
	if kind == "authentication" {
		name, out["signatureProtocol"] = "rpChallenge", "ACSP_V2"
	}
	out["signatureProtocolParameters"] = object{name: b["hash"], "signatureAlgorithm": "rsassa-pss", "signatureAlgorithmParameters": object{"hashAlgorithm": "SHA-512"}}
	return out
}

// TestUnanswered: a phone whose request was not answered sends it again, at once or when
// it signs the next time.
func TestUnanswered(t *testing.T) {
	w := newWorld(t, who(t, "EE-40504040001"))
	w.fail.Store(1)
	result, status := w.end(2, "authentication/etsi/PNOEE-40504040001", body2("displayTextAndPIN"))
	require.Equal(t, "OK", result)
	requireSigned(t, w, status, digest[:], crypto.SHA512)

	w.identities.at.Wait() // the phone is done with it

	// As if the process had ended after its first try.
	w.fail.Store(1)
	d := w.identities.phones[0].account.Document
	s, err := w.engine.Begin(t.Context(), request(digest[:], d), source)
	require.NoError(t, err)
	c, err := w.engine.Claim(t.Context(), w.identities.phones[0].account, transactions.ClaimRequest{Session: s.ID, Interactions: Signs.interactions()})
	require.NoError(t, err)
	p := w.identities.phones[0]
	p.session = s.ID
	_, err = p.devices[1].Sign(t.Context(), c.ToSign.Challenge, c.ToSign.Digest, c.ToSign.Options(), pins[1])
	require.ErrorIs(t, err, device.ErrUnanswered)
	p.session = ""
	other := sha512.Sum512([]byte("another document"))
	b := body2("displayTextAndPIN")
	b["hash"] = base64.StdEncoding.EncodeToString(other[:])
	result, status = w.end(2, "signature/etsi/PNOEE-40504040001", b)
	require.Equal(t, "OK", result)
	requireSigned(t, w, status, other[:], crypto.SHA512)
	code, first := w.call("GET", "/smart-id-rp/v2/session/"+s.ID+"?timeoutMs=1000", nil)
	require.Equal(t, 200, code)
	requireSigned(t, w, first, digest[:], crypto.SHA512)
}

var source = rp.Source{Address: netip.MustParseAddr("127.0.0.1")}

func request(digest []byte, d identity.Document) rp.Request {
	return rp.Request{
		Version: rp.V2, Kind: rp.Signature, Flow: rp.Notification, Target: rp.Target{Document: &d}, RelyingPartyUUID: demo, RelyingPartyName: "DEMO", Level: rp.LevelQualified,
		Digest: digest, Algorithm: rp.Algorithm{Hash: crypto.SHA512}, Interactions: []rp.Interaction{{Type: rp.DisplayTextAndPIN, Text: "Sign"}},
	}
}

// TestSuspended: a person whose account is suspended begins nothing.
func TestSuspended(t *testing.T) {
	w := newWorld(t, who(t, "EE-30403039895"))
	for version, want := range []int{1: 472, 2: 472, 3: 404} {
		path, b := "authentication/etsi/PNOEE-30403039895", body2("displayTextAndPIN")
		if version == 3 {
			path, b = "authentication/notification/etsi/PNOEE-30403039895", body3("authentication", "displayTextAndPIN")
			b["vcType"] = "numeric4"
		}
		if version > 0 {
			code, o := w.call("POST", fmt.Sprintf("/smart-id-rp/v%d/%s", version, path), b)
			require.Equal(t, want, code, "%v", o)
		}
	}
}

// requireSigned checks a signature of a status with the certificate in it, and that one
// with the service's root.
func requireSigned(t *testing.T, w *world, status object, digest []byte, hash crypto.Hash) *x509.Certificate {
	t.Helper()
	c := certificateOf(t, w, status)
	s := status["signature"].(object)
	signature, err := base64.StdEncoding.DecodeString(s["value"].(string))
	require.NoError(t, err)
	key := c.PublicKey.(*rsa.PublicKey)
	require.Equal(t, 4096, key.N.BitLen())
	if s["signatureAlgorithm"] == "rsassa-pss" {
		require.NoError(t, rsa.VerifyPSS(key, hash, digest, signature, &rsa.PSSOptions{SaltLength: hash.Size()}))
	} else {
		require.NoError(t, rsa.VerifyPKCS1v15(key, hash, digest, signature))
	}
	return c
}

func certificateOf(t *testing.T, w *world, status object) *x509.Certificate {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(status["cert"].(object)["value"].(string))
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, c.CheckSignatureFrom(w.issuing))
	require.NoError(t, w.issuing.CheckSignatureFrom(w.root))
	return c
}

// TestChoices: of certificates, with one phone, with two, and refused.
func TestChoices(t *testing.T) {
	w := newWorld(t, who(t, "40504040001"), who(t, "39901012239"), who(t, "30403039961"))
	body := object{"relyingPartyUUID": demo, "relyingPartyName": "DEMO"}
	for number, want := range map[string]string{"40504040001": "OK", "39901012239": "OK", "30403039961": "USER_REFUSED_CERT_CHOICE"} {
		result, status := w.end(2, "certificatechoice/etsi/PNOEE-"+number, body)
		require.Equal(t, want, result)
		result3, status3 := w.end(3, "signature/certificate-choice/notification/etsi/PNOEE-"+number, body)
		require.Equal(t, want, result3)
		if want != "OK" {
			continue
		}
		c := certificateOf(t, w, status)
		require.Equal(t, c.Raw, certificateOf(t, w, status3).Raw)
		d, ok := w.identities.Document(id(number), 0)
		require.True(t, ok)
		require.Equal(t, d.String(), status["result"].(object)["documentNumber"])
		// The signature that follows is made by the same account.
		result, status = w.end(2, "signature/document/"+d.String(), body2("displayTextAndPIN"))
		require.Equal(t, "OK", result)
		require.True(t, bytes.Equal(c.Raw, requireSigned(t, w, status, digest[:], crypto.SHA512).Raw))
	}
	code, o := w.call("POST", "/smart-id-rp/v2/authentication/etsi/PNOEE-11111111111", body2("displayTextAndPIN"))
	require.Equal(t, 404, code, "%v", o)
}

// TestLogin3: what a login of version 3 signs is what it must be.
func TestLogin3(t *testing.T) {
	w := newWorld(t, who(t, "EE-40504040001"))
	b := body3("authentication", "confirmationMessage")
	b["vcType"] = "numeric4"
	result, status := w.end(3, "authentication/notification/etsi/PNOEE-40504040001", b)
	require.Equal(t, "OK", result)
	s := status["signature"].(object)
	p := acsp.Payload{
		Scheme: scheme, ServerRandom: s["serverRandom"].(string), Challenge: base64.StdEncoding.EncodeToString(digest[:]), UserChallenge: s["userChallenge"].(string),
		RelyingPartyName: "DEMO", Interactions: b["interactions"].(string), Interaction: rp.ConfirmationMessage, Flow: rp.FlowNotification,
	}
	want, err := p.Digest(crypto.SHA512)
	require.NoError(t, err)
	requireSigned(t, w, status, want, crypto.SHA512)
}
