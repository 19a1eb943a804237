-- Events that a consumer has given up on. `event` holds the whole message.
CREATE TABLE dead_letters (
    consumer    TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    event       BLOB    NOT NULL,
    attempts    INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_letters_age ON dead_letters (consumer, create_time, event_id);
