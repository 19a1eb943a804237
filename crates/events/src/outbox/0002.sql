-- Where a bus keeps what it has taken, and how often it has lost it since.
ALTER TABLE outbox ADD COLUMN stream TEXT;
ALTER TABLE outbox ADD COLUMN stream_sequence INTEGER;
ALTER TABLE outbox ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;

CREATE INDEX outbox_receipts ON outbox (stream, stream_sequence) WHERE stream IS NOT NULL;
