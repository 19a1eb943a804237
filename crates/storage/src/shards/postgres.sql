-- Which shard this database is, and which buckets of users it has.

CREATE TABLE shard (
    -- Its place in the list of databases, from 0.
    number   smallint NOT NULL PRIMARY KEY CHECK (0 <= number),
    -- Grows with each change of shard_buckets, so that a look at it tells of one.
    revision bigint   NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX shard_is_one ON shard ((true));

-- A bucket is here in one of five states:
--   owned     it is read and written here
--   moving    it is read and written here, and copied to the peer
--   frozen    as moving, but until the moment given nobody comes in who asks
--   given     the peer owns it, or is about to; what is here is an old copy
--   arriving  it is copied from the peer, and not to be read yet
CREATE TABLE shard_buckets (
    bucket       smallint    NOT NULL PRIMARY KEY CHECK (bucket BETWEEN 0 AND 4095),
    state        text        NOT NULL CHECK (
        state IN ('owned', 'moving', 'frozen', 'given', 'arriving')
    ),
    -- How often the bucket has changed its owner.
    epoch        bigint      NOT NULL,
    peer         smallint,
    frozen_until timestamptz,
    -- Of a bucket that is given or arriving: all of it is here as it was at some moment,
    -- and its owner has written down what has changed since.
    has_copy     boolean     NOT NULL DEFAULT false,
    CONSTRAINT shard_buckets_peer CHECK ((state = 'owned') = (peer IS NULL)),
    CONSTRAINT shard_buckets_thaw CHECK ((state = 'frozen') = (frozen_until IS NOT NULL))
);

-- The buckets whose changes are written down, and the keys of the rows that have changed.
CREATE TABLE shard_captured (
    bucket smallint NOT NULL PRIMARY KEY
);

CREATE TABLE shard_changes (
    sequence bigint   NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket   smallint NOT NULL,
    relation text     NOT NULL,
    key      jsonb    NOT NULL
);

-- Lets a transaction in that writes what belongs to a bucket, and keeps the bucket where
-- it is until the transaction ends. The number is any, as long as it stays: "shrd".
CREATE FUNCTION shard_enter(wanted smallint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found shard_buckets%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1936224868, wanted);
    SELECT * INTO found FROM shard_buckets WHERE bucket = wanted;
    IF found.state IN ('owned', 'moving') THEN
        RETURN;
    END IF;
    IF found.state = 'frozen' THEN
        -- Whoever froze it has vanished, or is too late by this.
        IF found.frozen_until < clock_timestamp() THEN
            RETURN;
        END IF;
        RAISE EXCEPTION 'bucket % is about to move', wanted USING ERRCODE = 'TR002';
    END IF;
    RAISE EXCEPTION 'bucket % is not here', wanted USING ERRCODE = 'TR001';
END
$$;

-- Lets a transaction in that writes rows of any bucket that is here.
CREATE FUNCTION shard_enter_all() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared(1936224868, -1)
$$;

-- The buckets whose rows here are what is true.
CREATE VIEW shard_here AS
SELECT bucket
  FROM shard_buckets
 WHERE state IN ('owned', 'moving', 'frozen');

-- Whether rows of a bucket may be changed by whoever works on all.
CREATE FUNCTION shard_has(wanted smallint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM shard_buckets WHERE bucket = wanted AND state IN ('owned', 'moving')
    )
$$;

-- Keeps all writers of some buckets out until the transaction ends.
CREATE FUNCTION shard_exclude(wanted smallint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one smallint;
BEGIN
    PERFORM pg_advisory_xact_lock(1936224868, -1);
    FOREACH one IN ARRAY wanted LOOP
        PERFORM pg_advisory_xact_lock(1936224868, one);
    END LOOP;
END
$$;

-- Writes down which row has changed; its arguments are the columns of the key. The rows of
-- a transaction come in the order in which they were written.
CREATE FUNCTION shard_capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
    INSERT INTO shard_changes (bucket, relation, key)
    SELECT captured.bucket, TG_TABLE_NAME,
           (SELECT jsonb_object_agg(name, changed -> name) FROM unnest(TG_ARGV) AS name)
      FROM shard_captured AS captured
     WHERE captured.bucket = (changed ->> 'bucket')::smallint;
    RETURN NULL;
END
$$;
