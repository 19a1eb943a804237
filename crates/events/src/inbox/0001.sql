-- Which events a consumer has applied. A row is written in the transaction of the effect.
CREATE TABLE inbox (
    consumer    TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_age ON inbox (create_time);
