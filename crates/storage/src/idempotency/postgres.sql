CREATE TABLE idempotency (
    bucket      smallint    NOT NULL,
    scope       text        NOT NULL COLLATE "C",
    key         uuid        NOT NULL,
    fingerprint bytea       NOT NULL CONSTRAINT idempotency_fingerprint CHECK (length(fingerprint) = 32),
    subject     text        NOT NULL,
    code        integer,
    body        bytea,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (bucket, scope, key),
    CONSTRAINT idempotency_answer CHECK ((code IS NULL) = (body IS NULL))
);

-- Old records are purged by age.
CREATE INDEX idempotency_create_time ON idempotency (create_time);
