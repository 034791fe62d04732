-- What the operator signed at once: that a record will be in the log within a stated time. Kept as long as the record
-- itself, so that a promise can be held against the log at any time after.
CREATE TABLE receipt (
    leaf  bytea PRIMARY KEY CHECK (octet_length(leaf) = 32),
    at_ms bigint  NOT NULL,
    mmd_s integer NOT NULL CHECK (mmd_s > 0),
    body  bytea   NOT NULL                    -- COSE_Sign1, as it was given out
);

-- When a record was said, which its row in the outbox knew and took with it: what a promised delay is counted from.
-- Null of records that were numbered before this column was there.
ALTER TABLE record ADD COLUMN said_at timestamptz;

-- The service day that a body names, noted by who made it, so that numbering reads no body.
ALTER TABLE outbox ADD COLUMN day date;

-- Who holds a receipt, or a record, asks by the leaf's hash.
CREATE INDEX record_leaf ON record USING hash (leaf);
CREATE INDEX outbox_leaf ON outbox USING hash (sha256('\x00'::bytea || body));
-- How long what waits has waited; by the time at which records were numbered, how long others did.
CREATE INDEX outbox_at ON outbox (at);
