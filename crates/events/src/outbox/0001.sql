-- Events to deliver. A row is written in the transaction of the change that it tells of.
CREATE TABLE outbox (
    sequence          INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id          TEXT    NOT NULL CONSTRAINT outbox_event_id CHECK (length(event_id) = 36),
    kind              TEXT    NOT NULL CONSTRAINT outbox_kind CHECK (kind <> ''),
    subject           TEXT    NOT NULL,
    -- Brokers refuse larger messages, and then nothing could ever deliver it.
    payload           BLOB    NOT NULL CONSTRAINT outbox_payload_size CHECK (length(payload) <= 262144),
    headers           TEXT    NOT NULL CONSTRAINT outbox_headers CHECK (json_valid(headers)),
    create_time       INTEGER NOT NULL,
    attempts          INTEGER NOT NULL DEFAULT 0,
    next_attempt_time INTEGER NOT NULL,
    published_time    INTEGER,
    UNIQUE (event_id)
) STRICT;

CREATE INDEX outbox_due ON outbox (next_attempt_time, sequence) WHERE published_time IS NULL;
