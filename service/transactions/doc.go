// Package transactions has the sessions that relying parties begin and persons answer on
// their phones: logins, signatures, and choices of a certificate.
//
//   - [New] makes an [Engine] of a database, the accounts and the protocol's server.
//   - [Engine.Begin], [Engine.Status] and [Engine.Certificate] are what package rphttp
//     serves to relying parties.
//   - [Engine.Poll], [Engine.Claim], [Engine.Choose], [Engine.Sign] and [Engine.Refuse]
//     are what package deviceapi serves to phones.
//   - [Engine.Signed] belongs into the configuration of the protocol's server,
//     [Engine.CloseAccount] into [accounts.Accounts.OnEnd], and [Engine.Run] beside them.
//
// An Engine and a Server need each other. The server is made first:
//
//	var engine *transactions.Engine
//	config.Signed = func(ctx context.Context, s server.Signed) error {
//		return engine.Signed(ctx, s)
//	}
//	srv, err := server.New(config)
//	...
//	engine, err = transactions.New(transactions.Config{Protocol: srv, ...})
//
// # Sessions
//
// A session ends once, in one way. What an event makes of it is decided by a function of
// the session, the event and the time, whose table is in docs/service.md, "Sessions". All
// of a session is in the database: any node answers any call, and a node that ends leaves
// nothing behind. Each call is one transaction.
//
// # Security
//
//   - A session has one signature at most: that of the account that signed first. What
//     comes later, or after the session's time, is dropped, and reaches no relying party.
//   - A challenge is made for the digest of one session, for one account, when the phone
//     claims it, and never again: a phone that claims once more gets the same.
//   - What a verification code follows from is given out after the right one of three
//     codes. Until then the phone can no more than guess.
//   - A relying party is known by all that was agreed on, for each call. Who may read a
//     session must know its id, too.
//   - The database is trusted.
package transactions
