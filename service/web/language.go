package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Language is one of those that pages have, by ISO 639-1.
type Language string

// The languages.
const (
	English    Language = "en"
	Estonian   Language = "et"
	Latvian    Language = "lv"
	Lithuanian Language = "lt"
)

var languages = []Language{English, Estonian, Latvian, Lithuanian}

// Own is the language's name in itself.
func (l Language) Own() string {
	return map[Language]string{English: "English", Estonian: "Eesti", Latvian: "Latviešu", Lithuanian: "Lietuvių"}[l]
}

// Link is its code in device links, by ISO 639-2.
func (l Language) Link() string {
	return map[Language]string{English: "eng", Estonian: "est", Latvian: "lav", Lithuanian: "lit"}[l]
}

// texts has a table for each language.
var texts = func() map[Language]map[string]string {
	out := map[Language]map[string]string{}
	for _, l := range languages {
		text, err := own.ReadFile("texts/" + string(l) + ".json")
		table := map[string]string{}
		if err == nil {
			err = json.Unmarshal(text, &table)
		}
		if err != nil {
			panic(fmt.Sprintf("web: texts in %s: %v", l, err)) // they are embedded
		}
		out[l] = table
	}
	return out
}()

// Text returns a text, with its arguments as in fmt.Sprintf. One that there is not is its
// key.
func (l Language) Text(key string, args ...any) string {
	text, ok := texts[l][key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

const languageCookie = "tandem-lang"

// LanguageOf returns the language that a browser has chosen by a link, or that it
// prefers; English if it prefers none of these.
func LanguageOf(r *http.Request) Language {
	if r == nil {
		return English
	}
	if c, err := r.Cookie(languageCookie); err == nil && slices.Contains(languages, Language(c.Value)) {
		return Language(c.Value)
	}
	best, weight := English, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, q, _ := strings.Cut(part, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		w := 1.0
		if number, ok := strings.CutPrefix(strings.TrimSpace(q), "q="); ok {
			var err error
			if w, err = strconv.ParseFloat(number, 64); err != nil {
				w = 0
			}
		}
		if w > weight && slices.Contains(languages, Language(primary)) {
			best, weight = Language(primary), w
		}
	}
	return best
}

// choose notes the language that a link has chosen, and leads back to the page.
func (f *Frame) choose(w http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	l := Language(q.Get("lang"))
	// A device link has a parameter of this name, with three letters.
	if !slices.Contains(languages, l) {
		return false
	}
	q.Del("lang")
	http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: string(l), Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, Secure: f.secure})
	secure(w.Header(), filePolicy)
	w.Header().Set("Cache-Control", "no-store")
	to := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	// A path with two slashes in front would be another host.
	if strings.HasPrefix(to.Path, "//") {
		to.Path = "/"
	}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return true
}
