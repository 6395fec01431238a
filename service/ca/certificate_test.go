package ca_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// The kinds of certificates of CompatProfile. Extensions are listed in full, by object
// identifier, with "!" for critical ones.
var kinds = []struct {
	name       string
	use        ca.Use
	level      identity.Level
	document   string
	keyUsage   x509.KeyUsage
	eku        string
	policies   string
	qc         string
	extensions string
}{
	{
		"authentication, qualified", ca.Authentication, identity.Qualified, "PNOEE-40504040001-7TRE-Q", x509.KeyUsageDigitalSignature,
		"1.3.6.1.4.1.62306.5.7.0", "1.3.6.1.4.1.10015.17.2 0.4.0.2042.1.2", "", "2.5.29.37",
	},
	{
		"authentication, advanced", ca.Authentication, identity.Advanced, "PNOEE-40504040001-7TRE-NQ", x509.KeyUsageDigitalSignature,
		"1.3.6.1.4.1.62306.5.7.0", "1.3.6.1.4.1.10015.17.1 0.4.0.2042.1.1", "", "2.5.29.37",
	},
	{
		"signature, qualified", ca.Signature, identity.Qualified, "PNOEE-40504040001-7TRE-Q", x509.KeyUsageContentCommitment,
		"", "1.3.6.1.4.1.10015.17.2 0.4.0.194112.1.2",
		// SEQUENCE { SEQUENCE { 0.4.0.1862.1.6, SEQUENCE { 0.4.0.1862.1.6.1 } } }
		"3015 3013 0606 04008e460106 3009 0607 04008e46010601", "1.3.6.1.5.5.7.1.3",
	},
	{
		"signature, advanced", ca.Signature, identity.Advanced, "PNOEE-40504040001-7TRE-NQ", x509.KeyUsageContentCommitment,
		"", "1.3.6.1.4.1.10015.17.1 0.4.0.2042.1.1", "", "",
	},
}

func TestProfile(t *testing.T) {
	a := newAuthority(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			before := time.Now().Truncate(time.Second)
			c := a.issue(t, k.use, k.level)
			require.Equal(t, 3, c.Version)
			require.False(t, c.NotBefore.Before(before))
			require.False(t, c.NotBefore.After(time.Now()))
			require.Equal(t, c.NotBefore.AddDate(3, 0, 0), c.NotAfter.Add(time.Second))
			require.Equal(t, x509.ECDSAWithSHA384, c.SignatureAlgorithm)
			require.True(t, key().Equal(c.PublicKey))
			require.Equal(t, 65537, c.PublicKey.(*rsa.PublicKey).E)
			require.Equal(t, 6144, c.PublicKey.(*rsa.PublicKey).N.BitLen())
			require.Equal(t, k.keyUsage, c.KeyUsage)
			require.True(t, c.BasicConstraintsValid)
			require.False(t, c.IsCA)
			require.Equal(t, a.issuing().SubjectKeyId, c.AuthorityKeyId)
			require.Len(t, c.SubjectKeyId, 20)
			require.Equal(t, []string{url + "/ocsp"}, c.OCSPServer)
			require.Equal(t, []string{url + "/" + a.id() + ".crt"}, c.IssuingCertificateURL)
			require.Equal(t, []string{url + "/" + a.id() + ".crl"}, c.CRLDistributionPoints)
			require.Empty(t, c.ExtKeyUsage)
			var got []string
			for _, e := range c.UnknownExtKeyUsage {
				got = append(got, e.String())
			}
			require.Equal(t, k.eku, strings.Join(got, " "))
			got = nil
			for _, p := range c.Policies {
				got = append(got, p.String())
			}
			require.Equal(t, k.policies, strings.Join(got, " "))

			require.Equal(t, "C=EE,CN=MÄNNIK\\,MARI-LIIS,SN=MÄNNIK,GN=MARI-LIIS,SERIALNUMBER=PNOEE-40504040001", attributes(t, c.RawSubject))
			require.Equal(t, "C=EE,O=TEST tandem,2.5.4.97=NTREE-00000000,CN=TEST of tandem EID-Q 1", attributes(t, c.RawIssuer))
			require.Equal(t, "13 12 12 12 13", tags(t, c.RawSubject), "PrintableString and UTF8String")

			values := map[string][]byte{}
			want := "!2.5.29.15 !2.5.29.19 2.5.29.14 2.5.29.35 1.3.6.1.5.5.7.1.1 2.5.29.32 2.5.29.31 2.5.29.17 2.5.29.9"
			if k.extensions != "" {
				want += " " + k.extensions
			}
			var found []string
			for _, e := range c.Extensions {
				name := e.Id.String()
				values[name] = e.Value
				if e.Critical {
					name = "!" + name
				}
				found = append(found, name)
			}
			require.ElementsMatch(t, strings.Fields(want), found)

			// SEQUENCE { [4] { Name of a CN with the document number } }
			n := len(k.document)
			require.Equal(t, fromHex("30", 15+n, "a4", 13+n, "30", 11+n, "31", 9+n, "30", 7+n, "0603550403", "0c", n)+k.document, string(values["2.5.29.17"]))
			// SEQUENCE { SEQUENCE { dateOfBirth, SET { GeneralizedTime } } }
			require.Equal(t, fromHex("301f301d06082b060105050709013111180f")+"19950404120000Z", string(values["2.5.29.9"]))
			require.Equal(t, fromHex(strings.ReplaceAll(k.qc, " ", "")), string(values["1.3.6.1.5.5.7.1.3"]))
		})
	}
}

