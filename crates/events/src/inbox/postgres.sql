-- Which events a consumer has applied. A row is written in the transaction of the effect.
CREATE TABLE inbox (
    consumer    text        NOT NULL COLLATE "C",
    bucket      smallint    NOT NULL,
    event_id    uuid        NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (consumer, bucket, event_id)
);

CREATE INDEX inbox_age ON inbox (create_time);
