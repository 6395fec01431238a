// Package chart draws the pictures of the report as SVG: lines on a logarithmic axis,
// stacked bars, and groups of columns.
package chart

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// Colours that people with the common kinds of colour blindness tell apart (M. Okabe, K.
// Ito, "Color Universal Design", 2008), without their yellow, and with others in place of
// black, on paper of either kind.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#a6761d"}

func colour(i int) string { return colours[i%len(colours)] }

// Classes of what is drawn, with colours for light and dark paper. In a page they are the
// same for all pictures.
const (
	ink   = "ink"
	light = "light" // on a colour
	faint = "faint"
	style = "<style>.ink{fill:#1b1f24}.light{fill:#fff}.paper{fill:#fff}.faint{stroke:#d8dee4}.dash{stroke:#1b1f24}" +
		"@media (prefers-color-scheme:dark){.ink{fill:#e6e6e6}.paper{fill:#161616}.faint{stroke:#444}.dash{stroke:#e6e6e6}}</style>"
)

// canvas is an SVG file being written.
type canvas struct {
	bytes.Buffer
	width, height float64
}

func newCanvas(width, height float64, title string) *canvas {
	c := &canvas{width: width, height: height}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img" font-family="Helvetica, Arial, sans-serif" font-size="13">`+"\n",
		width, height, width, height)
	fmt.Fprintf(c, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(c, "%s\n"+`<rect class="paper" width="%g" height="%g"/>`+"\n", style, width, height)
	c.text(16, 26, "start", "bold", ink, title)
	return c
}

func (c *canvas) done() []byte {
	c.WriteString("</svg>\n")
	return c.Bytes()
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// text is anchored at its start, middle or end.
func (c *canvas) text(x, y float64, anchor, weight, class, text string) {
	fmt.Fprintf(c, `<text class="%s" x="%g" y="%g" text-anchor="%s" font-weight="%s">%s</text>`+"\n",
		class, round(x), round(y), anchor, weight, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string, width float64, dash string) {
	fmt.Fprintf(c, `<line class="%s" x1="%g" y1="%g" x2="%g" y2="%g" stroke-width="%g" stroke-dasharray="%s"/>`+"\n",
		class, round(x1), round(y1), round(x2), round(y2), width, dash)
}

func (c *canvas) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(c, `<rect x="%g" y="%g" width="%g" height="%g" fill="%s"/>`+"\n", round(x), round(y), round(w), round(h), fill)
}

// Duration writes seconds with three digits and the unit that suits.
func Duration(seconds float64) string {
	switch {
	case seconds == 0:
		return "0"
	case seconds < 1e-6:
		return digits(seconds*1e9) + " ns"
	case seconds < 1e-3:
		return digits(seconds*1e6) + " µs"
	case seconds < 1:
		return digits(seconds*1e3) + " ms"
	}
	return digits(seconds) + " s"
}

// digits writes a positive number with three significant digits, more where there are
// more before the point.
func digits(x float64) string {
	return fmt.Sprintf("%.*f", max(0, 2-int(math.Floor(math.Log10(x)))), x)
}
