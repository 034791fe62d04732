-- What the platform says, in the order it was said, and what stands for it outside.

-- Written by other pumps inside their own transactions; its ids leave gaps when one of those is rolled back.
CREATE TABLE outbox (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    text        NOT NULL,
    subject bigint,
    body    bytea       NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);

-- The leaves of the log: numbered without gaps by the one leased sequencer, never changed.
CREATE TABLE record (
    idx     bigint PRIMARY KEY CHECK (idx >= 0),
    kind    text        NOT NULL,
    subject bigint,
    day     date,
    body    bytea       NOT NULL,
    leaf    bytea       NOT NULL CHECK (octet_length(leaf) = 32),
    at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX record_subject ON record (kind, subject, idx DESC);

CREATE TABLE checkpoint (
    size bigint PRIMARY KEY CHECK (size > 0),
    root bytea       NOT NULL CHECK (octet_length(root) = 32),
    note text        NOT NULL,
    at   timestamptz NOT NULL DEFAULT now()
);

-- One row for each transaction that was ever signed, saved before it was sent.
CREATE TABLE anchor (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size         bigint      NOT NULL REFERENCES checkpoint (size),
    root         bytea       NOT NULL CHECK (octet_length(root) = 32),
    nonce        bigint      NOT NULL,
    tx_hash      bytea       NOT NULL UNIQUE CHECK (octet_length(tx_hash) = 32),
    raw_tx       bytea       NOT NULL,
    status       text        NOT NULL CHECK (status IN ('prepared', 'sent', 'mined', 'failed')),
    reason       text,
    block_number bigint,
    block_hash   bytea CHECK (octet_length(block_hash) = 32),
    block_time   bigint,
    seq          bigint,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX anchor_size ON anchor (size) WHERE status = 'mined';
-- At most one transaction is under way: two would race for the same predecessor.
CREATE UNIQUE INDEX anchor_open ON anchor ((true)) WHERE status IN ('prepared', 'sent');
