-- Decides reservations in their order: each holds all of its lines or none. Answers what
-- is kept of each afterwards, so a repetition is told what the first was told.
--
-- `ids` are distinct, with what else is known of each in two arrays beside it. `skus` are
-- those of all lines, each once. The lines are in the order of the reservations, and those
-- of one reservation in the order of SKUs: line i belongs to reservation `numbers[i]`, and
-- asks for `quantities[i]` of `skus[places[i]]`. Arrays begin at 1.
CREATE FUNCTION reserve_batch(
    ids          uuid[],
    fingerprints bytea[],
    expire_times timestamptz[],
    skus         text[],
    numbers      integer[],
    places       integer[],
    quantities   bigint[],
    moment       timestamptz
) RETURNS SETOF reservations LANGUAGE plpgsql AS $$
DECLARE
    -- Of each of the SKUs: how much there is, and how much of it is taken here.
    free        bigint[];
    taken       bigint[]  := array_fill(0::bigint, ARRAY[cardinality(skus)]);
    -- Of each of the reservations.
    is_new      boolean[];
    states      text[]    := array_fill(NULL::text, ARRAY[cardinality(ids)]);
    short_skus  text[]    := array_fill(NULL::text, ARRAY[cardinality(ids)]);
    short_units bigint[]  := array_fill(NULL::bigint, ARRAY[cardinality(ids)]);
    -- Where the loop is.
    next_line   integer   := 1;
    first_line  integer;
    place       integer;
    short       integer;
    decided     bigint    := 0;
    written     bigint;
BEGIN
    -- Whoever moves units locks their stock in the order of SKUs, and nobody who holds
    -- such a lock waits for a reservation that is there. So no two wait for each other.
    WITH locked AS MATERIALIZED (
         SELECT sku, on_hand - reserved AS units
           FROM stock
          WHERE sku = ANY (skus)
          ORDER BY sku
            FOR NO KEY UPDATE
         )
    SELECT array_agg(coalesce(units, 0) ORDER BY wanted.place)
      INTO free
      FROM unnest(skus) WITH ORDINALITY AS wanted (sku, place)
      LEFT JOIN locked USING (sku);

    -- Another batch with one of these ids has mostly waited for the same stock. Each
    -- statement sees what was committed before it began, so this one sees that batch.
    SELECT array_agg(kept.reservation_id IS NULL ORDER BY wanted.number)
      INTO is_new
      FROM unnest(ids) WITH ORDINALITY AS wanted (id, number)
      LEFT JOIN reservations AS kept ON kept.reservation_id = wanted.id;

    FOR number IN 1 .. cardinality(ids) LOOP
        first_line := next_line;
        short := NULL;
        WHILE numbers[next_line] = number LOOP
            place := places[next_line];
            IF short IS NULL AND free[place] < quantities[next_line] THEN
                short := place;
            END IF;
            next_line := next_line + 1;
        END LOOP;
        CONTINUE WHEN NOT is_new[number];
        decided := decided + 1;
        IF short IS NULL THEN
            states[number] := 'held';
            FOR line IN first_line .. next_line - 1 LOOP
                place := places[line];
                free[place] := free[place] - quantities[line];
                taken[place] := taken[place] + quantities[line];
            END LOOP;
        ELSE
            states[number] := 'rejected';
            short_skus[number] := skus[short];
            short_units[number] := free[short];
        END IF;
    END LOOP;

    IF decided > 0 THEN
        INSERT INTO reservations (
               reservation_id, state, fingerprint, expire_time, rejected_sku,
               rejected_available, create_time, update_time)
        SELECT id, state, fingerprint, CASE state WHEN 'held' THEN expire_time END,
               short_sku, short_unit, moment, moment
          FROM unnest(ids, states, fingerprints, expire_times, short_skus, short_units)
               AS decision (id, state, fingerprint, expire_time, short_sku, short_unit)
         WHERE state IS NOT NULL
         ORDER BY id
            ON CONFLICT (reservation_id) DO NOTHING;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> decided THEN
            -- One of them was released meanwhile, or reserved with other lines. What is
            -- decided here does not hold then; the caller does it again from the start.
            RAISE EXCEPTION 'a reservation was made meanwhile'
                USING ERRCODE = 'serialization_failure';
        END IF;

        WITH held AS (
             INSERT INTO reservation_lines (reservation_id, sku, quantity)
             SELECT ids[number], skus[line.place], quantity
               FROM unnest(numbers, places, quantities) AS line (number, place, quantity)
              WHERE states[number] = 'held'
             RETURNING reservation_id, sku, quantity
             )
        INSERT INTO stock_ledger (sku, on_hand_delta, reserved_delta, kind, reference, time)
        SELECT sku, 0, quantity, 'reserve', reservation_id, moment
          FROM held;

        UPDATE stock
           SET reserved = reserved + units
          FROM unnest(skus, taken) AS taking (sku, units)
         WHERE stock.sku = taking.sku
           AND units > 0;
    END IF;

    RETURN QUERY
    SELECT *
      FROM reservations
     WHERE reservation_id = ANY (ids);
END;
$$;
