-- What was learned from, in the order in which it can be read: see the store's log.rs.
-- Whose an order is does not matter here, so nothing is spread by bucket.
CREATE TABLE baskets (
    sequence     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME baskets_sequence)
                             PRIMARY KEY,
    order_id     uuid        NOT NULL,
    -- Where the inbox has the event.
    event_bucket smallint    NOT NULL,
    event_id     uuid        NOT NULL,
    -- Different ones.
    skus         text[]      NOT NULL COLLATE "C",
    create_time  timestamptz NOT NULL,
    CONSTRAINT baskets_order_id_unique UNIQUE (order_id),
    CONSTRAINT baskets_skus_not_empty CHECK (0 < cardinality(skus))
);

-- A count that changes gets a new version, so those who have read up to a
-- version find what has changed behind it.
CREATE TABLE product_views (
    version   bigint      NOT NULL GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME product_views_version),
    sku       text        NOT NULL COLLATE "C",
    hour_time timestamptz NOT NULL,
    count     bigint      NOT NULL,
    PRIMARY KEY (sku, hour_time),
    CONSTRAINT product_views_version_unique UNIQUE (version),
    CONSTRAINT product_views_count_positive CHECK (0 < count)
);

-- What is no longer kept, so that those who count know what to expect.
CREATE TABLE forgotten (
    singleton  boolean     NOT NULL PRIMARY KEY CHECK (singleton),
    baskets    bigint      NOT NULL,
    until_time timestamptz
);

INSERT INTO forgotten (singleton, baskets, until_time) VALUES (true, 0, NULL);

-- How far the models of all processes are: what one of them has not read stays. Whoever
-- has not been heard of until a row expires is gone.
CREATE TABLE followers (
    follower    uuid        NOT NULL PRIMARY KEY,
    baskets     bigint      NOT NULL,
    views       bigint      NOT NULL,
    expire_time timestamptz NOT NULL
);
