-- +goose Up

-- Sessions between relying parties and phones. Times are milliseconds since 1970, 0 where
-- there is none.

CREATE TABLE sessions (
	id TEXT PRIMARY KEY, -- UUID
	token TEXT UNIQUE, -- of a device link
	began BIGINT NOT NULL,
	deadline BIGINT NOT NULL,
	completed BIGINT NOT NULL,
	state TEXT NOT NULL -- JSON
);
CREATE INDEX sessions_deadline ON sessions (completed, deadline);

CREATE TABLE session_accounts (
	document TEXT NOT NULL, -- document number
	session TEXT NOT NULL,
	PRIMARY KEY (document, session)
);
CREATE INDEX session_accounts_session ON session_accounts (session);

CREATE TABLE session_challenges (
	challenge TEXT PRIMARY KEY, -- SHA-256 of one of protocol/server
	session TEXT NOT NULL,
	document TEXT NOT NULL
);
CREATE INDEX session_challenges_session ON session_challenges (session);

-- Equal requests within some seconds get one session.
CREATE TABLE session_requests (
	request TEXT PRIMARY KEY, -- SHA-256
	session TEXT NOT NULL,
	began BIGINT NOT NULL
);
CREATE INDEX session_requests_session ON session_requests (session);
