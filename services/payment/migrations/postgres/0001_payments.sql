-- Amounts are in the currency's smallest unit. The bucket is part of a payment's
-- id; it stands apart so that a shard can be split by it.

CREATE TABLE payments (
    bucket            smallint    NOT NULL CONSTRAINT payments_bucket CHECK (bucket BETWEEN 0 AND 4095),
    payment_id        uuid        NOT NULL,
    state             text        NOT NULL CONSTRAINT payments_state CHECK (
        state IN (
            'authorizing', 'authorized', 'declined', 'captured', 'voiding', 'voided', 'refunded'
        )
    ),
    -- Unknown only where the void came first.
    currency          text        COLLATE "C",
    minor_units       bigint      CONSTRAINT payments_amount_positive CHECK (minor_units > 0),
    -- Of amount and token: a reused id is noticed after the token is gone.
    fingerprint       bytea       CONSTRAINT payments_fingerprint CHECK (length(fingerprint) = 32),
    token             text,
    reference         text,
    decline_code      text,
    capture_refusal   text,
    create_time       timestamptz NOT NULL,
    update_time       timestamptz NOT NULL,
    -- When the reconciler looks next; null once there is nothing to find out.
    next_attempt_time timestamptz,
    attempts          integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, payment_id),
    CONSTRAINT payments_amount_known CHECK (
        minor_units IS NOT NULL OR state IN ('voiding', 'voided')
    ),
    CONSTRAINT payments_amount_whole CHECK (
        (minor_units IS NULL) = (currency IS NULL)
        AND (minor_units IS NULL) = (fingerprint IS NULL)
    ),
    -- A token is kept while the processor may have to be asked with it, no longer.
    CONSTRAINT payments_token_erased CHECK (
        (token IS NOT NULL)
        = (state = 'authorizing' OR (state = 'voiding' AND reference IS NULL))
    ),
    CONSTRAINT payments_reference_known CHECK (
        reference IS NOT NULL OR state NOT IN ('authorized', 'captured', 'refunded')
    ),
    CONSTRAINT payments_decline_explained CHECK (
        (decline_code IS NOT NULL) = (state = 'declined')
    ),
    CONSTRAINT payments_refusal_authorized CHECK (
        capture_refusal IS NULL OR state = 'authorized'
    )
);

-- Audits read all of them, in this order.
CREATE INDEX payments_by_id ON payments (payment_id);
CREATE INDEX payments_due ON payments (next_attempt_time) WHERE next_attempt_time IS NOT NULL;

CREATE TABLE ledger_entries (
    bucket      smallint    NOT NULL,
    payment_id  uuid        NOT NULL,
    kind        text        NOT NULL COLLATE "C" CONSTRAINT ledger_entries_kind CHECK (
        kind IN ('capture', 'refund')
    ),
    create_time timestamptz NOT NULL,
    -- Taking the money twice would break this.
    CONSTRAINT ledger_entries_once PRIMARY KEY (bucket, payment_id, kind),
    CONSTRAINT ledger_entries_have_a_payment
        FOREIGN KEY (bucket, payment_id) REFERENCES payments (bucket, payment_id)
);

-- A debit is positive, a credit negative; an entry's postings sum to zero.
CREATE TABLE ledger_postings (
    bucket      smallint NOT NULL,
    payment_id  uuid     NOT NULL,
    kind        text     NOT NULL COLLATE "C",
    account     text     NOT NULL COLLATE "C" CONSTRAINT ledger_postings_account CHECK (
        account IN ('processor_receivable', 'sales_revenue', 'refunds')
    ),
    currency    text     NOT NULL COLLATE "C",
    minor_units bigint   NOT NULL CONSTRAINT ledger_postings_moves CHECK (minor_units <> 0),
    PRIMARY KEY (bucket, payment_id, kind, account),
    CONSTRAINT ledger_postings_have_an_entry
        FOREIGN KEY (bucket, payment_id, kind)
        REFERENCES ledger_entries (bucket, payment_id, kind)
);

CREATE FUNCTION refuse_to_change_the_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING
        MESSAGE = 'the ledger is only ever added to',
        CONSTRAINT = TG_NAME;
END
$$;

CREATE TRIGGER ledger_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_ledger();

CREATE TRIGGER ledger_postings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_ledger();
