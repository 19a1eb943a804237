-- A row is never deleted: its fence must only ever grow.
CREATE TABLE leases (
    name        text        NOT NULL COLLATE "C" PRIMARY KEY,
    owner       uuid,
    fence       bigint      NOT NULL,
    expire_time timestamptz NOT NULL
);
