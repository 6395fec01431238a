//go:build linux

package memorytest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/big"
	"os"
	"strings"

	"github.com/stretchr/testify/require"
)

// Words returns the 64-bit words, read in little-endian order, in which a secret shows in
// memory: 8 bytes of it as it is, which for a number is big-endian; the limbs of a
// number; its digits of 52 bits. Words too short to identify the secret are left out.
func Words(secret []byte) []uint64 {
	var words []uint64
	for i := 0; i+8 <= len(secret); i += 8 {
		words = append(words, binary.LittleEndian.Uint64(secret[i:]))
		words = append(words, binary.BigEndian.Uint64(secret[len(secret)-i-8:]))
	}
	x := new(big.Int).SetBytes(secret)
	mask := new(big.Int).SetUint64(1<<52 - 1)
	for x.BitLen() >= 52 {
		words = append(words, new(big.Int).And(x, mask).Uint64())
		x.Rsh(x, 52)
	}
	long := words[:0]
	for _, w := range words {
		// A digit has 52 bits. A word with its upper or lower half zero says too little.
		if w>>40 != 0 && w&0xffffff != 0 {
			long = append(long, w)
		}
	}
	return long
}

// Search counts for each secret, over all runs, how many different words of it are
// anywhere in the child's memory. A word occurs by chance with probability 10^8 * 2^-52
// at most.
func (p *Process) Search(runs ...map[string][]byte) map[string]int {
	p.t.Helper()
	type owner struct {
		name  string
		found bool
	}
	owners := make(map[uint64]*owner)
	// Most words of memory are sorted out by their lower 20 bits.
	filter := make([]bool, 1<<20)
	for _, secrets := range runs {
		for name, secret := range secrets {
			words := Words(secret)
			require.NotEmpty(p.t, words, name)
			for _, w := range words {
				owners[w] = &owner{name: name}
				filter[w&(1<<20-1)] = true
			}
		}
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	defer memory.Close()
	searched := 0
	b := make([]byte, 1<<20)
	for _, r := range p.regions() {
		w := uint64(0) // the last 8 bytes, across reads
		for from := r.from; from < r.from+r.size; {
			// What cannot be read (a guard page) holds nothing either.
			n, err := memory.ReadAt(b[:min(int64(len(b)), r.from+r.size-from)], from)
			for _, v := range b[:n] {
				w = w>>8 | uint64(v)<<56
				if filter[w&(1<<20-1)] {
					if o := owners[w]; o != nil {
						o.found = true
					}
				}
			}
			searched += n
			from += int64(n)
			if err != nil {
				break
			}
		}
	}
	require.Greater(p.t, searched, 1<<20, "bytes of memory")
	found := make(map[string]int)
	for _, o := range owners {
		if o.found {
			found[o.name]++
		}
	}
	return found
}

type region struct{ from, size int64 }

// regions returns the memory that the child can write to.
func (p *Process) regions() []region {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	defer f.Close()
	var out []region
	for s := bufio.NewScanner(f); s.Scan(); {
		var from, to uint64
		var mode string
		_, err := fmt.Sscanf(s.Text(), "%x-%x %s", &from, &to, &mode)
		require.NoError(p.t, err)
		if strings.HasPrefix(mode, "rw") && !strings.Contains(s.Text(), "[v") {
			out = append(out, region{int64(from), int64(to - from)})
		}
	}
	return out
}
