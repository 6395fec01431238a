// Package page is a page of headings, paragraphs, tables and pictures that can be written
// as Markdown and as HTML.
package page

import (
	"fmt"
	"html"
	"regexp"
	"strings"
)

// Page is a list of blocks, in order.
type Page []Block

// Block is a Heading, Contents, Paragraph, Table or Picture.
type Block interface {
	markdown(*strings.Builder)
	html(*strings.Builder)
}

// Heading is of level 1, 2 or 3.
type Heading struct {
	Level int
	Text  string
}

// Contents are links to headings of levels 2 and 3.
type Contents []Heading

// Contents returns links to all of the page's headings but the first.
func (p Page) Contents() Contents {
	var out Contents
	for _, block := range p {
		if h, ok := block.(Heading); ok && h.Level > 1 {
			out = append(out, h)
		}
	}
	return out
}

// Paragraph is plain text.
type Paragraph string

// Table has its texts by row. All columns but the first are set flush right.
type Table struct {
	Header []string
	Rows   [][]string
	Left   bool // all columns flush left
}

// Picture is an SVG file beside the page. HTML carries a copy of it.
type Picture struct {
	File, Caption string
	SVG           []byte
}

// Markdown returns the page in GitHub's flavour.
func (p Page) Markdown() string {
	var b strings.Builder
	for i, block := range p {
		if i > 0 {
			b.WriteByte('\n')
		}
		block.markdown(&b)
	}
	return b.String()
}

const head = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d8dee4; --rule: #8c959f; --dim: #57606a; --link: #0550ae }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --line: #444; --rule: #888; --dim: #a5a5a5; --link: #8ab8ff } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2; margin-top: 2rem; overflow-wrap: anywhere }
p, figcaption, li { overflow-wrap: anywhere }
a { color: var(--link) }
nav ul { padding-left: 1.2rem; margin: .2rem 0 }
nav ul ul { columns: 14rem }
table { border-collapse: collapse; font-size: 14px; margin: 1rem 0 }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .7rem; text-align: right; white-space: nowrap }
td:last-child, .left td { white-space: normal }
th:first-child, td:first-child, .left th, .left td { text-align: left }
th, thead td { border-bottom: 2px solid var(--rule) }
figure { margin: 1.5rem 0 }
figure svg { max-width: 100%%; height: auto; display: block }
figcaption { font-size: 14px; color: var(--dim) }
@media (max-width: 45rem) {
  table, thead, tbody, tr, td, thead th:first-child { display: block }
  thead th, thead td { display: none }
  thead th:first-child { color: var(--dim); white-space: normal; padding: 0 }
  tbody tr { border-bottom: 1px solid var(--line); padding: .4rem 0 }
  td, .left td { border: 0; padding: 0 0 0 1rem; text-align: left; white-space: normal; overflow-wrap: anywhere }
  td:first-child { padding: 0; font-weight: 600 }
  td:empty { display: none }
  td:not(:first-child)[data-label]::before { content: attr(data-label) ": "; color: var(--dim) }
}
</style>
<main>
`

// HTML returns the page as one file.
func (p Page) HTML() string {
	title := ""
	for _, block := range p {
		if h, ok := block.(Heading); ok {
			title = h.Text
			break
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, head, html.EscapeString(title))
	for _, block := range p {
		block.html(&b)
	}
	b.WriteString("</main>\n</html>\n")
	return b.String()
}

func (h Heading) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s\n", strings.Repeat("#", h.Level), escape(h.Text))
}

func (h Heading) html(b *strings.Builder) {
	fmt.Fprintf(b, "<h%d id=\"%s\">%s</h%d>\n", h.Level, h.anchor(), html.EscapeString(h.Text), h.Level)
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`)

// anchor is what GitHub makes of the heading.
func (h Heading) anchor() string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(h.Text), ""), " ", "-")
}

func (c Contents) markdown(b *strings.Builder) {
	for _, h := range c {
		fmt.Fprintf(b, "%s- [%s](#%s)\n", strings.Repeat("  ", h.Level-2), escape(h.Text), h.anchor())
	}
}

func (c Contents) html(b *strings.Builder) {
	b.WriteString("<nav aria-label=\"Contents\">\n<ul>\n")
	for i, h := range c {
		fmt.Fprintf(b, "<li><a href=\"#%s\">%s</a>", h.anchor(), html.EscapeString(h.Text))
		next := 2
		if i+1 < len(c) {
			next = c[i+1].Level
		}
		switch {
		case next > h.Level:
			b.WriteString("\n<ul>\n")
		case next < h.Level:
			b.WriteString("</li>\n</ul></li>\n")
		default:
			b.WriteString("</li>\n")
		}
	}
	b.WriteString("</ul>\n</nav>\n")
}

func (p Paragraph) markdown(b *strings.Builder) { fmt.Fprintln(b, escape(string(p))) }

func (p Paragraph) html(b *strings.Builder) {
	fmt.Fprintf(b, "<p>%s</p>\n", html.EscapeString(string(p)))
}

func (t Table) markdown(b *strings.Builder) {
	row := func(cells []string) {
		b.WriteByte('|')
		for _, c := range cells {
			fmt.Fprintf(b, " %s |", escape(c))
		}
		b.WriteByte('\n')
	}
	row(t.Header)
	for i := range t.Header {
		if i == 0 || t.Left {
			b.WriteString("|---")
		} else {
			b.WriteString("|--:")
		}
	}
	b.WriteString("|\n")
	for _, r := range t.Rows {
		row(r)
	}
}

// html has the roles of a table, which a phone's screen shows as a list of lines.
func (t Table) html(b *strings.Builder) {
	class := ""
	if t.Left {
		class = " class=\"left\""
	}
	fmt.Fprintf(b, "<table role=\"table\"%s>\n<thead role=\"rowgroup\"><tr role=\"row\">", class)
	for _, h := range t.Header {
		if h == "" {
			b.WriteString("<td role=\"cell\"></td>")
			continue
		}
		fmt.Fprintf(b, "<th role=\"columnheader\">%s</th>", html.EscapeString(h))
	}
	b.WriteString("</tr></thead>\n<tbody role=\"rowgroup\">\n")
	for _, r := range t.Rows {
		b.WriteString("<tr role=\"row\">")
		for i, c := range r {
			label := ""
			if i > 0 && t.Header[i] != "" {
				label = fmt.Sprintf(" data-label=\"%s\"", html.EscapeString(t.Header[i]))
			}
			fmt.Fprintf(b, "<td role=\"cell\"%s>%s</td>", label, html.EscapeString(c))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody>\n</table>\n")
}

func (p Picture) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "![%s](%s)\n", escape(p.Caption), p.File)
}

func (p Picture) html(b *strings.Builder) {
	fmt.Fprintf(b, "<figure>\n%s<figcaption>%s <a href=\"%s\" aria-label=\"%[3]s: the picture alone\">The picture alone.</a></figcaption>\n</figure>\n", p.SVG, html.EscapeString(p.Caption), p.File)
}

// escape keeps text from being read as markup.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "<", "&lt;", "[", `\[`, "`", "\\`").Replace(s)
}
