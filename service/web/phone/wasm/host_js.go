package main

import (
	"bytes"
	"context"
	"errors"
	"syscall/js"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/mobile"
)

// host is the browser: the functions of store.js, which return promises.
type host struct{ object js.Value }

var (
	_ mobile.Storage      = (*host)(nil)
	_ mobile.PlatformKeys = (*host)(nil)
)

// Load implements [mobile.Storage].
func (h *host) Load(name string) ([]byte, error) { return h.bytes("load", name) }

// Save implements [mobile.Storage]: it returns when IndexedDB says that the value is on
// the disk.
func (h *host) Save(name string, value []byte) error {
	_, err := await(h.object.Call("save", name, toJS(value)))
	return err
}

// StorageKey implements [mobile.PlatformKeys].
func (h *host) StorageKey() ([]byte, error) { return h.bytes("storageKey") }

// RequestKey implements [mobile.PlatformKeys].
func (h *host) RequestKey() ([]byte, error) { return h.bytes("requestKey") }

// SignRequest implements [mobile.PlatformKeys].
func (h *host) SignRequest(message []byte) ([]byte, error) {
	array := toJS(message)
	defer array.Call("fill", 0)
	signature, err := await(h.object.Call("signRequest", array))
	if err != nil {
		return nil, err
	}
	return derSignature(toGo(signature))
}

// bytes calls a function whose promise is of a Uint8Array, or of nothing.
func (h *host) bytes(name string, args ...any) ([]byte, error) {
	v, err := await(h.object.Call(name, args...))
	if err != nil || v.Type() != js.TypeObject {
		return nil, err
	}
	out := toGo(v)
	return out, nil
}

// lock waits for the lock of all tabs.
func (h *host) lock() (unlock func(), err error) {
	release, err := await(h.object.Call("lock"))
	if err != nil {
		return nil, err
	}
	return func() { release.Invoke() }, nil
}

// Fetch is found by package mobile: the browser's, without what it adds.
func (h *host) Fetch(ctx context.Context, r deviceclient.Request) (*deviceclient.Response, error) {
	answer, err := h.ask(ctx, r, func(options map[string]any) js.Value { return h.object.Call("fetch", r.URL, options, r.Most) })
	if err != nil {
		return nil, err
	}
	return &deviceclient.Response{Status: answer.Get("status").Int(), MediaType: answer.Get("mediaType").String(), Body: toGo(answer.Get("body"))}, nil
}

// Stream is found by package mobile, too.
func (h *host) Stream(ctx context.Context, r deviceclient.Request, part func([]byte) error) (*deviceclient.Response, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var refused error
	piece := js.FuncOf(func(_ js.Value, in []js.Value) any {
		if refused == nil {
			if refused = part(toGo(in[0])); refused != nil {
				stop()
			}
		}
		return nil
	})
	defer piece.Release()
	answer, err := h.ask(ctx, r, func(options map[string]any) js.Value { return h.object.Call("stream", r.URL, options, piece) })
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, err
	}
	return &deviceclient.Response{Status: answer.Get("status").Int(), MediaType: answer.Get("mediaType").String()}, nil
}

// ask waits for a request that ends with ctx.
func (h *host) ask(ctx context.Context, r deviceclient.Request, begin func(options map[string]any) js.Value) (js.Value, error) {
	controller := js.Global().Get("AbortController").New()
	defer context.AfterFunc(ctx, func() { controller.Call("abort") })()
	headers := map[string]any{}
	if r.MediaType != "" {
		headers["Content-Type"] = r.MediaType
	}
	if r.Token != "" {
		headers["Authorization"] = "Bearer " + r.Token
	}
	options := map[string]any{
		"method": r.Method, "headers": headers, "credentials": "omit", "redirect": "error", "cache": "no-store", "referrerPolicy": "no-referrer",
		"signal": controller.Get("signal"),
	}
	if len(r.Body) > 0 {
		options["body"] = toJS(r.Body)
	}
	answer, err := await(begin(options))
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return answer, err
}

// derSignature is what WebCrypto signs, two numbers of 32 bytes, in ASN.1.
func derSignature(raw []byte) ([]byte, error) {
	if len(raw) != 64 {
		return nil, errors.New("phone: the browser's signature is none of P-256")
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, n := range [][]byte{raw[:32], raw[32:]} {
			b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) {
				n = bytes.TrimLeft(n, "\x00")
				if len(n) == 0 || n[0] >= 0x80 {
					b.AddUint8(0)
				}
				b.AddBytes(n)
			})
		}
	})
	return b.Bytes()
}
