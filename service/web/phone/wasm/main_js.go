// Command wasm is package mobile in a browser's worker: see worker.js, which starts it.
//
// It takes self.tandemHost, which store.js makes, and sets self.tandemCall.
package main

import (
	"syscall/js"

	"github.com/tandem-rsa/tandem/service/internal/phoneops"
	"github.com/tandem-rsa/tandem/service/mobile"
)

func main() {
	host := &host{js.Global().Get("tandemHost")}
	var phone *mobile.Phone
	call := func(op string, args arguments) (any, error) {
		if op == "start" {
			var err error
			phone, err = start(host, args)
			return map[string]any{"outcome": mobile.CodeOK, "result": map[string]any{}}, err
		}
		if op == "cancel" {
			phone.Cancel()
			return map[string]any{"outcome": mobile.CodeOK, "result": map[string]any{}}, nil
		}
		defer args.wipe()
		// One tab, and one call, changes the phone at a time: the others wait. Without
		// the lock two tabs would be clones of each other, and their keys destroyed.
		if phoneops.Ops[op].Changes {
			unlock, err := host.lock()
			if err != nil {
				return nil, err
			}
			defer unlock()
		}
		r, err := phoneops.Call(phone, op, args)
		return map[string]any{"outcome": r.Outcome, "result": r.Result}, err
	}
	// What JavaScript calls must not wait: it returns a promise.
	js.Global().Set("tandemCall", js.FuncOf(func(_ js.Value, in []js.Value) any {
		if len(in) != 2 {
			return js.Undefined()
		}
		op, args := in[0].String(), arguments{in[1]}
		return promise(func() (any, error) { return call(op, args) })
	}))
	js.Global().Call("tandemReady")
	select {}
}

// start makes the phone.
func start(h *host, a arguments) (*mobile.Phone, error) {
	c, err := mobile.ReadConfig([]byte(a.String("config")))
	if err != nil {
		return nil, err
	}
	c.Passes, c.MemoryKiB, c.Lanes = a.Int("passes"), a.Int("memoryKiB"), a.Int("lanes")
	return mobile.NewPhone(c, h, h)
}

// arguments are a JavaScript object.
type arguments struct{ object js.Value }

func (a arguments) get(name string, t js.Type) (js.Value, bool) {
	if a.object.Type() != js.TypeObject {
		return js.Value{}, false
	}
	v := a.object.Get(name)
	return v, v.Type() == t
}

// Look implements [mobile.Listener], for the operation listen.
func (a arguments) Look() error {
	js.Global().Call("tandemLook")
	return nil
}

func (a arguments) String(name string) string {
	if v, ok := a.get(name, js.TypeString); ok {
		return v.String()
	}
	return ""
}

func (a arguments) Int(name string) int {
	if v, ok := a.get(name, js.TypeNumber); ok {
		return v.Int()
	}
	return 0
}

// Bytes copies a Uint8Array.
func (a arguments) Bytes(name string) []byte {
	if v, ok := a.get(name, js.TypeObject); ok && v.InstanceOf(js.Global().Get("Uint8Array")) {
		return toGo(v)
	}
	return nil
}

// wipe clears the PINs in JavaScript's memory. Go's copies mobile clears.
func (a arguments) wipe() {
	if a.object.Type() != js.TypeObject {
		return
	}
	for _, name := range []string{"pin", "pin1", "pin2", "oldPIN", "newPIN", "other"} {
		if v, ok := a.get(name, js.TypeObject); ok && v.InstanceOf(js.Global().Get("Uint8Array")) {
			v.Call("fill", 0)
		}
	}
}
