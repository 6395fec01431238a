package main

import (
	"errors"
	"syscall/js"
)

// promise runs do in a goroutine, and returns a promise of its result.
func promise(do func() (any, error)) js.Value {
	var executor js.Func
	executor = js.FuncOf(func(_ js.Value, in []js.Value) any {
		resolve, reject := in[0], in[1]
		go func() {
			defer executor.Release()
			out, err := do()
			if err != nil {
				reject.Invoke(js.Global().Get("Error").New(err.Error()))
				return
			}
			resolve.Invoke(out)
		}()
		return nil
	})
	return js.Global().Get("Promise").New(executor)
}

// await waits for a promise. The worker's events go on meanwhile.
func await(p js.Value) (js.Value, error) {
	type result struct {
		value js.Value
		err   error
	}
	done := make(chan result, 1)
	good := js.FuncOf(func(_ js.Value, in []js.Value) any {
		done <- result{value: in[0]}
		return nil
	})
	bad := js.FuncOf(func(_ js.Value, in []js.Value) any {
		done <- result{err: errors.New("phone: the browser: " + js.Global().Get("String").Invoke(in[0]).String())}
		return nil
	})
	defer good.Release()
	defer bad.Release()
	p.Call("then", good, bad)
	r := <-done
	return r.value, r.err
}

func toGo(array js.Value) []byte {
	out := make([]byte, array.Get("length").Int())
	js.CopyBytesToGo(out, array)
	return out
}

func toJS(b []byte) js.Value {
	array := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(array, b)
	return array
}
