-- Where a bus keeps what it has taken, and how often it has lost it since.
ALTER TABLE outbox
    ADD COLUMN stream          text COLLATE "C",
    ADD COLUMN stream_sequence bigint,
    ADD COLUMN losses          integer NOT NULL DEFAULT 0;

CREATE INDEX outbox_receipts ON outbox (stream, stream_sequence) WHERE stream IS NOT NULL;
