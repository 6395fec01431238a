package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// listChecks are for a store that is a [limiter.Lister]. On others they do nothing.
var listChecks = []check{
	{"ListOrder", onListers(listOrder)},
	{"ListPrefix", onListers(listPrefix)},
	{"ListAfter", onListers(listAfter)},
	{"ListLimits", onListers(listLimits)},
	{"ListContextDone", onListers(listContextDone)},
	{"ListMany", onListers(listMany)},
	{"ListElsewhere", onListers(listElsewhere)},
	{"ListDuringWrites", onListers(listDuringWrites)},
}

func onListers(run func(t tester, h *handles, ls []limiter.Lister)) func(tester, *handles) {
	return func(t tester, h *handles) {
		if ls := listers(h); ls != nil {
			run(t, h, ls)
		}
	}
}

// listers returns the handles as Listers, or nil if they are none.
func listers(h *handles) (out []limiter.Lister) {
	for _, s := range h.take(nodes) {
		l, ok := s.(limiter.Lister)
		if !ok {
			return nil
		}
		out = append(out, l)
	}
	return out
}

// pages lists in pages of limit until one is empty, on each lister in turn.
func pages(t tester, ls []limiter.Lister, prefix, after string, limit int) (all []string) {
	t.Helper()
	for i := 0; ; i++ {
		page, err := ls[i%len(ls)].List(context.Background(), prefix, after, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		if len(page) == 0 {
			return all
		}
		all, after = append(all, page...), page[len(page)-1]
		require.LessOrEqual(t, len(all), 1<<16, "the list has no end")
	}
}

// expected is what a listing of ids must show.
func expected(ids []string, prefix, after string) (out []string) {
	for _, id := range slices.Sorted(slices.Values(ids)) {
		if strings.HasPrefix(id, prefix) && id > after {
			out = append(out, id)
		}
	}
	return out
}

func createOdd(t tester, s limiter.Store) {
	for _, i := range rand.Perm(len(oddIDs)) {
		create(t, s, oddIDs[i], "value")
	}
}

func listOrder(t tester, h *handles, ls []limiter.Lister) {
	require.Empty(t, pages(t, ls, "", "", 10), "an empty store lists ids")
	createOdd(t, h.take(1)[0])
	for _, limit := range []int{1, 2, 3, 7, len(oddIDs) - 1, len(oddIDs), len(oddIDs) + 1, 1 << 20} {
		require.Equal(t, expected(oddIDs, "", ""), pages(t, ls, "", "", limit), "pages of %d", limit)
	}
	swap(t, h.take(1)[0], "a", "a value that came later")
	require.Equal(t, expected(oddIDs, "", ""), pages(t, ls, "", "", 1000), "a swap moved an id")
}

func listPrefix(t tester, h *handles, ls []limiter.Lister) {
	createOdd(t, h.take(1)[0])
	prefixes := append([]string{"b", "x", "xx", "\x00\x00\x00", strings.Repeat("y", limiter.MaxID)}, oddIDs...)
	for _, prefix := range prefixes {
		for _, limit := range []int{1, 1000} {
			require.Equal(t, expected(oddIDs, prefix, ""), pages(t, ls, prefix, "", limit), "prefix %q", prefix)
		}
	}
}

func listAfter(t tester, h *handles, ls []limiter.Lister) {
	createOdd(t, h.take(1)[0])
	for _, after := range append([]string{"b", "a\x00\x00", "zzz", strings.Repeat("\xff", limiter.MaxID)}, oddIDs...) {
		require.Equal(t, expected(oddIDs, "", after), pages(t, ls, "", after, 1000), "after %q", after)
		require.Equal(t, expected(oddIDs, "a", after), pages(t, ls, "a", after, 2), "a after %q", after)
	}
}

func listLimits(t tester, h *handles, ls []limiter.Lister) {
	create(t, h.take(1)[0], "id", "value")
	long := strings.Repeat("x", limiter.MaxID+1)
	for _, c := range []struct {
		prefix, after string
		limit         int
	}{{"", "", 0}, {"", "", -1}, {long, "", 1}, {"", long, 1}} {
		ids, err := ls[0].List(context.Background(), c.prefix, c.after, c.limit)
		require.ErrorIs(t, err, limiter.ErrLimit)
		require.Empty(t, ids)
	}
}

func listContextDone(t tester, h *handles, ls []limiter.Lister) {
	create(t, h.take(1)[0], "id", "value")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		ids, err := ls[0].List(ctx, "", "", 1)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, ids)
	}
}

