package devicelink_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// The published vectors.
const (
	publishedSecret = "B98ODiVCebRedSwdTk51zFSaGYyHtY1H2A0ocAi3/Ps="
	publishedDigest = "U4CKK13H1XFiyBofev9asqrzIrY5_Gszi_nL_zDKkBc"
	rpChallenge     = "GYS+yoah6emAcVDNIajwSs6UB/M95XrDxMzXBUkwQJ9YFDipXXzGpPc7raWcuc2+TEoRc7WvIZ/7dU/iRXenYg=="
	digest          = "FNZFFya5wGLv9b27fZngaWrOBqle4tGwxZuDFRBdPl1RQvxJsfoqvTbjafd+8BcehMOQGvak6zlP+F8tga4bfQ=="
)

var published = map[rp.FlowType]map[rp.Kind]string{
	rp.FlowWeb2App: {rp.Authentication: "aegUh6gCKkXBJhhvtJqSTWB5_2W8TDQt5eZ7db6krv0", rp.Signature: "R0iNcUp8nK1nqrcVFWerXUfWMSjwDOMC6MAHKrckaH8", rp.CertificateChoice: "PI1qYa9_l6zR-v6Pkre6ycSm7S3BGiOQSe5OQlw4UJg"},
	rp.FlowApp2App: {rp.Authentication: "00NRcgi4Jk7WdIwgMPlyM8wRy9KMu4C_oQvd-N6PKoo", rp.Signature: "8QZ16rkBW_ffkq6osT7UH1DbUlF9gEOZevgj-A0VNbM", rp.CertificateChoice: "AtayuRPP3N59wXF8Cijwjt3pQ16knW2L-5VLDTRD_KU"},
	rp.FlowQR:      {rp.Authentication: "OY1eHaD4UYedrBwtqUbSkpa0w7ttm4FllPkCD_3wlE0", rp.Signature: "5PZVhiNDTnt1MjLz8_YCjnNtR7p0iGevaL2G1ajfMco", rp.CertificateChoice: "T5pDDPAjoMS0byqS-FoaWVjlubODXoCCF4XDB4HeYNo"},
}

func session(kind rp.Kind) devicelink.Session {
	return devicelink.Session{
		Scheme: "smart-id", Base: "https://smart-id.com/device-link", Token: "wGIrqveE6AuGDATZKmR1mtAZ", Kind: kind,
		Challenge:        map[rp.Kind]string{rp.Authentication: rpChallenge, rp.Signature: digest}[kind],
		RelyingPartyName: "DEMO", BrokeredRPName: "Example RP",
		Interactions: base64.StdEncoding.EncodeToString([]byte(`[{"type":"confirmationMessage","displayText200":"Longer description of the transaction context"},` +
			`{"type":"displayTextAndPIN","displayText60":"Short description of the transaction context"}]`)),
		CallbackURL: "https://rp.example.com/callback-url?value=RrKjjT4aggzu27YBddX1bQ",
	}
}

func secretOf(t testing.TB) devicelink.Secret {
	s, err := devicelink.ParseSecret(publishedSecret)
	require.NoError(t, err)
	return s
}

// TestPublishedVectors: the nine authCodes of the documentation.
func TestPublishedVectors(t *testing.T) {
	secret := secretOf(t)
	require.Equal(t, publishedDigest, secret.Digest())
	require.Equal(t, publishedSecret, secret.Text())
	ran := 0
	for flow, codes := range published {
		for kind, code := range codes {
			s := session(kind)
			link, err := s.Link(secret, flow, 22*time.Second+999*time.Millisecond, "eng")
			require.NoError(t, err)
			elapsed := ""
			if flow == rp.FlowQR {
				elapsed = "&elapsedSeconds=22"
			}
			name := map[rp.Kind]string{rp.Authentication: "auth", rp.Signature: "sign", rp.CertificateChoice: "cert"}[kind]
			require.Equal(t, "https://smart-id.com/device-link?deviceLinkType="+string(flow)+elapsed+"&sessionToken=wGIrqveE6AuGDATZKmR1mtAZ&sessionType="+name+
				"&version=1.0&lang=eng&authCode="+code, link)
			l, err := devicelink.Parse(link)
			require.NoError(t, err)
			require.Equal(t, []any{s.Base, flow, s.Token, kind, "eng"}, []any{l.Base, l.Type, l.Token, l.Session, l.Lang})
			require.NoError(t, s.Verify(secret, l))
			ran++
		}
	}
	require.Equal(t, 9, ran)
}

