-- Points of those who joined: what each has, how it came and went, and what a day's settlement said.

-- Nobody is in here who has not joined. The id is random, and all that is left once an account is closed.
CREATE TABLE account (
    id         text PRIMARY KEY CHECK (length(id) BETWEEN 16 AND 64),
    device     text UNIQUE,
    paper_hash bytea UNIQUE CHECK (octet_length(paper_hash) = 32),
    joined_at  timestamptz NOT NULL,
    closed_at  timestamptz,
    -- Running sums of its entries, kept in the transaction that writes them: roadcode fsck holds one against the other.
    earned     bigint NOT NULL DEFAULT 0 CHECK (earned >= 0),
    spent      bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
    expired    bigint NOT NULL DEFAULT 0 CHECK (expired >= 0),
    CHECK (spent + expired <= earned),
    CHECK (closed_at IS NULL OR (device IS NULL AND paper_hash IS NULL AND spent + expired = earned))
);
ALTER TABLE account ALTER COLUMN device SET STATISTICS 0;

CREATE TABLE points_entry (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text   NOT NULL REFERENCES account (id),
    day        date   NOT NULL,               -- the service day that it is about
    settled_on date,                          -- the settlement whose statement says it first
    what       text   NOT NULL CHECK (what IN ('pass', 'report', 'appeal', 'expiry', 'redemption', 'closed')),
    points     bigint NOT NULL CHECK (points <> 0),
    why        jsonb  NOT NULL,               -- counts and reasons, never a place or a time of day
    key        text   UNIQUE CHECK (length(key) <= 200),
    CHECK (what IN ('redemption') OR (points > 0) = (what IN ('pass', 'report', 'appeal')))
);
CREATE INDEX points_entry_account ON points_entry (account, id);
CREATE INDEX points_entry_open ON points_entry (account) WHERE settled_on IS NULL;
CREATE INDEX points_entry_age ON points_entry (day) WHERE what IN ('pass', 'report', 'appeal');

-- What did not earn, by reason: a number a day, of squares, chunks or points as the reason says.
CREATE TABLE points_refusal (
    account text NOT NULL REFERENCES account (id),
    day     date NOT NULL,
    reason  text NOT NULL,
    n       bigint NOT NULL CHECK (n > 0),
    PRIMARY KEY (account, day, reason)
);

-- A settlement. issued_day is what it gave out; issued, spent and expired are sums of all settlements until this one.
CREATE TABLE points_day (
    day        date PRIMARY KEY,
    n          bigint NOT NULL UNIQUE,        -- in the order in which they were made
    budget     bigint NOT NULL CHECK (budget >= 0),
    issued_day bigint NOT NULL CHECK (issued_day BETWEEN 0 AND budget),
    issued     bigint NOT NULL,
    spent      bigint NOT NULL,
    expired    bigint NOT NULL,
    accounts   bigint NOT NULL,
    root       bytea  NOT NULL CHECK (octet_length(root) = 32),
    rules      bytea  NOT NULL CHECK (octet_length(rules) = 32),
    settled_at timestamptz NOT NULL,
    CHECK (spent + expired <= issued)
);

-- Every account's statement as of a settlement, in the order of the tree. Old ones go: a newer one says more.
CREATE TABLE points_leaf (
    day     date   NOT NULL REFERENCES points_day (day),
    n       bigint NOT NULL,
    account text   NOT NULL REFERENCES account (id),
    salt    bytea  NOT NULL CHECK (octet_length(salt) = 32),
    body    bytea  NOT NULL,
    PRIMARY KEY (day, n),
    UNIQUE (account, day)
);

-- What a person has decided: a report that holds, an appeal that was granted. The next settlement pays it.
CREATE TABLE points_claim (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text   NOT NULL REFERENCES account (id),
    what       text   NOT NULL CHECK (what IN ('report', 'appeal')),
    day        date   NOT NULL,               -- of the report, or of the day that was appealed
    cell       bigint,                        -- of a report: the square
    kind       text,
    points     bigint CHECK (points > 0),     -- of an appeal: what was granted
    why        jsonb  NOT NULL,
    entered_at timestamptz NOT NULL,
    settled_on date,
    outcome    text,
    CHECK ((what = 'report') = (cell IS NOT NULL)),
    CHECK ((what = 'appeal') = (points IS NOT NULL)),
    CHECK ((settled_on IS NULL) = (outcome IS NULL))
);
CREATE INDEX points_claim_open ON points_claim (id) WHERE settled_on IS NULL;
CREATE INDEX points_claim_account ON points_claim (account, id);
