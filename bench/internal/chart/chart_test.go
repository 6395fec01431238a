package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// texts returns what an SVG file says, after checking that it is well-formed and that no
// coordinate is out of its bounds or not a number.
func texts(t *testing.T, svg []byte) []string {
	var out []string
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for inText := false; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch e := token.(type) {
		case xml.StartElement:
			inText = e.Name.Local == "text"
			for _, a := range e.Attr {
				require.NotContains(t, a.Value, "NaN", "%s", svg)
				require.NotContains(t, a.Value, "Inf", "%s", svg)
			}
		case xml.CharData:
			if inText {
				out = append(out, string(e))
			}
		case xml.EndElement:
			inText = false
		}
	}
	return out
}

var lines = []Line{
	{"fast", map[int]float64{2048: 260e-6, 3072: 820e-6, 4096: 1.7e-3}},
	{"slow", map[int]float64{2048: 2.2e-3, 3072: 17e-3, 4096: 42e-3}},
	{"slow too", map[int]float64{2048: 2.3e-3, 4096: 41.9e-3}},
	{"absent", nil},
}

func TestLines(t *testing.T) {
	got := texts(t, Lines("Time <by> size", "bits", lines))
	for _, want := range []string{"Time <by> size", "2048", "3072", "4096", "bits", "fast  1.70 ms", "slow  42.0 ms", "slow too  41.9 ms", "1 ms", "200 µs"} {
		require.Contains(t, got, want)
	}
	texts(t, Lines("One", "bits", []Line{{"x", map[int]float64{2048: 1e-3}}}))
	require.Contains(t, texts(t, Lines("Nothing", "bits", nil)), "nothing was measured")
}

func TestSpread(t *testing.T) {
	var in []label
	for _, y := range []float64{100, 101, 102, 300, 40, 301} {
		in = append(in, label{y: y})
	}
	out := spread(in, 17)
	for i := 1; i < len(out); i++ {
		require.GreaterOrEqual(t, out[i].y-out[i-1].y, 17-1e-9)
	}
	require.InDelta(t, 40, out[0].y, 1e-9, "what is alone stays")
	require.InDelta(t, 101, (out[1].y+out[2].y+out[3].y)/3, 1e-9, "a block stays where it is on average")
}

func TestStacked(t *testing.T) {
	got := texts(t, Stacked("Parts", []Bar{
		{"tandem", []Part{{"device", 1e-3}, {"server", 3e-3}}},
		{"other", []Part{{"signature", 8e-3}}},
	}))
	for _, want := range []string{"tandem", "other", "4.00 ms", "8.00 ms", "device  1.00 ms (25 %)", "server  3.00 ms (75 %)", "signature"} {
		require.Contains(t, got, want)
	}
	texts(t, Stacked("Nothing", nil))
}

func TestScaling(t *testing.T) {
	got := texts(t, Scaling("Cores", []Group{{Name: "partials", Cores: []int{1, 2}, Rate: []float64{1000, 1900}}}))
	for _, want := range []string{"partials", "1 core", "2 cores", "1900", "× 1.90"} {
		require.Contains(t, got, want)
	}
	texts(t, Scaling("Nothing", nil))
}

func TestDuration(t *testing.T) {
	for s, want := range map[float64]string{0: "0", 1.234e-9: "1.23 ns", 12.34e-6: "12.3 µs", 123.4e-3: "123 ms", 12: "12.0 s", 1234: "1234 s"} {
		require.Equal(t, want, Duration(s))
	}
}

func TestTicks(t *testing.T) {
	ticks := logTicks(260e-6, 42e-3)
	require.InEpsilon(t, 200e-6, ticks[0], 1e-9)
	require.InEpsilon(t, 50e-3, ticks[len(ticks)-1], 1e-9)
	for _, highest := range []float64{0.7, 1, 99, 3500} {
		n := math.Ceil(highest / linearStep(highest))
		require.True(t, n >= 2 && n <= 6, "%g in %g steps", highest, n)
	}
}

// TestDark: whatever is drawn in ink, and the paper, has a colour for dark paper, too;
// what has its own colour can be seen on both.
func TestDark(t *testing.T) {
	for _, svg := range [][]byte{
		Lines("x", "bits", lines), Stacked("x", []Bar{{"a", []Part{{"b", 1}}}}), Scaling("x", []Group{{"a", []int{1, 2}, []float64{1, 2}}}),
	} {
		text := string(svg)
		_, dark, found := strings.Cut(text, "@media (prefers-color-scheme:dark){")
		require.True(t, found)
		dark, body, _ := strings.Cut(dark, "</style>")
		for _, m := range regexp.MustCompile(`class="(\w+)"`).FindAllStringSubmatch(body, -1) {
			if m[1] != light {
				require.Contains(t, dark, "."+m[1]+"{", "class %s", m[1])
			}
		}
		for _, m := range regexp.MustCompile(`(?:fill|stroke)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			require.Contains(t, append(colours, "none"), m[1])
		}
	}
}
