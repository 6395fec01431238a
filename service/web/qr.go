package web

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// QR is a code as a page draws it: the path of an SVG whose view is Size by Size modules,
// with a quiet zone around it.
type QR struct {
	Path string `json:"path"`
	Size int    `json:"size"`
}

// quiet is how many light modules are around a code, by ISO/IEC 18004.
const quiet = 4

// NewQR draws a text, with error correction of level L: a screen is not torn, and larger
// modules are read from further away.
func NewQR(text string) (QR, error) {
	c, err := qr.Encode(text, qr.L)
	if err != nil {
		return QR{}, fmt.Errorf("web: a QR code: %w", err)
	}
	var b strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			run := 0
			for x+run < c.Size && c.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	return QR{b.String(), c.Size + 2*quiet}, nil
}
