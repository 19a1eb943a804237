-- Plans for tables that grow. A session keeps the plan of a statement in a function until
-- the tables are analyzed again. One that was made while a table was small reads all of it,
-- and is used on for a minute or more while thousands of rows come, so that each batch takes
-- longer than the one before. What these functions look for, they find by an index, which
-- costs little on a small table as well; and arrays of any length get the same plan, so that
-- a small batch is not planned anew each time.
ALTER FUNCTION reserve_batch SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION reserve_batch SET enable_seqscan = off;
ALTER FUNCTION reserve_batch SET enable_hashjoin = off;
ALTER FUNCTION reserve_batch SET enable_mergejoin = off;

ALTER FUNCTION move_units SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION move_units SET enable_seqscan = off;
ALTER FUNCTION move_units SET enable_hashjoin = off;
ALTER FUNCTION move_units SET enable_mergejoin = off;
