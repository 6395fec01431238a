-- +goose Up

-- Sessions between relying parties and phones. Times are milliseconds since 1970, 0 where
-- there is none.

CREATE TABLE sessions (
	id TEXT PRIMARY KEY, -- UUID
	token TEXT, -- of a device link
	request TEXT, -- SHA-256 of the relying party's: equal ones get one session for some seconds
	began BIGINT NOT NULL,
	deadline BIGINT NOT NULL,
	completed BIGINT NOT NULL,
	state TEXT NOT NULL -- JSON
);
CREATE UNIQUE INDEX sessions_token ON sessions (token) WHERE token IS NOT NULL;
CREATE UNIQUE INDEX sessions_request ON sessions (request) WHERE request IS NOT NULL;
CREATE INDEX sessions_deadline ON sessions (completed, deadline);

-- The sessions that an account has to answer, with awaits 0, and its choices of a
-- certificate after which its app waits for a signature.
CREATE TABLE session_accounts (
	document TEXT NOT NULL, -- document number
	awaits BIGINT NOT NULL, -- until when the app waits
	session TEXT NOT NULL,
	challenge TEXT, -- SHA-256 of that of protocol/server, once it is claimed
	PRIMARY KEY (document, awaits, session)
);
CREATE INDEX session_accounts_awaits ON session_accounts (awaits) WHERE awaits > 0;
CREATE UNIQUE INDEX session_accounts_challenge ON session_accounts (challenge) WHERE challenge IS NOT NULL;
