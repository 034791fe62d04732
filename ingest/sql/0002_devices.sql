-- Who may send: when a password was renewed, what a citizen agreed to, who was forgotten; and how phones get in.

ALTER TABLE device
    ADD COLUMN rotated_at      timestamptz,
    ADD COLUMN consent_version text,          -- of a phone that enrolled itself: which text its owner agreed to,
    ADD COLUMN consent_at      timestamptz,   -- and when
    ADD COLUMN erased_at       timestamptz;   -- its data are gone; the name stays, so that nothing of it is taken again

-- A code that lets phones in. Only its hash is kept, and not who came by it: a list of who was invited by whom is a
-- list of who knows whom.
CREATE TABLE invitation (
    code_hash  bytea PRIMARY KEY,
    uses_left  int         NOT NULL CHECK (uses_left >= 0),
    expires_at timestamptz NOT NULL
);

-- Days of which chunks were erased at their owner's wish: their sums can no longer be counted again.
CREATE TABLE erasure (
    day    date PRIMARY KEY,
    chunks bigint NOT NULL
);
