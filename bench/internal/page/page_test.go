package page

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var sample = Page{
	Heading{1, "Speed & size"},
	Paragraph("a < b, a_b|c"),
	Table{Header: []string{"what", "ms"}, Rows: [][]string{{"x*", "1.5"}}},
	Table{Header: []string{"what", "why"}, Left: true},
	Picture{"time.svg", "time by size", []byte("<svg></svg>\n")},
}

func TestMarkdown(t *testing.T) {
	require.Equal(t, `# Speed & size

a &lt; b, a\_b\|c

| what | ms |
|---|--:|
| x\* | 1.5 |

| what | why |
|---|---|

![time by size](time.svg)
`, sample.Markdown())
}

func TestHTML(t *testing.T) {
	h := sample.HTML()
	for _, want := range []string{"<title>Speed &amp; size</title>", `<h1 id="speed--size">Speed &amp; size</h1>`, "<p>a &lt; b, a_b|c</p>",
		`<tr role="row"><th role="columnheader">what</th><th role="columnheader">ms</th></tr>`,
		`<tr role="row"><td role="cell">x*</td><td role="cell" data-label="ms">1.5</td></tr>`, `<table role="table" class="left">`,
		"<figure>\n<svg></svg>\n<figcaption>time by size <a href=\"time.svg\"", "max-width: 100%;"} {
		require.Contains(t, h, want)
	}
}

func TestContents(t *testing.T) {
	c := Page{Heading{1, "All"}, Heading{2, "First part"}, Heading{3, "a/b_c"}, Heading{3, "d"}, Heading{2, "Last"}}.Contents()
	p := Page{c}
	require.Equal(t, "- [First part](#first-part)\n  - [a/b\\_c](#ab_c)\n  - [d](#d)\n- [Last](#last)\n", p.Markdown())
	require.Contains(t, p.HTML(), "<ul>\n<li><a href=\"#first-part\">First part</a>\n<ul>\n<li><a href=\"#ab_c\">a/b_c</a></li>\n"+
		"<li><a href=\"#d\">d</a></li>\n</ul></li>\n<li><a href=\"#last\">Last</a></li>\n</ul>\n</nav>")
	// The last one may be of level 3.
	require.Contains(t, Page{c[:2]}.HTML(), "</li>\n</ul></li>\n</ul>\n</nav>")
}
