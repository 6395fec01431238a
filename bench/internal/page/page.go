// Package page is a page of headings, paragraphs, tables and pictures that can be written
// as Markdown and as HTML.
package page

import (
	"fmt"
	"html"
	"strings"
)

// Page is a list of blocks, in order.
type Page []Block

// Block is a Heading, Paragraph, Table or Picture.
type Block interface {
	markdown(*strings.Builder)
	html(*strings.Builder)
}

// Heading is of level 1, 2 or 3.
type Heading struct {
	Level int
	Text  string
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
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2; margin-top: 2rem }
table { border-collapse: collapse; font-size: 14px; margin: 1rem 0; display: block; overflow-x: auto }
th, td { border-bottom: 1px solid #d8dee4; padding: .2rem .7rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child, .left th, .left td { text-align: left }
th { border-bottom: 2px solid #8c959f }
figure { margin: 1.5rem 0 }
figure svg { max-width: 100%%; height: auto }
figcaption { font-size: 14px; color: #57606a }
</style>
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
	return b.String()
}

func (h Heading) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s\n", strings.Repeat("#", h.Level), escape(h.Text))
}

func (h Heading) html(b *strings.Builder) {
	fmt.Fprintf(b, "<h%d>%s</h%d>\n", h.Level, html.EscapeString(h.Text), h.Level)
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

func (t Table) html(b *strings.Builder) {
	row := func(tag string, cells []string) {
		b.WriteString("<tr>")
		for _, c := range cells {
			fmt.Fprintf(b, "<%s>%s</%s>", tag, html.EscapeString(c), tag)
		}
		b.WriteString("</tr>\n")
	}
	if t.Left {
		b.WriteString("<table class=\"left\">\n")
	} else {
		b.WriteString("<table>\n")
	}
	row("th", t.Header)
	for _, r := range t.Rows {
		row("td", r)
	}
	b.WriteString("</table>\n")
}

func (p Picture) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "![%s](%s)\n", escape(p.Caption), p.File)
}

func (p Picture) html(b *strings.Builder) {
	fmt.Fprintf(b, "<figure>\n%s<figcaption>%s</figcaption>\n</figure>\n", p.SVG, html.EscapeString(p.Caption))
}

// escape keeps text from being read as markup.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "<", "&lt;", "[", `\[`, "`", "\\`").Replace(s)
}
