// Package vectors embeds the test vectors of the scheme and their JSON Schemas, for
// programs that check another implementation. README.md in this folder says how to
// read them, and how every value is derived from the published seed. The keys in them
// are secret to nobody.
package vectors

import "embed"

// FS holds NAME.json for each kind of test, and schemas/NAME.json.
//
//go:embed *.json schemas/*.json
var FS embed.FS
