-- Purchases. The lines are one column, because nothing ever looks for an order
-- by what is in it, and a checkout writes one row in place of many.
CREATE TABLE orders (
    order_id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    -- The customer's name for the purchase. It outlives the idempotency record,
    -- so that even a very late repetition cannot make a second order.
    request_id TEXT NOT NULL,
    -- JSON: [[sku, title, quantity, unit price in minor units], …]
    items TEXT NOT NULL,
    currency TEXT NOT NULL,
    total_minor INTEGER NOT NULL CONSTRAINT orders_total_positive CHECK (total_minor > 0),
    state TEXT NOT NULL CONSTRAINT orders_state_known CHECK (
        state IN ('pending', 'confirmed', 'cancelled', 'refunded')
    ),
    reason TEXT,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    CONSTRAINT orders_reason_when_undone CHECK (
        (state IN ('cancelled', 'refunded')) = (reason IS NOT NULL)
    ),
    UNIQUE (user_id, request_id)
) STRICT, WITHOUT ROWID;

-- A customer's orders, newest first.
CREATE INDEX orders_by_user ON orders (user_id, create_time DESC, order_id DESC);

-- What customers mean to buy.
CREATE TABLE carts (
    user_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL CONSTRAINT carts_quantity_positive CHECK (quantity > 0),
    update_time INTEGER NOT NULL,
    PRIMARY KEY (user_id, sku)
) STRICT, WITHOUT ROWID;

-- The work on an order that must come to a definite end, one row a saga.
CREATE TABLE sagas (
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    kind TEXT NOT NULL CONSTRAINT sagas_kind_known CHECK (kind IN ('checkout', 'refund')),
    -- Which code understands the row; an old saga ends by the rules it began with.
    version INTEGER NOT NULL,
    state TEXT NOT NULL CONSTRAINT sagas_state_known CHECK (
        state IN ('running', 'compensating', 'done', 'needs_operator')
    ),
    -- The last step that was tried before the last write; for people only.
    step TEXT NOT NULL,
    -- Why the saga has turned back, if it has.
    reason TEXT,
    detail TEXT,
    -- A secret; erased when no step can need it any more.
    payment_token TEXT,
    from_cart INTEGER NOT NULL,
    -- Postponements in a row, and how many of them a peer's definite error caused.
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    next_attempt_time INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until INTEGER,
    -- Grows with every takeover; a write that carries an older one changes nothing.
    fence INTEGER NOT NULL,
    deadline_time INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    last_error TEXT,
    PRIMARY KEY (order_id, kind),
    CONSTRAINT sagas_reason_when_turned_back CHECK (state <> 'compensating' OR reason IS NOT NULL),
    CONSTRAINT sagas_done_keeps_no_secret CHECK (state <> 'done' OR payment_token IS NULL)
) STRICT, WITHOUT ROWID;

-- For the recovery scan; an ended saga leaves it.
CREATE INDEX sagas_due ON sagas (next_attempt_time) WHERE state IN ('running', 'compensating');

-- What each saga did, for people. Rows are only added.
CREATE TABLE saga_log (
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    step TEXT NOT NULL,
    outcome TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (order_id, kind, sequence)
) STRICT, WITHOUT ROWID;
