// Package chart draws the pictures of the report as SVG: lines on a logarithmic axis,
// stacked bars, and groups of columns.
package chart

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// Colours that people with the common kinds of colour blindness tell apart
// (M. Okabe, K. Ito, "Color Universal Design", 2008), without their yellow.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000"}

func colour(i int) string { return colours[i%len(colours)] }

const (
	ink   = "#1b1f24"
	faint = "#d8dee4"
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
	fmt.Fprintf(c, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", width, height)
	c.text(16, 26, "start", "bold", ink, title)
	return c
}

func (c *canvas) done() []byte {
	c.WriteString("</svg>\n")
	return c.Bytes()
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// text is anchored at its start, middle or end.
func (c *canvas) text(x, y float64, anchor, weight, fill, text string) {
	fmt.Fprintf(c, `<text x="%g" y="%g" text-anchor="%s" font-weight="%s" fill="%s">%s</text>`+"\n",
		round(x), round(y), anchor, weight, fill, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string, width float64, dash string) {
	fmt.Fprintf(c, `<line x1="%g" y1="%g" x2="%g" y2="%g" stroke="%s" stroke-width="%g" stroke-dasharray="%s"/>`+"\n",
		round(x1), round(y1), round(x2), round(y2), stroke, width, dash)
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