// fromHex joins hexadecimal digits and lengths.
func fromHex(parts ...any) string {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b, err := hex.DecodeString(p)
			if err != nil {
				panic(err)
			}
			out = append(out, b...)
		case int:
			out = append(out, byte(p))
		}
	}
	return string(out)
}

type rdn []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}
type rdnSET rdn

// attributes lists a name in the order of its encoding, one attribute a set.
func attributes(t *testing.T, der []byte) string {
	var name []rdnSET
	rest, err := asn1.Unmarshal(der, &name)
	require.NoError(t, err)
	require.Empty(t, rest)
	var out []string
	for _, set := range name {
		require.Len(t, set, 1)
		short, ok := map[string]string{"2.5.4.6": "C", "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.42": "GN", "2.5.4.5": "SERIALNUMBER", "2.5.4.10": "O"}[set[0].Type.String()]
		if !ok {
			short = set[0].Type.String()
		}
		out = append(out, short+"="+strings.ReplaceAll(string(set[0].Value.Bytes), ",", "\\,"))
	}
	return strings.Join(out, ",")
}

func tags(t *testing.T, der []byte) string {
	var name []rdnSET
	_, err := asn1.Unmarshal(der, &name)
	require.NoError(t, err)
	var out []string
	for _, set := range name {
		out = append(out, map[int]string{asn1.TagPrintableString: "13", asn1.TagUTF8String: "12"}[set[0].Value.Tag])
	}
	return strings.Join(out, " ")
}

// TestClaims: what an operator claims is in the certificates, and nothing else is.
func TestClaims(t *testing.T) {
	for want, q := range map[string]ca.QCStatements{
		"": {},
		// esi4-qcStatement-1, -4, -6 and -5 with two statements
		"300a3008060604008e460101": {Compliance: true},
		"300a3008060604008e460104": {SSCD: true},
		"304d3008060604008e4601013008060604008e4601043037060604008e460105302d" +
			"3015" + "160f" + hex.EncodeToString([]byte("https://h.ee/en")) + "1302656e" +
			"3014" + "160e" + hex.EncodeToString([]byte("https://h.ee/e")) + "13026574": {
			Compliance: true, SSCD: true, PDS: []ca.PDS{{"https://h.ee/en", "en"}, {"https://h.ee/e", "et"}},
		},
	} {
		a := newAuthority(t, func(c *ca.Config) { c.Profile.SignatureQualified.QC = q })
		c := a.issue(t, ca.Signature, identity.Qualified)
		got := ""
		for _, e := range c.Extensions {
			if e.Id.String() == "1.3.6.1.5.5.7.1.3" {
				got = hex.EncodeToString(e.Value)
			}
		}
		require.Equal(t, want, got)
	}
	r := request(ca.Signature, identity.Qualified)
	r.Person.Born = time.Time{}
	chain, err := newAuthority(t).Issue(context.Background(), r)
	require.NoError(t, err)
	for _, e := range chain[0].Extensions {
		require.NotEqual(t, "2.5.29.9", e.Id.String(), "a date of birth that nobody knows")
	}
}

// TestChain: Go and OpenSSL follow the chain from each certificate to the root, and not
// to another root.
func TestChain(t *testing.T) {
	for _, kind := range []string{"ecdsa", "rsa"} {
		a := newAuthority(t)
		if kind == "rsa" {
			useRSA(t, a)
		}
		other := newAuthority(t)
		for _, k := range kinds {
			c := a.issue(t, k.use, k.level)
			pools := func(root *x509.Certificate) x509.VerifyOptions {
				o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
				o.Roots.AddCert(root)
				o.Intermediates.AddCert(a.issuing())
				return o
			}
			o := pools(a.root)
			o.CertificatePolicies = c.Policies[:1]
			chains, err := c.Verify(o)
			require.NoError(t, err)
			require.Len(t, chains, 1)
			_, err = c.Verify(pools(other.root))
			require.Error(t, err)

			files := map[string]any{"root": a.root, "other": other.root, "issuing": a.issuing(), "c": c}
			policy := strings.Fields(k.policies)[0]
			out, err := openssl(t, files, "verify", "-x509_strict", "-policy", policy, "-explicit_policy", "-CAfile", "root", "-untrusted", "issuing", "c")
			require.NoError(t, err, out)
			require.Equal(t, "c: OK\n", out)
			_, err = openssl(t, files, "verify", "-CAfile", "other", "-untrusted", "issuing", "c")
			require.Error(t, err)
		}
	}
}

