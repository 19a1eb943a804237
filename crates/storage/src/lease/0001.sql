-- A row is never deleted: its fence must only ever grow.
CREATE TABLE leases (
    name        TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT,
    fence       INTEGER NOT NULL,
    expire_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
