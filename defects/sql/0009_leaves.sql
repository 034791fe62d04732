-- What a sealed day's chunks leave behind when they go: the salted hashes of those that passed a block, 32 bytes each, in
-- rising order. The `seal` record holds the Merkle root of all of them; with it a chunk's own hash leads to the log long
-- after the chunk and its salt are destroyed.
CREATE TABLE chunk_leaves (
    day    date   NOT NULL,
    blk    bigint NOT NULL,
    leaves bytea  NOT NULL CHECK (octet_length(leaves) > 0 AND octet_length(leaves) % 32 = 0),
    node   bytea CHECK (octet_length(node) = 32),      -- what stands for the block in the day's tree
    PRIMARY KEY (day, blk)
);
ALTER TABLE chunk_leaves ALTER COLUMN leaves SET STORAGE EXTERNAL;   -- hashes do not shrink
ALTER TABLE chunk_leaves ALTER COLUMN leaves SET STATISTICS 0;
CREATE INDEX chunk_leaves_blk ON chunk_leaves (blk, day);
