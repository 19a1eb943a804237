-- What is sold. The number is only there for the search index, which needs a
-- row id that never changes.
CREATE TABLE products (
    product_number INTEGER PRIMARY KEY,
    sku TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    currency TEXT NOT NULL,
    price_minor INTEGER NOT NULL CONSTRAINT products_price_not_negative CHECK (price_minor >= 0),
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) STRICT;

-- The words of titles and SKUs. It keeps no copy of them: the triggers below
-- keep it in step with the products.
CREATE VIRTUAL TABLE product_search USING fts5 (
    title,
    sku,
    content = 'products',
    content_rowid = 'product_number',
    tokenize = 'unicode61 remove_diacritics 2',
    prefix = '2 3'
);

CREATE TRIGGER products_after_insert AFTER INSERT ON products BEGIN
    INSERT INTO product_search (rowid, title, sku)
    VALUES (new.product_number, new.title, new.sku);
END;

CREATE TRIGGER products_after_update AFTER UPDATE OF title, sku ON products
WHEN old.title <> new.title OR old.sku <> new.sku
BEGIN
    INSERT INTO product_search (product_search, rowid, title, sku)
    VALUES ('delete', old.product_number, old.title, old.sku);
    INSERT INTO product_search (rowid, title, sku)
    VALUES (new.product_number, new.title, new.sku);
END;

CREATE TRIGGER products_after_delete AFTER DELETE ON products BEGIN
    INSERT INTO product_search (product_search, rowid, title, sku)
    VALUES ('delete', old.product_number, old.title, old.sku);
END;

-- The truth about units, one small row a product. It is apart from the products
-- because checkouts write it all the time: narrow rows share pages, and a page
-- goes to the log once a commit.
CREATE TABLE stock (
    sku TEXT NOT NULL PRIMARY KEY REFERENCES products (sku),
    on_hand INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    CONSTRAINT stock_reserved_within_on_hand CHECK (reserved BETWEEN 0 AND on_hand)
) STRICT, WITHOUT ROWID;

-- What was asked to be held, and what became of it. A tombstone is a released
-- reservation without a fingerprint: its release came first.
CREATE TABLE reservations (
    reservation_id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL CONSTRAINT reservations_state_known CHECK (
        state IN ('held', 'rejected', 'committed', 'released', 'expired', 'restocked')
    ),
    fingerprint BLOB,
    expire_time INTEGER,
    rejected_sku TEXT,
    rejected_available INTEGER,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    CONSTRAINT reservations_held_lapses CHECK (state <> 'held' OR expire_time IS NOT NULL),
    CONSTRAINT reservations_rejected_says_why CHECK (
        (state = 'rejected') = (rejected_sku IS NOT NULL AND rejected_available IS NOT NULL)
    )
) STRICT, WITHOUT ROWID;

-- For the sweeper; a sold reservation leaves it.
CREATE INDEX reservations_due ON reservations (expire_time) WHERE state = 'held';

-- The lines of all but the rejected, which never held anything.
CREATE TABLE reservation_lines (
    reservation_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL CONSTRAINT reservation_lines_quantity_positive CHECK (quantity > 0),
    PRIMARY KEY (reservation_id, sku)
) STRICT, WITHOUT ROWID;

-- Every movement of units, for ever. Its sums are the stock.
CREATE TABLE stock_ledger (
    sequence INTEGER PRIMARY KEY,
    sku TEXT NOT NULL,
    on_hand_delta INTEGER NOT NULL,
    reserved_delta INTEGER NOT NULL,
    kind TEXT NOT NULL CONSTRAINT stock_ledger_kind_known CHECK (
        kind IN ('import', 'adjust', 'reserve', 'commit', 'release', 'expire', 'restock')
    ),
    -- The reservation or the request that moved them; an import has none.
    reference TEXT,
    time INTEGER NOT NULL
) STRICT;

CREATE TRIGGER stock_ledger_before_update BEFORE UPDATE ON stock_ledger BEGIN
    SELECT raise(ABORT, 'the stock ledger is append-only');
END;

CREATE TRIGGER stock_ledger_before_delete BEFORE DELETE ON stock_ledger BEGIN
    SELECT raise(ABORT, 'the stock ledger is append-only');
END;
