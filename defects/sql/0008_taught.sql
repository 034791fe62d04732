-- What phones whose owners collect points taught on a day that is not settled yet. Gone at the seal.

-- A chunk's word on one block, under a pseudonym that dies with the day's salt; no time stands in it. blk 0: a chunk
-- that earns nothing, with the number of the reason in d.
CREATE TABLE taught (
    day       date   NOT NULL,
    pseudonym bytea  NOT NULL CHECK (octet_length(pseudonym) = 16),
    blk       bigint NOT NULL,
    together  bytea  NOT NULL,                -- salted tokens: which devices were in a block in one minute
    d         bytea  NOT NULL
);
CREATE INDEX taught_block ON taught (day, blk);
ALTER TABLE taught ALTER COLUMN pseudonym SET STATISTICS 0;
ALTER TABLE taught ALTER COLUMN together SET STATISTICS 0;
ALTER TABLE taught ALTER COLUMN d SET STATISTICS 0;
