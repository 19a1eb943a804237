CREATE TABLE idempotency (
    scope       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL CONSTRAINT idempotency_fingerprint CHECK (length(fingerprint) = 32),
    subject     TEXT    NOT NULL,
    code        INTEGER,
    body        BLOB,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (scope, key),
    CONSTRAINT idempotency_answer CHECK ((code IS NULL) = (body IS NULL))
) STRICT, WITHOUT ROWID;

-- Old records are purged by age.
CREATE INDEX idempotency_create_time ON idempotency (create_time);
