-- What the operator signed at once: that a record will be in the log within the stated time. Kept as long as the record
-- itself, so that a promise can be held against the log at any time after.
CREATE TABLE receipt (
    leaf  bytea PRIMARY KEY CHECK (octet_length(leaf) = 32),
    at_ms bigint NOT NULL,
    mmd_s integer NOT NULL CHECK (mmd_s > 0),
    body  bytea  NOT NULL
);

-- Receipts, and whoever holds one, ask by the leaf's hash.
CREATE INDEX record_leaf ON record USING hash (leaf);
CREATE INDEX record_at ON record (at);
