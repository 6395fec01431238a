// Package node puts the parts of the service together: one process of it, behind one
// http.Handler. The command "tandem serve" is a node with its files; another program may
// bring its own.
//
//	n, err := node.Open(ctx, node.Config{DB: db, Server: server.Config{...}, ...})
//	web := &http.Server{Handler: n}
//	...
//	n.Drain()             // not ready any more; nobody waits any longer
//	web.Shutdown(ctx)     // requests under way end
//	n.Close()             // then what works in the background
//
// The paths:
//
//	/smart-id-rp/v1, /v2, /v3   relying parties: package rphttp
//	/device/v1/                 phones: package deviceapi
//	/pki/                       CRLs, OCSP, certificates: package ca
//	/device-link                where a device link leads without an app
//	/mock/device-link           test identities, if there are any
//	/, /self/, /bank/, /phone/  pages for browsers, if there are any: package web
//	/healthz                    200 as long as the process answers
//	/readyz                     200 if database, store, sealer and server keys answer
//
// Any number of nodes may work on one database and one store.
//
// # Security
//
// Config.Production says whether persons rely on what this node does. Then it has no test
// identities, and no CA whose name begins with "TEST". Without it, it is a trial, and
// must not have a real CA either: so neither is taken for the other.
//
// The log has names of requests, of keys and, where an operator must know them, of
// accounts. It has no PIN, no token, no digest, no name and no body.
package node