// useRSA puts RSA keys in place of ECDSA keys.
func useRSA(t *testing.T, a *authority) {
	var err error
	a.rootSigner = splitkeytest.Key(4096)
	a.root, err = ca.NewRoot(a.rootSigner, ca.TestName("tandem Root"), 0)
	require.NoError(t, err)
	a.signer = &brittle{Signer: splitkeytest.NamedKey(splitkeytest.Server, 4096)}
	c, err := ca.NewIssuing(a.root, a.rootSigner, a.signer.Public(), ca.TestName("tandem EID-Q 1"), 0)
	require.NoError(t, err)
	a.config.Issuing = []ca.Issuing{{Certificate: c, Signer: a.signer}}
	a.Authority, err = ca.New(a.config)
	require.NoError(t, err)
}

// TestSignatureOfBothHalves: what device and server sign together verifies under the
// certificate of the key that neither has.
func TestSignatureOfBothHalves(t *testing.T) {
	a := newAuthority(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	document := []byte("I agree.")
	digest := sha256.Sum256(document)

	k := split()
	message, err := k.server.FinalKey().Encode(digest[:], crypto.SHA256)
	require.NoError(t, err)
	partial, err := k.client.SignPartial(message)
	require.NoError(t, err)
	checked, err := k.server.Check(message, partial)
	require.NoError(t, err)
	defer checked.Wipe()
	signature, err := k.server.Finish(context.Background(), checked)
	require.NoError(t, err)
	require.NoError(t, c.CheckSignature(x509.SHA256WithRSA, document, signature))

	files := map[string]any{"c": c, "document": document, "signature": signature}
	public, err := openssl(t, files, "x509", "-in", "c", "-noout", "-pubkey")
	require.NoError(t, err, public)
	files["public"] = []byte(public)
	out, err := openssl(t, files, "dgst", "-sha256", "-verify", "public", "-signature", "signature", "document")
	require.NoError(t, err, out)
	require.Equal(t, "Verified OK\n", out)
	files["document"] = []byte("I disagree.")
	_, err = openssl(t, files, "dgst", "-sha256", "-verify", "public", "-signature", "signature", "document")
	require.Error(t, err)
}

// TestCertificatesOfCAs: the root and the issuing CA are what RFC 5280 wants of them.
func TestCertificatesOfCAs(t *testing.T) {
	a := newAuthority(t)
	require.Equal(t, a.root.RawSubject, a.root.RawIssuer)
	require.NoError(t, a.root.CheckSignatureFrom(a.root))
	require.Equal(t, a.root.NotBefore.AddDate(25, 0, 0), a.root.NotAfter.Add(time.Second))
	require.Equal(t, a.issuing().NotBefore.AddDate(12, 0, 0), a.issuing().NotAfter.Add(time.Second))
	for _, c := range []*x509.Certificate{a.root, a.issuing()} {
		require.True(t, c.IsCA)
		require.Equal(t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, c.KeyUsage)
		require.Len(t, c.SubjectKeyId, 20)
	}
	require.Equal(t, -1, a.root.MaxPathLen)
	require.True(t, a.issuing().MaxPathLenZero)

	// An issuing CA may not make another, and ends with its root.
	signer := p384(t)
	below, err := ca.NewIssuing(a.issuing(), a.signer, signer.Public(), ca.TestName("below"), 0)
	require.NoError(t, err)
	require.Equal(t, a.issuing().NotAfter, below.NotAfter)
	b := newAuthority(t, func(c *ca.Config) {
		c.Issuing = []ca.Issuing{{Certificate: below, Signer: signer, Above: []*x509.Certificate{a.issuing()}}}
	})
	chain, err := b.Issue(context.Background(), request(ca.Signature, identity.Qualified))
	require.NoError(t, err)
	require.Equal(t, []*x509.Certificate{below, a.issuing()}, chain[1:])
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	o.Roots.AddCert(a.root)
	o.Intermediates.AddCert(a.issuing())
	o.Intermediates.AddCert(below)
	_, err = chain[0].Verify(o)
	require.ErrorContains(t, err, "too many intermediates")
}
