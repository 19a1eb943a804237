-- Which account an address belongs to. It is spread over shards by the hash,
-- accounts are by bucket: the one thing here that is not where its owner is.
-- So an entry begins as pending, becomes active when its account exists, and
-- while it is pending it lapses. One database writes both at once, and then
-- only active entries exist.
CREATE TABLE email_directory (
    email_hash  BLOB    NOT NULL PRIMARY KEY CHECK (length(email_hash) = 32),
    user_id     TEXT    NOT NULL UNIQUE,
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'active')),
    expire_time INTEGER,
    CONSTRAINT only_pending_lapses CHECK ((state = 'pending') = (expire_time IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The bucket is part of the id; it stands apart so that a shard can be split by it.
CREATE TABLE users (
    bucket        INTEGER NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
    user_id       TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    display_name  TEXT    NOT NULL,
    password_hash TEXT    NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    create_time   INTEGER NOT NULL,
    update_time   INTEGER NOT NULL,
    PRIMARY KEY (bucket, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    token_hash     BLOB    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    bucket         INTEGER NOT NULL,
    user_id        TEXT    NOT NULL,
    create_time    INTEGER NOT NULL,
    last_seen_time INTEGER NOT NULL,
    expire_time    INTEGER NOT NULL,
    FOREIGN KEY (bucket, user_id) REFERENCES users (bucket, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (bucket, user_id);
CREATE INDEX sessions_by_last_seen_time ON sessions (last_seen_time);
