-- Moves the units of reservations that the caller has locked: all that are in one state
-- to another. Says how many reservations and lines those were, and how many of the lines
-- have a stock; the caller undoes all of it if the numbers are not what they must be.
CREATE FUNCTION move_units(
    ids        uuid[],
    from_state text,
    to_state   text,
    movement   text,
    -- What moving one unit does to the units on hand, and to the reserved ones.
    on_hand_per_unit  bigint,
    reserved_per_unit bigint,
    moment     timestamptz,
    OUT changed bigint,
    OUT moved   bigint,
    OUT stocked bigint
) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reservations
       SET state = to_state,
           update_time = moment
     WHERE reservation_id = ANY (ids)
       AND state = from_state;
    GET DIAGNOSTICS changed = ROW_COUNT;

    INSERT INTO stock_ledger (sku, on_hand_delta, reserved_delta, kind, reference, time)
    SELECT sku, on_hand_per_unit * quantity, reserved_per_unit * quantity, movement,
           reservation_id, moment
      FROM reservation_lines
     WHERE reservation_id = ANY (ids);
    GET DIAGNOSTICS moved = ROW_COUNT;

    -- The stock comes last, since others wait for it; and in the order of SKUs, so that
    -- no two wait for each other.
    PERFORM
       FROM stock
      WHERE sku IN (SELECT sku FROM reservation_lines WHERE reservation_id = ANY (ids))
      ORDER BY sku
        FOR NO KEY UPDATE;

    WITH line AS (
         SELECT sku, sum(quantity)::bigint AS units, count(*) AS entries
           FROM reservation_lines
          WHERE reservation_id = ANY (ids)
          GROUP BY sku
         ),
         updated AS (
         UPDATE stock
            SET on_hand = on_hand + on_hand_per_unit * units,
                reserved = reserved + reserved_per_unit * units
           FROM line
          WHERE stock.sku = line.sku
         RETURNING entries
         )
    SELECT coalesce(sum(entries), 0)
      INTO stocked
      FROM updated;
END;
$$;
