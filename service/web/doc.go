// Package web is the frame of the service's pages: what the bank, the self-service and
// the phone in a browser have in common.
//
//   - A Frame renders templates in four languages inside one layout, and serves the style
//     sheet, the scripts and the texts.
//   - Sessions keeps what a browser's cookie stands for in the database, so that any node
//     answers.
//   - A Guard says who sends too much.
//
// Package login lets persons log in to such pages; packages bank and self are pages.
//
// # Security
//
// Each page has a Content-Security-Policy of what it needs: nothing of another host, no
// script in the page itself, none at all where there is none, no frames. Texts are
// escaped by html/template. A form that another site sends is refused
// (http.CrossOriginProtection), and so is a body above its limit.
//
// A cookie has 130 random bits, is not readable for scripts, and is sent over https only
// where the pages are https. The database has its SHA-256.
package web
