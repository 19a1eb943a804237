-- The books of a processor that is not the shop: one row for each
-- authorization, found again by its idempotency key.
CREATE TABLE authorizations (
    payment_id TEXT NOT NULL,
    authorize_key TEXT NOT NULL,
    token TEXT NOT NULL,
    currency TEXT NOT NULL,
    minor_units INTEGER NOT NULL,
    decline_code TEXT,
    -- Only the key makes a repetition: a call with another key counts again, so
    -- that a client who gets its keys wrong is found out.
    capture_key TEXT,
    captures INTEGER NOT NULL DEFAULT 0,
    refund_key TEXT,
    refunds INTEGER NOT NULL DEFAULT 0,
    void_time INTEGER,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (payment_id, authorize_key)
) STRICT, WITHOUT ROWID;
