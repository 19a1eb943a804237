-- Times are microseconds since 1970, amounts the currency's smallest unit.

CREATE TABLE payments (
    payment_id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL CONSTRAINT payments_state CHECK (
        state IN (
            'authorizing', 'authorized', 'declined', 'captured', 'voiding', 'voided', 'refunded'
        )
    ),
    -- Unknown only where the void came first.
    currency TEXT,
    minor_units INTEGER CONSTRAINT payments_amount_positive CHECK (minor_units > 0),
    -- Of amount and token: a reused id is noticed after the token is gone.
    fingerprint BLOB,
    token TEXT,
    reference TEXT,
    decline_code TEXT,
    capture_refusal TEXT,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    -- When the reconciler looks next; null once there is nothing to find out.
    next_attempt_time INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
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
) STRICT, WITHOUT ROWID;

CREATE INDEX payments_due ON payments (next_attempt_time) WHERE next_attempt_time IS NOT NULL;

CREATE TABLE ledger_entries (
    entry_id INTEGER PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (payment_id),
    kind TEXT NOT NULL CONSTRAINT ledger_entries_kind CHECK (kind IN ('capture', 'refund')),
    create_time INTEGER NOT NULL,
    -- Taking the money twice would break this.
    CONSTRAINT ledger_entries_once UNIQUE (payment_id, kind)
) STRICT;

-- A debit is positive, a credit negative; an entry's postings sum to zero.
CREATE TABLE ledger_postings (
    entry_id INTEGER NOT NULL REFERENCES ledger_entries (entry_id),
    account TEXT NOT NULL CONSTRAINT ledger_postings_account CHECK (
        account IN ('processor_receivable', 'sales_revenue', 'refunds')
    ),
    currency TEXT NOT NULL,
    minor_units INTEGER NOT NULL CONSTRAINT ledger_postings_moves CHECK (minor_units <> 0),
    PRIMARY KEY (entry_id, account)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER ledger_entries_stay BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_entries_are_kept BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_postings_stay BEFORE UPDATE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_postings_are_kept BEFORE DELETE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;
