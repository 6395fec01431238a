// Package openapi has the description of the relying-party API for machines: an OpenAPI
// document (3.0.3) of what is served, for integrators who make their client from it.
//
// It is strict where it can be. What it cannot say is in package rpv2 and package rpv3: a
// digest has the length of its hash, and what is shown has no control characters.
package openapi

import _ "embed"

//go:embed openapi.yaml
var document []byte

// YAML returns the document.
func YAML() []byte { return append([]byte(nil), document...) }
