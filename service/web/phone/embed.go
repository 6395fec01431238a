//go:build phone

package phone

import (
	"embed"
	"io/fs"
)

//go:embed built
var built embed.FS

func init() {
	sub, err := fs.Sub(built, "built")
	if err != nil {
		panic(err) // the folder's name is valid
	}
	embedded = sub
}
