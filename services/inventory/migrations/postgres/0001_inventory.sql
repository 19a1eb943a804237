-- Units are everybody's: a reservation is kept with the stock that it holds, in one
-- database, and not with its owner. So nothing here is spread by bucket.

-- What is sold.
CREATE TABLE products (
    sku         text        COLLATE "C" NOT NULL PRIMARY KEY,
    title       text        NOT NULL,
    currency    text        NOT NULL,
    price_minor bigint      NOT NULL CONSTRAINT products_price_not_negative CHECK (price_minor >= 0),
    -- The words of title and SKU as a search knows them, which the program makes.
    words       tsvector    NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);

CREATE INDEX products_by_word ON products USING gin (words);

-- The truth about units, one small row a product. Checkouts write it all the time: half
-- of each page is left free, so that the new version of a row lies on the page of the
-- old one, and the index has nothing to learn.
CREATE TABLE stock (
    sku      text   COLLATE "C" NOT NULL PRIMARY KEY REFERENCES products (sku),
    on_hand  bigint NOT NULL,
    reserved bigint NOT NULL,
    CONSTRAINT stock_reserved_within_on_hand CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 50);

-- What was asked to be held, and what became of it. A tombstone is a released
-- reservation without a fingerprint: its release came first.
CREATE TABLE reservations (
    reservation_id     uuid        NOT NULL PRIMARY KEY,
    state              text        NOT NULL CONSTRAINT reservations_state_known CHECK (
        state IN ('held', 'rejected', 'committed', 'released', 'expired', 'restocked')
    ),
    fingerprint        bytea       CONSTRAINT reservations_fingerprint_whole CHECK (
        length(fingerprint) = 32
    ),
    expire_time        timestamptz,
    rejected_sku       text        COLLATE "C",
    rejected_available bigint,
    create_time        timestamptz NOT NULL,
    update_time        timestamptz NOT NULL,
    CONSTRAINT reservations_held_lapses CHECK (state <> 'held' OR expire_time IS NOT NULL),
    CONSTRAINT reservations_rejected_says_why CHECK (
        (state = 'rejected') = (rejected_sku IS NOT NULL AND rejected_available IS NOT NULL)
    )
);

-- For the sweeper; a sold reservation leaves it.
CREATE INDEX reservations_due ON reservations (expire_time, reservation_id) WHERE state = 'held';

-- The lines of all but the rejected, which never held anything.
CREATE TABLE reservation_lines (
    reservation_id uuid   NOT NULL,
    sku            text   COLLATE "C" NOT NULL,
    quantity       bigint NOT NULL CONSTRAINT reservation_lines_quantity_positive CHECK (quantity > 0),
    PRIMARY KEY (reservation_id, sku)
);

-- Every movement of units, for ever. Its sums are the stock. Transactions commit in any
-- order, so the sequence is not that of the movements, and it has gaps.
CREATE TABLE stock_ledger (
    sequence       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku            text        COLLATE "C" NOT NULL,
    on_hand_delta  bigint      NOT NULL,
    reserved_delta bigint      NOT NULL,
    kind           text        NOT NULL CONSTRAINT stock_ledger_kind_known CHECK (
        kind IN ('import', 'adjust', 'reserve', 'commit', 'release', 'expire', 'restock')
    ),
    -- The reservation or the request that moved them; an import has none.
    reference      uuid,
    time           timestamptz NOT NULL
);

CREATE FUNCTION refuse_to_rewrite_the_stock_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the stock ledger is append-only'
        USING ERRCODE = 'integrity_constraint_violation';
END;
$$;

CREATE TRIGGER stock_ledger_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_the_stock_ledger();
