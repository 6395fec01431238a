package identity_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/identity"
)

func refused(t *testing.T, err error, field, problem string) {
	t.Helper()
	var e *identity.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Field, field)
	require.Contains(t, e.Problem, problem)
}

func TestParseID(t *testing.T) {
	for s, want := range map[string]identity.ID{
		"PNOEE-40504040001":                {Type: "PNO", Country: "EE", Number: "40504040001"},
		"PNOLV-050405-10009":               {Type: "PNO", Country: "LV", Number: "050405-10009"},
		"PNOBE-05040400032":                {Type: "PNO", Country: "BE", Number: "05040400032"},
		"PASKZ-N1234567":                   {Type: "PAS", Country: "KZ", Number: "N1234567"},
		"IDCCZ-1a":                         {Type: "IDC", Country: "CZ", Number: "1a"},
		"IDCCZ-azAZ09":                     {Type: "IDC", Country: "CZ", Number: "azAZ09"},
		"PNOXK-" + strings.Repeat("1", 40): {Type: "PNO", Country: "XK", Number: strings.Repeat("1", 40)},
	} {
		id, err := identity.ParseID(s)
		require.NoError(t, err, s)
		require.Equal(t, want, id)
		require.Equal(t, s, id.String())
	}
	for s, field := range map[string]string{
		"": "identifier", "PNOEE": "identifier", "PNOE-1": "identifier", "PNOEE1-1": "identifier",
		"pnoEE-1": "type", "NTREE-10000": "type", "VATEE-1": "type", "TINEE-1": "type",
		"PNOee-1": "country", "PNOZZ-1": "country", "PNO E-1": "country", "PNOE -1": "country", "PNO\x00E-1": "country",
		"PNOEE-": "number", "PNOEE--1": "number", "PNOEE-1-": "number", "PNOEE-1 2": "number", "PNOEE-1|2": "number", "PNOEE-1\x002": "number",
		"PNOEE-1\n": "number", "PNOEE-1/2": "number", "PNOEE-õ": "number", "PNOEE-" + strings.Repeat("1", 41): "number",
	} {
		_, err := identity.ParseID(s)
		refused(t, err, field, "")
	}
}

func TestCountry(t *testing.T) {
	found := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			if identity.Country(string([]rune{a, b})) {
				found++
			}
		}
	}
	require.Equal(t, 249+1, found)
	for _, code := range []string{"", "E", "ee", "EEE", "E ", " E", "  ", "EU", "UK"} {
		require.False(t, identity.Country(code), code)
	}
}

func TestParseDocument(t *testing.T) {
	ee := identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"}
	lv := identity.ID{Type: "PNO", Country: "LV", Number: "050405-10009"}
	for s, want := range map[string]identity.Document{
		"PNOEE-40504040001-7TRE-Q":   {ID: ee, Label: "7TRE", Level: identity.Qualified},
		"PNOEE-40504040001-K2GN-NQ":  {ID: ee, Label: "K2GN", Level: identity.Advanced},
		"PNOLV-050405-10009-MOCK-Q":  {ID: lv, Label: "MOCK", Level: identity.Qualified},
		"PNOLV-050405-10009-0000-NQ": {ID: lv, Label: "0000", Level: identity.Advanced},
	} {
		d, err := identity.ParseDocument(s)
		require.NoError(t, err, s)
		require.Equal(t, want, d)
		require.Equal(t, s, d.String())
	}
	for s, field := range map[string]string{
		"": "document number", "Q": "document number", "MOCK-Q": "document number",
		"PNOEE-MOCK-Q": "identifier", "PNOEE-1-7TRE-q": "end", "PNOEE-1-7TRE-": "end", "PNOEE-1-7TRE-QQ": "end", "PNOEE-1-7TRE-N": "end",
		"PNOEE-1-7TR-Q": "label", "PNOEE-1-7TREE-Q": "label", "PNOEE-1-7tre-Q": "label", "PNOEE-1-7TR|-Q": "label", "PNOEE-1-7TÕ-Q": "label",
		"PNOZZ-1-7TRE-Q": "country", "PNOEE--7TRE-Q": "number",
	} {
		_, err := identity.ParseDocument(s)
		refused(t, err, field, "")
	}
}

