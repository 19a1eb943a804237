-- Everything here belongs to a customer, so the customer's bucket is the first part of each
-- key: a shard can be split by it. It is a part of the ids as well.

-- Purchases. The lines are one column, because nothing ever looks for an order
-- by what is in it, and a checkout writes one row in place of many.
CREATE TABLE orders (
    bucket      smallint    NOT NULL CONSTRAINT orders_bucket_known CHECK (bucket BETWEEN 0 AND 4095),
    order_id    uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    -- The customer's name for the purchase. It outlives the idempotency record,
    -- so that even a very late repetition cannot make a second order.
    request_id  uuid        NOT NULL,
    -- JSON: [[sku, title, quantity, unit price in minor units], …]. Not jsonb, which
    -- takes no NUL in a title.
    items       text        NOT NULL,
    currency    text        NOT NULL,
    total_minor bigint      NOT NULL CONSTRAINT orders_total_positive CHECK (total_minor > 0),
    state       text        NOT NULL CONSTRAINT orders_state_known CHECK (
        state IN ('pending', 'confirmed', 'cancelled', 'refunded')
    ),
    reason      text,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CONSTRAINT orders_reason_when_undone CHECK (
        (state IN ('cancelled', 'refunded')) = (reason IS NOT NULL)
    ),
    PRIMARY KEY (bucket, order_id),
    CONSTRAINT orders_request UNIQUE (bucket, user_id, request_id)
);

-- A customer's orders, newest first.
CREATE INDEX orders_by_user ON orders (bucket, user_id, create_time DESC, order_id DESC);

-- What customers mean to buy.
CREATE TABLE carts (
    bucket      smallint    NOT NULL CONSTRAINT carts_bucket_known CHECK (bucket BETWEEN 0 AND 4095),
    user_id     uuid        NOT NULL,
    sku         text        NOT NULL COLLATE "C",
    quantity    bigint      NOT NULL CONSTRAINT carts_quantity_positive CHECK (quantity > 0),
    update_time timestamptz NOT NULL,
    PRIMARY KEY (bucket, user_id, sku)
);

-- The work on an order that must come to a definite end, one row a saga.
CREATE TABLE sagas (
    bucket            smallint    NOT NULL,
    order_id          uuid        NOT NULL,
    kind              text        NOT NULL COLLATE "C" CONSTRAINT sagas_kind_known CHECK (
        kind IN ('checkout', 'refund')
    ),
    -- Which code understands the row; an old saga ends by the rules it began with.
    version           bigint      NOT NULL,
    state             text        NOT NULL CONSTRAINT sagas_state_known CHECK (
        state IN ('running', 'compensating', 'done', 'needs_operator')
    ),
    -- The last step that was tried before the last write; for people only.
    step              text        NOT NULL,
    -- Why the saga has turned back, if it has.
    reason            text,
    detail            text,
    -- A secret; erased when no step can need it any more.
    payment_token     text,
    from_cart         boolean     NOT NULL,
    -- Postponements in a row, and how many of them a peer's definite error caused.
    attempts          bigint      NOT NULL,
    failures          bigint      NOT NULL,
    next_attempt_time timestamptz NOT NULL,
    lease_owner       uuid,
    lease_until       timestamptz,
    -- Grows with every takeover; a write that carries an older one changes nothing.
    fence             bigint      NOT NULL,
    deadline_time     timestamptz NOT NULL,
    cancel_requested  boolean     NOT NULL,
    create_time       timestamptz NOT NULL,
    update_time       timestamptz NOT NULL,
    last_error        text,
    -- The span of the call that began the saga, as W3C's traceparent, so that whoever goes
    -- on with it after a crash can refer to it.
    traceparent       text,
    -- How many rows of saga_log it has. A write under a lease counts its own here, so
    -- that it need not look for the last.
    log_length        bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, order_id, kind),
    CONSTRAINT sagas_have_an_order
        FOREIGN KEY (bucket, order_id) REFERENCES orders (bucket, order_id),
    CONSTRAINT sagas_reason_when_turned_back CHECK (state <> 'compensating' OR reason IS NOT NULL),
    CONSTRAINT sagas_done_keeps_no_secret CHECK (state <> 'done' OR payment_token IS NULL)
);

-- For the recovery scan, which is for all buckets; an ended saga leaves it.
CREATE INDEX sagas_due ON sagas (next_attempt_time) WHERE state IN ('running', 'compensating');

-- So that counting those who wait for an operator looks at these alone.
CREATE INDEX sagas_need_operator ON sagas (order_id) WHERE state = 'needs_operator';

-- What each saga did, for people. Rows are only added.
CREATE TABLE saga_log (
    bucket   smallint    NOT NULL,
    order_id uuid        NOT NULL,
    kind     text        NOT NULL COLLATE "C",
    -- From 1, without gaps.
    sequence bigint      NOT NULL,
    step     text        NOT NULL,
    outcome  text        NOT NULL,
    time     timestamptz NOT NULL,
    PRIMARY KEY (bucket, order_id, kind, sequence)
);