// TestVerifyRefuses: a link of anything else is not of the session.
func TestVerifyRefuses(t *testing.T) {
	secret := secretOf(t)
	for _, flow := range []rp.FlowType{rp.FlowQR, rp.FlowWeb2App} {
		link, err := session(rp.Authentication).Link(secret, flow, 0, "eng")
		require.NoError(t, err)
		l, err := devicelink.Parse(link)
		require.NoError(t, err)
		for name, change := range map[string]func(*devicelink.Session){
			"scheme":       func(s *devicelink.Session) { s.Scheme = "smart-id-demo" },
			"base":         func(s *devicelink.Session) { s.Base = "https://smart-id.example/device-link" },
			"token":        func(s *devicelink.Session) { s.Token = "xGIrqveE6AuGDATZKmR1mtAZ" },
			"kind":         func(s *devicelink.Session) { s.Kind = rp.Signature },
			"challenge":    func(s *devicelink.Session) { s.Challenge = digest },
			"name":         func(s *devicelink.Session) { s.RelyingPartyName = "demo" },
			"broker":       func(s *devicelink.Session) { s.BrokeredRPName = "" },
			"interactions": func(s *devicelink.Session) { s.Interactions = "W10=" },
			"callback":     func(s *devicelink.Session) { s.CallbackURL += "1" },
			"no callback":  func(s *devicelink.Session) { s.CallbackURL = "" },
		} {
			s := session(rp.Authentication)
			change(&s)
			err := s.Verify(secret, l)
			// A QR code leads back to nowhere, so that the callback is no part of it.
			if flow == rp.FlowQR && strings.Contains(name, "callback") {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, devicelink.ErrLink, name)
		}
		s := session(rp.Authentication)
		require.ErrorIs(t, s.Verify(devicelink.NewSecret(), l), devicelink.ErrLink)
		require.ErrorIs(t, s.Verify(devicelink.Secret{}, l), devicelink.ErrLink)
		made := devicelink.Link{Base: l.Base, Type: l.Type, Token: l.Token, Session: l.Session, Lang: l.Lang}
		require.ErrorIs(t, s.Verify(secret, made), devicelink.ErrLink)

		// Each character of the link counts, the authCode's included.
		for i := range link {
			changed := link[:i] + string(link[i]^1) + link[i+1:]
			l, err := devicelink.Parse(changed)
			if err == nil {
				err = s.Verify(secret, l)
			}
			require.Error(t, err, changed)
		}
	}
	// What a choice of certificate does not sign is not in its links.
	s := session(rp.CertificateChoice)
	s.Challenge, s.Interactions = digest, "W10="
	link, err := s.Link(secret, rp.FlowWeb2App, 0, "eng")
	require.NoError(t, err)
	require.Contains(t, link, published[rp.FlowWeb2App][rp.CertificateChoice])
}

