package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/proxytest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// networkChecks are for a store that reaches its records over TCP. On others they do
// nothing.
var networkChecks = []check{
	{"LostDuringSwap", onNetwork(lostDuringSwap)},
	{"LostDuringCreate", onNetwork(lostDuringCreate)},
	{"LostDuringLoad", onNetwork(lostDuringLoad)},
	{"LostDuringList", onNetwork(lostDuringList)},
	{"LateSwap", onNetwork(lateSwap)},
	{"LateCreate", onNetwork(lateCreate)},
	{"Unreachable", onNetwork(unreachable)},
}

// line is the way of one handle to the server.
type line struct {
	*proxytest.Proxy
	far   limiter.Store // behind the proxy
	near  limiter.Store // another node, which nothing disturbs
	every bool
}

func onNetwork(run func(t tester, l *line)) func(tester, *handles) {
	return func(t tester, h *handles) {
		if h.db.OpenAt == nil {
			return
		}
		p, err := proxytest.Listen(h.db.Server)
		require.NoError(t, err)
		defer p.Close()
		near := h.take(1)[0]
		far := h.db.OpenAt(p.Address())
		require.False(t, same(far, near), "OpenAt returned a handle that is open already")
		h.opened = append(h.opened, far)
		run(t, &line{p, far, near, h.db.EveryByte})
	}
}

// hangs is longer than any call takes that does not hang.
const hangs = time.Minute

// some is at how many places a connection is disturbed in each direction.
const some = 6

// moments are numbers of bytes between 0 and n: all of them, or the ends and others that
// differ from run to run.
func (l *line) moments(n int) (out []int) {
	if l.every || n <= some {
		for i := range n {
			out = append(out, i)
		}
		return out
	}
	out = []int{0, n - 1}
	for len(out) < some {
		out = append(out, rand.IntN(n))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sizes returns how many bytes a call sends and receives. The first call may connect.
func (l *line) sizes(t tester, call func(ctx context.Context)) (sizes [2]int) {
	t.Helper()
	call(context.Background())
	before := [2]int{l.Passed(proxytest.ToServer), l.Passed(proxytest.ToClient)}
	call(context.Background())
	for d := range sizes {
		sizes[d] = l.Passed(proxytest.Direction(d)) - before[d]
		require.Positive(t, sizes[d], "a call sends and receives nothing through the address that OpenAt was given")
	}
	return sizes
}

// disturb calls call again and again. At each moment of its way, in each direction, the
// connection is once cut until the call has returned; once cut so that the store may
// connect anew at once; and once the call's context is cancelled. After each the store
// must find back to its server.
func (l *line) disturb(t tester, call func(ctx context.Context)) {
	t.Helper()
	sizes := l.sizes(t, call)
	for d, size := range sizes {
		for _, moment := range l.moments(size) {
			for kind := range 3 {
				ctx, cancel := context.WithTimeout(context.Background(), hangs)
				spring := []func(){l.Cut, l.Break, cancel}[kind]
				trap := l.At(proxytest.Direction(d), moment, spring)
				call(ctx)
				hung := errors.Is(ctx.Err(), context.DeadlineExceeded)
				cancel()
				sprung := l.Disarm(trap)
				l.Heal()
				require.False(t, hung, "a call hangs when its connection is cut")
				require.True(t, sprung || moment > 0, "a call went another way")
				l.returns(t)
				call(context.Background()) // what is once for each connection is done
			}
		}
	}
}

// returns waits until the handle reaches its server again. What it says meanwhile is that
// it does not know.
func (l *line) returns(t tester) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	defer cancel()
	for {
		_, _, err := l.far.Load(ctx, "nobody")
		if errors.Is(err, limiter.ErrNotFound) {
			return
		}
		require.Error(t, err)
		requireUnknown(t, err)
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			require.Fail(t, "the store does not find back to its server", "%v", err)
		}
	}
}

