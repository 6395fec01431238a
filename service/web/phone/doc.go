// Package phone is the phone as a web app: package service/mobile as WebAssembly in a web
// worker, and what it needs in a browser. Files has all of it, for whoever serves it.
//
//	app/phone.js    what pages use: it starts workers, and queues calls
//	app/worker.js   the worker: messages in, outcomes out; its head lists them
//	app/store.js    IndexedDB, keys of WebCrypto, a lock of all tabs
//	app/wake.js     the stream of events, and Web Push; sw.js shows notifications
//	wasm            the Go program in the worker
//
// The program is compiled by "make phone" into the ignored folder built, which a build
// with "-tags phone" embeds; without the tag Files compiles it when it is called.
//
// # Security
//
// A browser is a weaker place than a phone: docs/threats.md says what a thief of the
// profile has. A page must be served with a policy that lets no other script run:
// "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'".
package phone
