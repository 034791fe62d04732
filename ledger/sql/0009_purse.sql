-- The citizen's, the clerk's and the mall's side of points. No table here names a device: an account is a random name,
-- and when it is closed it goes from these rows too.

-- What an account's owner agreed to when joining: the version of the text that was shown.
CREATE TABLE points_consent (
    account text PRIMARY KEY,
    version text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);

-- What a person reported. The square is one of 16 m: a finger on a map is no better, and two reports of one pothole
-- then fall into one square.
CREATE TABLE citizen_report (
    id         text PRIMARY KEY,
    account    text,
    way        text        NOT NULL CHECK (way IN ('photo', 'hotline', 'counter')),
    day        date        NOT NULL,
    cell       bigint      NOT NULL,
    kind       text        NOT NULL,
    note       text        NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    at         timestamptz NOT NULL,
    state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'confirmed', 'refused', 'withdrawn')),
    decided_at timestamptz,
    decided_by text,
    why        text,
    "case"     bigint,
    claim      bigint,
    CHECK ((state IN ('confirmed', 'refused')) = (decided_by IS NOT NULL))
);
CREATE INDEX citizen_report_account ON citizen_report (account);
CREATE INDEX citizen_report_waiting ON citizen_report (at) WHERE state = 'waiting';

-- A photo as it was drawn anew, without what a phone writes beside the pixels.
CREATE TABLE citizen_photo (
    report text PRIMARY KEY REFERENCES citizen_report (id) ON DELETE CASCADE,
    jpeg   bytea       NOT NULL,
    at     timestamptz NOT NULL,
    kept   boolean     NOT NULL DEFAULT false
);

-- One that waits for a day and account at the most.
CREATE TABLE points_appeal (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text        NOT NULL,
    day        date        NOT NULL,
    text       text        NOT NULL CHECK (length(text) BETWEEN 1 AND 500),
    at         timestamptz NOT NULL,
    state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'granted', 'refused')),
    points     int CHECK (points > 0),
    decided_at timestamptz,
    decided_by text,
    why        text,
    claim      bigint,
    CHECK ((state = 'waiting') = (decided_by IS NULL)),
    CHECK ((state = 'granted') = (points IS NOT NULL))
);
CREATE UNIQUE INDEX points_appeal_open ON points_appeal (account, day) WHERE state = 'waiting';
CREATE INDEX points_appeal_account ON points_appeal (account, at);

-- A code that a citizen shows at the mall, once. Only its hash is here; a new one takes the place of the open one.
CREATE TABLE redemption_code (
    hash    bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    account text        NOT NULL UNIQUE,
    points  int         NOT NULL CHECK (points > 0),
    ends_at timestamptz NOT NULL
);

-- What the mall took, by its own key. `hash` stays, so that the same request again gets the same answer.
CREATE TABLE redemption (
    id          text PRIMARY KEY,
    mall_key    text        NOT NULL UNIQUE CHECK (length(mall_key) BETWEEN 8 AND 100),
    hash        bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    account     text,
    points      int         NOT NULL CHECK (points > 0),
    day         date        NOT NULL,
    at          timestamptz NOT NULL,
    refunded_at timestamptz,
    refund_day  date
);
CREATE INDEX redemption_day ON redemption (day);
CREATE INDEX redemption_account ON redemption (account);

-- What the mall is still to be told. The bytes are fixed when the thing happens: a repeat says the same.
CREATE TABLE mall_delivery (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          text        NOT NULL UNIQUE,
    body         text        NOT NULL,
    at           timestamptz NOT NULL,
    attempts     int         NOT NULL DEFAULT 0,
    next_at      timestamptz NOT NULL,
    delivered_at timestamptz,
    fault        text
);
CREATE INDEX mall_delivery_open ON mall_delivery (next_at) WHERE delivered_at IS NULL;
