// Package rphttp serves the relying-party API over HTTP.
package rphttp
