-- +goose Up

-- Times are milliseconds since 1970, 0 where there is none; those of certificates seconds.

CREATE TABLE persons (
	id TEXT PRIMARY KEY, -- semantics identifier
	given TEXT NOT NULL,
	surname TEXT NOT NULL,
	born TEXT NOT NULL, -- YYYY-MM-DD, or empty
	email TEXT NOT NULL, -- or empty
	created BIGINT NOT NULL
);

CREATE TABLE accounts (
	document TEXT PRIMARY KEY, -- document number
	person TEXT NOT NULL REFERENCES persons (id),
	level BIGINT NOT NULL, -- identity.Level
	state TEXT NOT NULL, -- accounts.State
	device TEXT NOT NULL, -- label
	token BYTEA UNIQUE, -- SHA-256 of the device's token
	revocation BYTEA UNIQUE, -- HMAC of the revocation code; NULL once the account has ended
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	ended BIGINT NOT NULL,
	cause TEXT NOT NULL, -- why it ended: accounts.Cause
	cleaned BIGINT NOT NULL, -- when keys and certificates of an ended account were destroyed
	version BIGINT NOT NULL -- drawn anew with each change of this row, of its person's, and of its current keys'
);
CREATE INDEX accounts_person ON accounts (person);
CREATE INDEX accounts_expires ON accounts (state, expires);
CREATE INDEX accounts_cleaned ON accounts (cleaned, ended);

-- The two keys of an account, and those that are offered to an enrolment.
CREATE TABLE account_keys (
	id BYTEA PRIMARY KEY, -- protocol.KeyID
	document TEXT NOT NULL, -- of the account, also before there is one
	key_use BIGINT NOT NULL, -- ca.Use
	state TEXT NOT NULL, -- offered, current, or dropped: offered and never used
	offered BIGINT NOT NULL,
	certificate BYTEA, -- DER, once there is one
	destroyed BIGINT NOT NULL, -- when the service learnt that the key is destroyed
	revoked BIGINT NOT NULL -- when its certificate was revoked after that
);
CREATE INDEX account_keys_document ON account_keys (document);
CREATE INDEX account_keys_state ON account_keys (state, offered);
CREATE INDEX account_keys_destroyed ON account_keys (revoked, destroyed);

-- Enrolments under way. A row goes when its account was opened some time ago, or when it
-- has expired.
CREATE TABLE enrolments (
	id TEXT PRIMARY KEY,
	state TEXT NOT NULL, -- registered, asked, approved, begun, opened
	code BYTEA UNIQUE, -- HMAC of the registrar's code; NULL for a new phone
	request BYTEA UNIQUE, -- SHA-256 of a new phone's token: what its QR code shows
	token BYTEA UNIQUE, -- SHA-256 of the device's token, once there is a device
	person TEXT NOT NULL, -- empty until a new phone is approved
	subject TEXT NOT NULL, -- JSON: what the registrar said of the person
	level BIGINT NOT NULL,
	document TEXT NOT NULL, -- of the account to be; empty until the enrolment begins
	replaces TEXT NOT NULL, -- document numbers that end with it, separated by spaces
	device TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	opened BIGINT NOT NULL
);
CREATE INDEX enrolments_expires ON enrolments (expires);
CREATE INDEX enrolments_document ON enrolments (document);
CREATE INDEX enrolments_replaces ON enrolments (replaces);

CREATE TABLE relying_parties (
	uuid TEXT PRIMARY KEY,
	settings TEXT NOT NULL, -- JSON of accounts.RelyingParty
	created BIGINT NOT NULL
);

CREATE TABLE history (
	person TEXT NOT NULL,
	id TEXT NOT NULL, -- in the order of time
	document TEXT NOT NULL,
	entry TEXT NOT NULL, -- JSON of accounts.Entry
	PRIMARY KEY (person, id)
);

-- What was told of keys already: an event comes at least once.
CREATE TABLE key_events (
	id BYTEA NOT NULL,
	number BIGINT NOT NULL,
	kind TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (id, number, kind, at)
);
CREATE INDEX key_events_at ON key_events (at);

-- Notices that go out, one row for each sender.
CREATE TABLE notices (
	id TEXT NOT NULL, -- in the order of time
	sender TEXT NOT NULL,
	notice TEXT NOT NULL, -- JSON of accounts.Notice
	created BIGINT NOT NULL,
	tries BIGINT NOT NULL,
	due BIGINT NOT NULL,
	failed BIGINT NOT NULL, -- when it was given up
	cause TEXT NOT NULL, -- of the last failure
	PRIMARY KEY (id, sender)
);
CREATE INDEX notices_due ON notices (failed, due);

CREATE TABLE quotas (
	id TEXT PRIMARY KEY,
	free BIGINT NOT NULL -- when the bucket is empty again
);
CREATE INDEX quotas_free ON quotas (free);

CREATE TABLE certificates (
	serial BYTEA PRIMARY KEY,
	issuer TEXT NOT NULL,
	document TEXT NOT NULL,
	not_after BIGINT NOT NULL, -- seconds
	der BYTEA NOT NULL,
	revoked BIGINT, -- seconds
	reason BIGINT
);
CREATE INDEX certificates_revoked ON certificates (issuer, not_after);
CREATE INDEX certificates_document ON certificates (document);

CREATE TABLE crls (
	issuer TEXT PRIMARY KEY,
	number BIGINT NOT NULL,
	der BYTEA NOT NULL
);
