-- Events to deliver. A row is written in the transaction of the change that it tells of.
CREATE TABLE outbox (
    bucket            smallint    NOT NULL,
    event_id          uuid        NOT NULL,
    sequence          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind              text        NOT NULL CONSTRAINT outbox_kind CHECK (kind <> ''),
    subject           text        NOT NULL,
    -- Brokers refuse larger messages, and then nothing could ever deliver it.
    payload           bytea       NOT NULL CONSTRAINT outbox_payload_size CHECK (length(payload) <= 262144),
    headers           text        NOT NULL CONSTRAINT outbox_headers CHECK (headers::jsonb IS NOT NULL),
    create_time       timestamptz NOT NULL,
    attempts          integer     NOT NULL DEFAULT 0,
    next_attempt_time timestamptz NOT NULL,
    published_time    timestamptz,
    PRIMARY KEY (bucket, event_id),
    CONSTRAINT outbox_sequence UNIQUE (sequence)
);

CREATE INDEX outbox_due ON outbox (next_attempt_time, sequence) WHERE published_time IS NULL;
