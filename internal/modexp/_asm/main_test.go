package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestUpToDate compares the committed assembly with what the generator writes.
func TestUpToDate(t *testing.T) {
	for name, want := range files() {
		have, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what is generated: run go generate in internal/modexp", name)
		}
	}
}

// TestShapesRefused tries layouts for which the proofs do not hold.
func TestShapesRefused(t *testing.T) {
	for _, s := range []shape{
		{2069, 5, 40}, // N/R is not below 2^-12
		{2048, 4, 40}, // more digits than lanes
		{4148, 11, 81},
		{500, 2, 10},
		{512, 8, 12},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v was accepted", s)
				}
			}()
			ifmaFile(s)
		}()
	}
}
