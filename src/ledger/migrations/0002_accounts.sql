-- Who may come in: the tables of src/web/accounts_sqlite.rs in PostgreSQL's types. Times are milliseconds since the epoch.
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    salt BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    created BIGINT NOT NULL
);
CREATE TABLE tokens (hash BYTEA PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, created BIGINT NOT NULL);
CREATE TABLE sessions (
    hash BYTEA PRIMARY KEY,
    account TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created BIGINT NOT NULL,
    seen BIGINT NOT NULL
);
CREATE TABLE attempts (name TEXT PRIMARY KEY, wrong BIGINT NOT NULL, last BIGINT NOT NULL);
CREATE TABLE used_links (notice TEXT PRIMARY KEY, at BIGINT NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
