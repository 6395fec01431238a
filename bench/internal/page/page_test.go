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
	for _, want := range []string{"<title>Speed &amp; size</title>", "<h1>Speed &amp; size</h1>", "<p>a &lt; b, a_b|c</p>",
		"<tr><th>what</th><th>ms</th></tr>\n<tr><td>x*</td><td>1.5</td></tr>", `<table class="left">`,
		"<figure>\n<svg></svg>\n<figcaption>time by size</figcaption>", "max-width: 100%;"} {
		require.Contains(t, h, want)
	}
}