// many creates n records of different lengths, a few of them long, on all handles at
// once.
func many(t tester, h *handles, n int) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, fmt.Sprintf("key/%d/%s", i*7919%n, strings.Repeat("x", i%40)))
	}
	stores := h.take(nodes)
	const creators = 64
	errs := together(creators, func(c int) error {
		for i := c; i < n; i += creators {
			size := 20
			if i%100 == 0 {
				size = limiter.MaxValue
			}
			if err := stores[c%nodes].Create(context.Background(), ids[i], make([]byte, size)); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
	return ids
}

func listMany(t tester, h *handles, ls []limiter.Lister) {
	ids := many(t, h, 2500)
	for _, limit := range []int{100, 999, 1000, 1001, 1 << 20} {
		require.Equal(t, expected(ids, "", ""), pages(t, ls, "", "", limit), "pages of %d", limit)
	}
	require.Equal(t, expected(ids, "key/1", ""), pages(t, ls, "key/1", "", 64))
	var all []string
	for id, err := range limiter.IDs(context.Background(), ls[0], "key/2") {
		require.NoError(t, err)
		all = append(all, id)
	}
	require.Equal(t, expected(ids, "key/2", ""), all)
}

// listElsewhere: what a Create on one node confirmed is in the next page on every other.
func listElsewhere(t tester, h *handles, ls []limiter.Lister) {
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprint("id ", i))
		create(t, h.take(nodes)[i%nodes], ids[i], "value")
		for _, l := range ls {
			page, err := l.List(context.Background(), "", "", 1000)
			require.NoError(t, err)
			require.Equal(t, expected(ids, "", ""), page)
		}
	}
}

// listDuringWrites: while others create and swap, every page is in order, a record that
// was there from the start is listed exactly once, and a page has every record in its
// range whose creation was confirmed before List was called.
func listDuringWrites(t tester, h *handles, ls []limiter.Lister) {
	const writes = 100 // of each node
	stores := h.take(nodes)
	first := many(t, h, 300)
	var mu sync.Mutex
	confirmed := make(map[string]bool)
	var writers sync.WaitGroup
	writers.Add(nodes)
	written := make(chan struct{})
	go func() {
		writers.Wait()
		close(written)
	}()
	errs := together(nodes+1, func(i int) error {
		if i < nodes {
			defer writers.Done()
			return writeIDs(stores[i], i, writes, first, &mu, confirmed)
		}
		for round, last := 0, false; !last; round++ {
			select {
			case <-written:
				last = true // once more, to see the end
			default:
			}
			if err := listOnce(ls, round, first, &mu, confirmed); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
}

// writeIDs creates records among the first ones, and swaps the first ones.
func writeIDs(s limiter.Store, node, writes int, first []string, mu *sync.Mutex, confirmed map[string]bool) error {
	ctx := context.Background()
	for n := range writes {
		id := fmt.Sprintf("key/%d/new %d of %d", rand.IntN(len(first)), n, node)
		if err := s.Create(ctx, id, []byte("value")); err != nil {
			return err
		}
		mu.Lock()
		confirmed[id] = true
		mu.Unlock()
		id = first[rand.IntN(len(first))]
		value, version, err := s.Load(ctx, id)
		if err != nil {
			return err
		}
		if err := s.Swap(ctx, id, version, value); err != nil && !errors.Is(err, limiter.ErrConflict) {
			return err
		}
	}
	return nil
}

func listOnce(ls []limiter.Lister, round int, first []string, mu *sync.Mutex, confirmed map[string]bool) error {
	listed := make(map[string]bool)
	after := ""
	for i := round; ; i++ {
		mu.Lock()
		due := make([]string, 0, len(confirmed))
		for id := range confirmed {
			due = append(due, id)
		}
		mu.Unlock()
		page, err := ls[i%len(ls)].List(context.Background(), "key/", after, 50)
		if err != nil {
			return err
		}
		begin, end := after, "\xff" // the range that the page covers
		if len(page) > 0 {
			end = page[len(page)-1]
		}
		for _, id := range page {
			if id <= after {
				return fmt.Errorf("%q listed after %q", id, after)
			}
			after, listed[id] = id, true
		}
		for _, id := range due {
			if begin < id && id <= end && !listed[id] {
				return fmt.Errorf("%q was created and not listed", id)
			}
		}
		if len(page) == 0 {
			break
		}
	}
	for _, id := range first {
		if !listed[id] {
			return fmt.Errorf("%q was there at the start and not listed", id)
		}
	}
	return nil
}

func listSurvives(t tester, h *handles, _ []limiter.Lister) {
	createOdd(t, h.take(1)[0])
	h.close()
	require.Equal(t, expected(oddIDs, "", ""), pages(t, listers(h), "", "", 5))
}
