-- The journal at scale: what found something is folded at once, what was quiet may wait; and states that are carried.

-- A batch has up to two rows a day: blocks in which something was felt or seen, and quiet ones. A row that was written
-- before says nothing of it and is folded at once.
ALTER TABLE journal
    ADD COLUMN found boolean     NOT NULL DEFAULT true,
    ADD COLUMN at    timestamptz NOT NULL DEFAULT clock_timestamp();

-- Rows come and go within a minute. Left to the usual shares of a table that is empty by then, the space that they held
-- was used again too late, and the journal's file grew to many times of what ever waits in it.
ALTER TABLE journal SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000,
    toast.autovacuum_vacuum_cost_delay = 0
);

-- A fold writes the row of today again and again: with room left on its page no index is touched.
ALTER TABLE evidence SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE code SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- What a block's squares were at the end of a sealed day: a shortcut to their evidence, which can be made again from it.
CREATE TABLE carry (
    blk  bigint PRIMARY KEY,
    asof date   NOT NULL,
    d    bytea  NOT NULL
);
ALTER TABLE carry ALTER COLUMN d SET STORAGE EXTERNAL;