// requireUnknown refuses an error that says what became of a call.
func requireUnknown(t tester, err error) {
	t.Helper()
	for _, known := range []error{limiter.ErrConflict, limiter.ErrNotFound, limiter.ErrLimit} {
		require.NotErrorIs(t, err, known, "nobody can know")
	}
}

// requireSwapOutcome holds a Swap from "old" to "new" by the only writer to what it
// returned, and then writes over it. After an unknown result that may have happened, or
// happen still.
func requireSwapOutcome(t tester, s limiter.Store, id string, err error) {
	t.Helper()
	value, version := load(t, s, id)
	if err == nil {
		require.Equal(t, "new", string(value), "a write that was confirmed")
	} else {
		requireUnknown(t, err)
		require.Contains(t, []string{"old", "new"}, string(value))
	}
	err = s.Swap(context.Background(), id, version, []byte("next"))
	if errors.Is(err, limiter.ErrConflict) { // it happened meanwhile
		require.Equal(t, "old", string(value), "a write happened twice")
		value, version = load(t, s, id)
		require.Equal(t, "new", string(value))
		err = s.Swap(context.Background(), id, version, []byte("next"))
	}
	require.NoError(t, err)
	requireValue(t, s, id, "next")
}

// lostDuringSwap: a Swap whose connection is lost on the way has happened if it says so,
// and never reports its own write as the conflict of another.
func lostDuringSwap(t tester, l *line) {
	n := 0
	l.disturb(t, func(ctx context.Context) {
		n++
		id := fmt.Sprint("id ", n)
		create(t, l.near, id, "old")
		_, version := load(t, l.near, id)
		requireSwapOutcome(t, l.near, id, l.far.Swap(ctx, id, version, []byte("new")))
	})
}

func lostDuringCreate(t tester, l *line) {
	n := 0
	l.disturb(t, func(ctx context.Context) {
		n++
		id := fmt.Sprint("id ", n)
		if err := l.far.Create(ctx, id, []byte("value")); err != nil {
			requireUnknown(t, err)
			if err := l.near.Create(context.Background(), id, []byte("value")); err != nil {
				require.ErrorIs(t, err, limiter.ErrConflict)
			}
		}
		requireValue(t, l.near, id, "value")
	})
}

// lostDuringLoad: what a Load returns is whole, and what it could not read is not taken
// for absent.
func lostDuringLoad(t tester, l *line) {
	value := strings.Repeat("v", 300)
	create(t, l.near, "id", value)
	_, version := load(t, l.near, "id")
	l.disturb(t, func(ctx context.Context) {
		got, of, err := l.far.Load(ctx, "id")
		if err != nil {
			requireUnknown(t, err)
			return
		}
		require.Equal(t, value, string(got))
		require.Equal(t, version, of)
	})
}

// lostDuringList: a page that could not be read is not taken for the end of the list.
func lostDuringList(t tester, l *line) {
	far, ok := l.far.(limiter.Lister)
	if !ok {
		return
	}
	var ids []string
	for i := range 30 {
		ids = append(ids, fmt.Sprint("id ", i))
		create(t, l.near, ids[i], "value")
	}
	ids = expected(ids, "", "")
	l.disturb(t, func(ctx context.Context) {
		page, err := far.List(ctx, "", "", 20)
		if err != nil {
			requireUnknown(t, err)
			return
		}
		require.NotEmpty(t, page, "the list ends")
		require.Equal(t, ids[:len(page)], page)
	})
}

// heldUp is how long another node's call waits for one that is held on its way, which may
// have a lock on the record by then. Only a machine that is very slow makes it wait for
// other reasons; less is checked then.
const heldUp = time.Second

