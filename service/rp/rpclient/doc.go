// Package rpclient is a relying party's end of version 3 of the relying-party API: an
// e-service that lets persons log in and sign.
//
//   - New makes a Client of a Config: where the service is, who the relying party is, and
//     which certificates it believes.
//   - Client.LoginByID asks the phone of a person whose number is known; Login.Code is
//     shown before the phone shows it. Client.LoginByLink begins a login of whoever scans
//     the QR code, or opens the app on the same device: Client.Link makes the link, a new
//     one each second.
//   - Client.LoginStatus tells who has logged in; Client.LoginReturned does it for a
//     browser that came back from the app.
//   - Client.Certificate, Client.Sign and Client.SignStatus are for signatures.
//
// A Login and a Signing are kept between two requests of a browser, by whatever the
// relying party keeps sessions in: they have fields for encoding/json.
//
// # Security
//
// Nothing that the service answers is believed by itself. Whoever is returned has shown
// that this login was signed, with a key whose certificate the configured CAs have
// issued: see [Client.LoginStatus] for what is checked. [ErrInvalid] says that a check
// failed; then nobody has logged in and nothing is signed.
//
// What a Login holds is the relying party's secret: whoever has its Secret can make
// device links. It must be bound to one browser, by a cookie.
package rpclient