func TestParseRefuses(t *testing.T) {
	secret := secretOf(t)
	qr, err := session(rp.Authentication).Link(secret, rp.FlowQR, 22*time.Second, "eng")
	require.NoError(t, err)
	web, err := session(rp.Authentication).Link(secret, rp.FlowWeb2App, 0, "eng")
	require.NoError(t, err)
	replace := func(link, old, new string) string {
		require.Contains(t, link, old)
		return strings.Replace(link, old, new, 1)
	}
	code := qr[strings.Index(qr, "&authCode="):]
	for _, link := range []string{
		"", "?", "https://smart-id.com/device-link", strings.TrimSuffix(qr, code), qr + "&x=y", qr + "&authCode=", qr + code, qr + " ", qr + "#", " " + qr, qr + "A", qr[:len(qr)-1], qr[:len(qr)-1] + "=",
		replace(qr, "elapsedSeconds=22&", ""), replace(qr, "=22", "="), replace(qr, "=22", "=-1"), replace(qr, "=22", "=+22"), replace(qr, "=22", "=022"), replace(qr, "=22", "=2.2"), replace(qr, "=22", "=9999999"), replace(qr, "=22", "=22x"), replace(qr, "=22", "=99999999999999999999"),
		replace(web, "Web2App", "Web2App&elapsedSeconds=22"), replace(web, "Web2App", "web2app"), replace(web, "Web2App", ""), replace(web, "Web2App", "Notification"),
		replace(qr, "sessionToken=", "sessionToken=%41"), replace(qr, "wGIr", ""), replace(qr, "wGIr", "wGI-"), replace(qr, "wGIr", strings.Repeat("w", 64)),
		replace(qr, "=auth", "=AUTH"), replace(qr, "=auth", "="), replace(qr, "=auth", "=sign2"),
		replace(qr, "=1.0", "=0.9"), replace(qr, "=1.0", "=1.00"), replace(qr, "version=1.0&", ""),
		replace(qr, "=eng", "=en"), replace(qr, "=eng", "=ENG"), replace(qr, "=eng", "=e%6eg"), replace(qr, "&lang=eng", ""),
		replace(qr, "?", ""), replace(qr, "?", "??"), replace(qr, "?", "?&"), replace(qr, "device-link?", "device-link#?"), replace(qr, "https://smart-id.com/device-link", ""), replace(qr, "smart-id", "smart|id"), replace(qr, "smart-id.com", "smart-id.com\n"),
		replace(qr, "deviceLinkType=QR&elapsedSeconds=22", "elapsedSeconds=22&deviceLinkType=QR"), replace(qr, "&version=1.0&lang=eng", "&lang=eng&version=1.0"),
		replace(qr, "deviceLinkType=", "devicelinktype="), replace(qr, "&lang=eng", "&lang=eng&lang=eng"),
		replace(qr, "smart-id.com", strings.Repeat("a", 2048)),
	} {
		_, err := devicelink.Parse(link)
		require.ErrorIs(t, err, devicelink.ErrMalformed, link)
	}
}

func TestLinkRefuses(t *testing.T) {
	secret := secretOf(t)
	for name, change := range map[string]func(*devicelink.Session){
		"no base": func(s *devicelink.Session) { s.Base = "" }, "a query": func(s *devicelink.Session) { s.Base += "?" }, "a separator": func(s *devicelink.Session) { s.Base += "|" },
		"a fragment": func(s *devicelink.Session) { s.Base += "#" }, "an escape": func(s *devicelink.Session) { s.Base += "%20" }, "a space": func(s *devicelink.Session) { s.Base += " " },
		"a short token": func(s *devicelink.Session) { s.Token = s.Token[1:] }, "a token with a sign": func(s *devicelink.Session) { s.Token = "-" + s.Token[1:] },
		"no kind": func(s *devicelink.Session) { s.Kind = 0 }, "a request for a certificate": func(s *devicelink.Session) { s.Kind = rp.Certificate },
		"no callback": func(s *devicelink.Session) { s.CallbackURL = "" },
	} {
		s := session(rp.Authentication)
		change(&s)
		_, err := s.Link(secret, rp.FlowWeb2App, 0, "eng")
		require.ErrorIs(t, err, devicelink.ErrMalformed, name)
	}
	s := session(rp.Authentication)
	for name, link := range map[string]func() (string, error){
		"no secret":      func() (string, error) { return s.Link(devicelink.Secret{}, rp.FlowQR, 0, "eng") },
		"a notification": func() (string, error) { return s.Link(secret, rp.FlowNotification, 0, "eng") },
		"no language":    func() (string, error) { return s.Link(secret, rp.FlowQR, 0, "") },
		"a time to come": func() (string, error) { return s.Link(secret, rp.FlowQR, -time.Second, "eng") },
		"a year":         func() (string, error) { return s.Link(secret, rp.FlowQR, 365*24*time.Hour, "eng") },
	} {
		_, err := link()
		require.ErrorIs(t, err, devicelink.ErrMalformed, name)
	}
}

