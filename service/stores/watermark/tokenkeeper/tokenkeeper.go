// Package tokenkeeper keeps the mark of a store in an HSM: in a data object of a PKCS #11
// token, which no restore of the store turns back, and whoever has the disks cannot
// write.
//
// # Security
//
// Whoever can log in to the token can write the mark. A token that is restored from a
// backup of its own has the mark of that time: the newer store is then refused, and so is
// every other one ([watermark.BeginRecovery]).
package tokenkeeper

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// Keeper is a [watermark.Keeper] in a token. One node uses a label at a time: what two of
// them save at once, or what one of them saves over the other's, has the store refused.
type Keeper struct {
	token *hsm.Token
	label string
}

var _ watermark.Keeper = (*Keeper)(nil)

var errNothing = errors.New("tokenkeeper: a nil keeper, token or context, or no label")

// New returns a keeper of the mark under a label of a token. There need not be a mark
// yet. Not every token keeps data objects ([hsm.ErrUnsupported], by Save); see
// docs/hsm.md.
func New(token *hsm.Token, label string) (*Keeper, error) {
	if token == nil || label == "" {
		return nil, errNothing
	}
	return &Keeper{token, label}, nil
}

// Load implements [watermark.Keeper].
func (k *Keeper) Load(ctx context.Context) ([]byte, error) {
	if k == nil || k.token == nil || ctx == nil {
		return nil, errNothing
	}
	mark, err := k.token.Data(ctx, k.label)
	switch {
	case errors.Is(err, hsm.ErrNoData), err == nil && len(mark) == 0:
		return nil, fmt.Errorf("%w: %q in the token", watermark.ErrNoMark, k.label)
	case err != nil:
		return nil, fmt.Errorf("tokenkeeper: %w", err)
	}
	return mark, nil
}

// Save implements [watermark.Keeper]. A save that was given up ([hsm.ErrUnavailable]) may
// go on in the module; until it has ended no other begins.
func (k *Keeper) Save(ctx context.Context, mark []byte) error {
	if k == nil || k.token == nil || ctx == nil {
		return errNothing
	}
	if err := k.token.SetData(ctx, k.label, mark); err != nil {
		return fmt.Errorf("tokenkeeper: %w", err)
	}
	return nil
}

// Remove takes the mark away. An empty data object remains, which is none.
func (k *Keeper) Remove(ctx context.Context) error { return k.Save(ctx, nil) }
