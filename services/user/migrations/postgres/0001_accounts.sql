-- Which account an address belongs to. It is spread over shards by the hash,
-- accounts are by bucket: the one thing here that is not where its owner is.
-- So an entry begins as pending, becomes active when its account exists, and
-- while it is pending it lapses. One database writes both at once, and then
-- only active entries exist.
CREATE TABLE email_directory (
    email_hash  bytea       NOT NULL PRIMARY KEY CHECK (length(email_hash) = 32),
    bucket      smallint    NOT NULL,
    user_id     uuid        NOT NULL,
    state       text        NOT NULL CHECK (state IN ('pending', 'active')),
    expire_time timestamptz,
    CONSTRAINT only_pending_lapses CHECK ((state = 'pending') = (expire_time IS NOT NULL)),
    UNIQUE (bucket, user_id)
);

-- The bucket is part of the id; it stands apart so that a shard can be split by it.
CREATE TABLE users (
    bucket        smallint    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
    user_id       uuid        NOT NULL,
    email         text        NOT NULL,
    display_name  text        NOT NULL,
    password_hash text        NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    create_time   timestamptz NOT NULL,
    update_time   timestamptz NOT NULL,
    PRIMARY KEY (bucket, user_id)
);

-- A session is found by its token alone, which does not say whose it is.
CREATE TABLE sessions (
    token_hash     bytea       NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    bucket         smallint    NOT NULL,
    user_id        uuid        NOT NULL,
    create_time    timestamptz NOT NULL,
    last_seen_time timestamptz NOT NULL,
    expire_time    timestamptz NOT NULL,
    CONSTRAINT sessions_have_an_account
        FOREIGN KEY (bucket, user_id) REFERENCES users (bucket, user_id)
);

CREATE INDEX sessions_by_user ON sessions (bucket, user_id);
CREATE INDEX sessions_by_last_seen_time ON sessions (last_seen_time);
