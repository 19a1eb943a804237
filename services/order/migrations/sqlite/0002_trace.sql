-- The span of the call that began the saga, as W3C's traceparent, so that whoever goes
-- on with it after a crash can refer to it.
ALTER TABLE sagas ADD COLUMN traceparent TEXT;
