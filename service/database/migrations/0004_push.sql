-- +goose Up

-- How phones are woken. An account is on one phone: it has one subscription at most, which
-- ends with it.
CREATE TABLE push_subscriptions (
	document TEXT PRIMARY KEY, -- document number
	kind TEXT NOT NULL, -- of push: which sender
	address TEXT NOT NULL, -- what that sends to
	created BIGINT NOT NULL -- milliseconds since 1970
);
