// Package push wakes phones whose app is closed. A message says "look", and nothing
// else: the app asks the service what there is. Whoever hears no message opens the app
// and taps.
//
//	web, err := push.NewWeb(secret, "https://id.example")
//	senders := map[string]push.Sender{push.KindWeb: web}
//	pushes, err := push.New(push.Config{DB: db, Senders: senders})
//	accounts.OnEnd(pushes.CloseAccount)
//	go pushes.Run(ctx)
//	pushes.Wake(document)
//
// A [Sender] has one method: those of APNs and FCM fit. [Web] is the one for browsers:
// Web Push (RFC 8030), with its encryption (RFC 8291) and VAPID (RFC 8292), out of Go's
// own crypto packages: the library for Go that is known for it has private keys in
// big.Int, and computes by functions of crypto/elliptic that are deprecated.
//
// # Security
//
// A message has no person, relying party or session in it, so who carries it learns when
// somebody is asked for something, and nothing more. A false one has the app ask in vain.
//
// An address of Web Push is a URL that an account's phone has named, and the service
// makes a request to it. It must be https at port 443, of a name; the connection is
// made to a public address only, whatever the name resolves to at that moment, through
// no proxy; no redirect is followed, and no answer is passed on. Who has an account can
// so have the service send some bytes that he cannot choose to any public https server,
// as often as relying parties may ask him for something. The address itself is a
// capability: it is not logged.
//
// A push service that says 404 or 410 has its subscription removed. VAPID's key follows
// from the service's secret: all nodes have the same one, and it stays.
//
// # Timing
//
// Messages are encrypted, and VAPID's tokens signed, by crypto/ecdh and crypto/ecdsa.
package push
