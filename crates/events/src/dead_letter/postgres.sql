-- Events that a consumer has given up on. `event` holds the whole message.
CREATE TABLE dead_letters (
    consumer    text        NOT NULL COLLATE "C",
    event_id    text        NOT NULL COLLATE "C",
    kind        text        NOT NULL,
    subject     text        NOT NULL,
    event       bytea       NOT NULL,
    attempts    integer     NOT NULL,
    error       text        NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (consumer, event_id)
);

CREATE INDEX dead_letters_age ON dead_letters (consumer, create_time, event_id);
