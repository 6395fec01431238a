// Package rphttp serves the relying-party API over HTTP: versions 1, 2 and 3, in front of
// an [Engine].
//
//	handler, err := rphttp.NewHandler(engine, rphttp.Options{Base: "/smart-id-rp"})
//	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
//	server.RegisterOnShutdown(handler.Drain)
//
// The handler finds its paths by itself and must not be behind an http.ServeMux: clients
// concatenate a base URL and a path, and some get "//" between them, which a ServeMux
// answers with a redirect that a POST does not survive.
//
//	POST BASE/v{1,2,3}/...                     what Endpoints of rpv2 and rpv3 list
//	GET  BASE/v{1,2,3}/session/ID?timeoutMs=N  the status of a session, waited for
//	GET  BASE/openapi.yaml                     the description of all of it
//
// # Security
//
// Nothing is read before it must be: a source that asks too often, a path, a method and
// headers that lead nowhere are refused before the body, and of a body no more than 64
// KiB are read, in a time that has an end. Who the relying party is the Engine finds out;
// what it may ask in a second the Engine counts, since only there it is known that the
// request is its own.
//
// X-Forwarded-For counts only from the proxies that [Options] lists. A bearer token is
// hashed at once. The log has neither bodies nor paths, which have persons in them: it
// has the request's id, the kind of endpoint, the relying party's UUID and the status.
package rphttp