// delay holds a call at each moment of its way to the server and cancels it. Then another
// node's call is made, and then what the first had sent may pass. It returns the numbers
// of the calls, from 1 on, that another one came before.
func (l *line) delay(t tester, call func(ctx context.Context) error, other func(ctx context.Context) error) (late []int) {
	t.Helper()
	n := 0
	// A call that nothing disturbs succeeds, sooner or later: on a machine that does not
	// get to a process for seconds, connections are given up, and then nobody knows.
	undisturbed := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, hangs)
		defer cancel()
		for {
			n++
			err := call(ctx)
			if err == nil {
				return
			}
			requireUnknown(t, err)
			require.NoError(t, ctx.Err(), "%v", err)
		}
	}
	sizes := l.sizes(t, undisturbed)
	for _, moment := range l.moments(sizes[proxytest.ToServer]) {
		ctx, cancel := context.WithTimeout(context.Background(), hangs)
		trap := l.At(proxytest.ToServer, moment, func() {
			l.Hold()
			cancel()
		})
		n++
		if err := call(ctx); err != nil {
			requireUnknown(t, err)
		}
		hung := errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		sprung := l.Disarm(trap)
		require.False(t, hung)
		require.True(t, sprung || moment > 0)
		ctx, cancel = context.WithTimeout(context.Background(), heldUp)
		if err := other(ctx); err == nil {
			late = append(late, n)
		} else {
			require.Error(t, ctx.Err(), "%v", err)
			requireUnknown(t, err)
		}
		cancel()
		l.Heal()
		l.returns(t)
		undisturbed(context.Background()) // what is once for each connection is done
	}
	require.NotEmpty(t, late, "every call of another node waits for one that is held on its way")
	time.Sleep(50 * time.Millisecond) // a store that is right needs no time here
	return late
}

// swapWith is swap with a context, for the only writer.
func swapWith(ctx context.Context, s limiter.Store, id, value string) error {
	_, version, err := s.Load(ctx, id)
	if err != nil {
		return err
	}
	return s.Swap(ctx, id, version, []byte(value))
}

// lateSwap: a Swap that reaches the server after its caller has given up, and after
// another node wrote, changes nothing.
func lateSwap(t tester, l *line) {
	n := 0
	late := l.delay(t, func(ctx context.Context) error {
		n++
		id := fmt.Sprint("id ", n)
		create(t, l.near, id, "old")
		_, version := load(t, l.near, id)
		return l.far.Swap(ctx, id, version, []byte("late"))
	}, func(ctx context.Context) error {
		id := fmt.Sprint("id ", n)
		err := swapWith(ctx, l.near, id, "other")
		if errors.Is(err, limiter.ErrConflict) {
			err = swapWith(ctx, l.near, id, "other") // it had arrived, and came before this one
		}
		return err
	})
	for _, i := range late {
		requireValue(t, l.near, fmt.Sprint("id ", i), "other")
	}
}

// lateCreate: nor does a Create.
func lateCreate(t tester, l *line) {
	n := 0
	late := l.delay(t, func(ctx context.Context) error {
		n++
		return l.far.Create(ctx, fmt.Sprint("id ", n), []byte("late"))
	}, func(ctx context.Context) error {
		id := fmt.Sprint("id ", n)
		err := l.near.Create(ctx, id, []byte("other"))
		if errors.Is(err, limiter.ErrConflict) {
			err = swapWith(ctx, l.near, id, "other") // it had arrived
		}
		return err
	})
	for _, i := range late {
		requireValue(t, l.near, fmt.Sprint("id ", i), "other")
	}
}

// unreachable: without its server a store knows nothing, and confirms nothing.
func unreachable(t tester, l *line) {
	create(t, l.far, "id", "old")
	_, version := load(t, l.far, "id")
	l.Cut()
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), hangs)
		errs := []error{l.far.Create(ctx, "new", nil), l.far.Swap(ctx, "id", version, []byte("new"))}
		_, _, err := l.far.Load(ctx, "id")
		errs = append(errs, err)
		if far, ok := l.far.(limiter.Lister); ok {
			_, err := far.List(ctx, "", "", 10)
			errs = append(errs, err)
		}
		require.NoError(t, ctx.Err(), "calls hang while the server is away")
		cancel()
		for _, err := range errs {
			require.Error(t, err)
			requireUnknown(t, err)
		}
	}
	l.Heal()
	l.returns(t)
	requireValue(t, l.far, "id", "old")
	require.NoError(t, l.far.Swap(context.Background(), "id", version, []byte("new")))
}
