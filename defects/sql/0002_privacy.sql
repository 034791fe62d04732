-- What stays of citizens' raw chunks when they go: enough to prove a block's record, and nothing of who drove where.

-- The salted hashes of a block's and day's phone chunks; their salts are destroyed with the chunks. One chunk has one hash
-- in each block it passed (a few hundred metres at the most); nothing joins one chunk to the next.
CREATE TABLE phone_leaf (
    blk     bigint NOT NULL,
    day     date   NOT NULL,
    leaf    bytea  NOT NULL,
    journal bigint,                           -- while its batch is not folded; then nothing tells what came together
    PRIMARY KEY (blk, day, leaf)
);
ALTER TABLE phone_leaf ALTER COLUMN leaf SET STATISTICS 0;
CREATE INDEX phone_leaf_unfolded ON phone_leaf (journal) WHERE journal IS NOT NULL;

-- A day's passes and findings go by day.
CREATE INDEX pass_day ON pass (day);