// TestFresh: a QR code is good from two seconds before its time to five after it.
func TestFresh(t *testing.T) {
	began := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for age, fresh := range map[time.Duration]bool{
		19 * time.Second: false, 20*time.Second - 1: false, 20 * time.Second: true, 22 * time.Second: true, 27 * time.Second: true, 27*time.Second + 1: false, time.Hour: false, -time.Second: false,
	} {
		err := devicelink.Link{Type: rp.FlowQR, Elapsed: 22}.Fresh(began, began.Add(age), devicelink.DefaultEarly, devicelink.DefaultLate)
		if fresh {
			require.NoError(t, err, age)
		} else {
			require.ErrorIs(t, err, devicelink.ErrOutdated, age)
		}
	}
	require.NoError(t, devicelink.Link{Type: rp.FlowWeb2App}.Fresh(began, began.Add(time.Hour), 0, 0))
}

func TestSecret(t *testing.T) {
	a, b := devicelink.NewSecret(), devicelink.NewSecret()
	require.NotEqual(t, a.Text(), b.Text())
	require.Len(t, a.Text(), 44)
	again, err := devicelink.ParseSecret(a.Text())
	require.NoError(t, err)
	require.Equal(t, a.Digest(), again.Digest())
	for _, text := range []string{"", "AAAA", a.Text() + "\n", a.Text()[:43], strings.Repeat("A", 42) + "B="} {
		_, err := devicelink.ParseSecret(text)
		require.ErrorIs(t, err, devicelink.ErrMalformed, text)
	}
	raw, err := base64.StdEncoding.DecodeString(a.Text())
	require.NoError(t, err)
	printtest.Hidden(t, map[string][]byte{"the secret": raw}, a, &a, struct{ s devicelink.Secret }{a})
	characters := map[rune]bool{}
	for range 200 {
		token := devicelink.NewToken()
		require.Len(t, token, 24)
		for _, c := range token {
			characters[c] = true
		}
	}
	// Of 4800 draws one of 62 is missing with a probability below
	// 62*(61/62)^4800 < 2^-106.
	require.Len(t, characters, 62)
}

// FuzzParse: a link that is read is written as it was, and verifies under no secret but
// its own.
func FuzzParse(f *testing.F) {
	secret := devicelink.NewSecret()
	f.Fuzz(func(t *testing.T, link string) {
		l, err := devicelink.Parse(link)
		if err != nil {
			require.ErrorIs(t, err, devicelink.ErrMalformed)
			return
		}
		s := session(l.Session)
		s.Base, s.Token = l.Base, l.Token
		require.ErrorIs(t, s.Verify(secret, l), devicelink.ErrLink)
		mine, err := s.Link(secret, l.Type, time.Duration(l.Elapsed)*time.Second, l.Lang)
		require.NoError(t, err)
		end := len(link) - 43
		require.Equal(t, link[:end], mine[:end])
	})
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*devicelink.Secret)(nil), (*devicelink.Link)(nil), (*devicelink.Session)(nil)},
		Functions: map[string]any{
			"Parse": devicelink.Parse, "ParseSecret": devicelink.ParseSecret, "NewSecret": devicelink.NewSecret, "NewToken": devicelink.NewToken,
		},
		May: map[string]string{"Link.Fresh": "what is no QR code has no age"},
	})
}

func ExampleSession_Link() {
	secret := devicelink.NewSecret()
	s := devicelink.Session{
		Scheme: "smart-id-demo", Base: "https://id.example/device-link", Token: devicelink.NewToken(), Kind: rp.CertificateChoice, RelyingPartyName: "DEMO",
	}
	text, err := s.Link(secret, rp.FlowQR, 3*time.Second, "eng")
	if err != nil {
		fmt.Println(err)
		return
	}
	link, err := devicelink.Parse(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(link.Elapsed, s.Verify(secret, link))
	// Output: 3 <nil>
}
