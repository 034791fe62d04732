-- Rights of departments on the chain, and what both outboxes of signed transactions need when a chain reorganises.

-- One row for each step that the contract shall take: the same discipline as `anchor`, with the admin's key.
CREATE TABLE chain_grant (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      bytea       NOT NULL CHECK (octet_length(account) = 20),
    step         text        NOT NULL CHECK (step IN ('grant', 'revoke')),
    from_s       bigint CHECK (from_s >= 0),
    to_s         bigint CHECK (to_s > from_s),
    record_leaf  bytea       NOT NULL CHECK (octet_length(record_leaf) = 32),
    status       text        NOT NULL DEFAULT 'waiting'
                 CHECK (status IN ('waiting', 'prepared', 'sent', 'mined', 'failed', 'undone')),
    reason       text,
    nonce        bigint,
    tx_hash      bytea UNIQUE CHECK (octet_length(tx_hash) = 32),
    raw_tx       bytea,
    signed_s     bigint,
    block_number bigint,
    block_hash   bytea CHECK (octet_length(block_hash) = 32),
    block_time   bigint,
    final        boolean     NOT NULL DEFAULT false,
    at           timestamptz NOT NULL DEFAULT now(),
    CHECK ((step = 'grant') = (from_s IS NOT NULL AND to_s IS NOT NULL)),
    CHECK (status IN ('waiting', 'failed') OR raw_tx IS NOT NULL),
    UNIQUE (account, step, record_leaf)
);
CREATE INDEX chain_grant_account ON chain_grant (account, id);
CREATE INDEX chain_grant_waiting ON chain_grant (id) WHERE status = 'waiting';
CREATE INDEX chain_grant_block ON chain_grant (block_number DESC) WHERE status = 'mined';
-- The admin's account has one next nonce: two at once would race for it.
CREATE UNIQUE INDEX chain_grant_open ON chain_grant ((true)) WHERE status IN ('prepared', 'sent');

-- undone: was mined in a block that the chain has given up since; its bytes are sent again.
ALTER TABLE anchor DROP CONSTRAINT anchor_status_check;
ALTER TABLE anchor ADD CHECK (status IN ('prepared', 'sent', 'mined', 'failed', 'undone'));
-- final: enough blocks lie on it. What was anchored before confirmations were counted was final at once.
ALTER TABLE anchor ADD COLUMN final boolean NOT NULL DEFAULT false;
ALTER TABLE anchor ADD COLUMN signed_s bigint;
UPDATE anchor SET final = true WHERE status = 'mined';
CREATE INDEX anchor_block ON anchor (block_number DESC) WHERE status = 'mined';

-- Signed bytes that a dearer transaction with the same nonce was put in place of: one of them may be mined all the same.
CREATE TABLE tx_replaced (
    tx_hash   bytea PRIMARY KEY CHECK (octet_length(tx_hash) = 32),
    anchor_id bigint REFERENCES anchor (id) ON DELETE CASCADE,
    grant_id  bigint REFERENCES chain_grant (id) ON DELETE CASCADE,
    raw_tx    bytea       NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    CHECK ((anchor_id IS NULL) <> (grant_id IS NULL))
);
CREATE INDEX tx_replaced_anchor ON tx_replaced (anchor_id);
CREATE INDEX tx_replaced_grant ON tx_replaced (grant_id);
