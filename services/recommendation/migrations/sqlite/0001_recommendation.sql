-- The order of commits is what the model follows, and AUTOINCREMENT promises
-- that a number comes back neither after a deletion nor after a restart.
CREATE TABLE baskets (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id    TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    -- Different SKUs, a space between them.
    skus        TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    CONSTRAINT baskets_order_id_unique UNIQUE (order_id),
    CONSTRAINT baskets_skus_not_empty CHECK (skus <> '')
) STRICT;

-- A count that changes gets a new version, so those who have read up to a
-- version find what has changed behind it.
CREATE TABLE product_views (
    version   INTEGER PRIMARY KEY AUTOINCREMENT,
    sku       TEXT    NOT NULL,
    hour_time INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    CONSTRAINT product_views_sku_hour_time_unique UNIQUE (sku, hour_time),
    CONSTRAINT product_views_count_positive CHECK (count > 0)
) STRICT;

-- What is no longer kept, so that those who count know what to expect.
CREATE TABLE forgotten (
    singleton  INTEGER PRIMARY KEY CHECK (singleton = 1),
    baskets    INTEGER NOT NULL,
    until_time INTEGER
) STRICT;

INSERT INTO forgotten (singleton, baskets, until_time) VALUES (1, 0, NULL);