// TestNewDocument: the label is random, and of every character.
func TestNewDocument(t *testing.T) {
	id, err := identity.ParseID("PNOEE-40504040001")
	require.NoError(t, err)
	seen, characters := map[string]bool{}, map[rune]bool{}
	for range 400 {
		d, err := identity.NewDocument(id, identity.Advanced)
		require.NoError(t, err)
		parsed, err := identity.ParseDocument(d.String())
		require.NoError(t, err)
		require.Equal(t, d, parsed)
		seen[d.Label] = true
		for _, c := range d.Label {
			characters[c] = true
		}
	}
	// 400 draws of 1.7 million have ten repetitions with a probability below 2^-70; 1600
	// characters lack one of 36 with one of 36*(35/36)^1600 < 2^-59.
	require.Greater(t, len(seen), 390)
	require.Len(t, characters, 36)
	_, err = identity.NewDocument(identity.ID{}, identity.Qualified)
	refused(t, err, "type", "")
	_, err = identity.NewDocument(id, 0)
	refused(t, err, "end", "")
}

func person() identity.Person {
	return identity.Person{
		ID:    identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"},
		Given: "MARI-LIIS", Surname: "MÄNNIK", Born: time.Date(2005, 4, 4, 0, 0, 0, 0, time.UTC),
	}
}

func TestPerson(t *testing.T) {
	for _, name := range []string{"O'CONNEZ-ŠUSLIK TESTNUMBER", "ŽAIGINĖ", "李", "d’Arc", strings.Repeat("Õ", 52)} {
		p := person()
		p.Surname = name
		require.NoError(t, p.Check(), name)
		require.Equal(t, name+",MARI-LIIS", p.CommonName())
	}
	for name, problem := range map[string]string{
		"":                      "empty",
		"A\x00B":                "does not print",
		"A\nB":                  "does not print",
		"A\rB":                  "does not print",
		"A\u202eB":              "does not print",
		"A\u200bB":              "does not print",
		"A\u2028B":              "does not print",
		"A\u00a0B":              "does not print",
		"A\ufffdB":              "does not print",
		"A\ue000B":              "does not print",
		"A\xffB":                "UTF-8",
		"A,B":                   "comma",
		" A":                    "space",
		"A ":                    "space",
		"A  B":                  "space",
		strings.Repeat("A", 62): "64 characters",
	} {
		for field, set := range map[string]func(*identity.Person){
			"name":    func(p *identity.Person) { p.Surname, p.Given = name, "BO" },
			"given n": func(p *identity.Person) { p.Surname, p.Given = "BO", name },
		} {
			p := person()
			set(&p)
			if problem == "64 characters" {
				field = "name"
			}
			refused(t, p.Check(), field, problem)
		}
	}
	p := person()
	p.Born = time.Time{}
	require.NoError(t, p.Check())
	p.Born = time.Date(1849, 12, 31, 0, 0, 0, 0, time.UTC)
	refused(t, p.Check(), "date of birth", "")
	p.Born = time.Now().Add(48 * time.Hour)
	refused(t, p.Check(), "date of birth", "")
	p = person()
	p.ID.Country = "ZZ"
	refused(t, p.Check(), "country", "")
}

func TestLevel(t *testing.T) {
	require.Equal(t, "ADVANCED QUALIFIED UNKNOWN", fmt.Sprint(identity.Advanced, " ", identity.Qualified, " ", identity.Level(0)))
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := identity.ParseID(s); err == nil {
			require.Equal(t, s, id.String())
		}
		if d, err := identity.ParseDocument(s); err == nil {
			require.Equal(t, s, d.String())
			require.Equal(t, d.ID.String(), s[:len(d.ID.String())])
		}
	})
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*identity.Error)(nil), (*identity.Level)(nil), (*identity.ID)(nil), (*identity.Document)(nil), (*identity.Person)(nil)},
		Functions: map[string]any{
			"ParseID": identity.ParseID, "ParseDocument": identity.ParseDocument, "NewDocument": identity.NewDocument, "Country": identity.Country,
		},
	})
}

func ExampleParseDocument() {
	d, err := identity.ParseDocument("PNOLV-050405-10009-7TRE-Q")
	fmt.Println(d.ID, d.ID.Country, d.Level, err)
	_, err = identity.ParseDocument("NTREE-10747013-7TRE-Q")
	fmt.Println(err)
	// Output:
	// PNOLV-050405-10009 LV QUALIFIED <nil>
	// identity: the type of the identifier is not a natural person's: PNO, IDC or PAS
}
