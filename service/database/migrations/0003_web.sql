-- +goose Up

-- What browsers' cookies stand for, on the service's pages.
CREATE TABLE web_sessions (
	id TEXT PRIMARY KEY, -- SHA-256 of a site and what the cookie has
	value TEXT NOT NULL, -- JSON
	expires BIGINT NOT NULL -- milliseconds since 1970
);
CREATE INDEX web_sessions_expires ON web_sessions (expires);
