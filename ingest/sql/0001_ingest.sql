-- What arrived? Devices, the keys that were taken, the chunks themselves, and what was turned away.

CREATE TABLE device (
    id            text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{2,40}$'),
    kind          text NOT NULL CHECK (kind IN ('box', 'phone')),
    password_hash text NOT NULL,              -- bcrypt; the password itself is only in the device's credential
    enrolled_at   timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);

CREATE TABLE day_context (
    day    date PRIMARY KEY,
    salt   bytea NOT NULL,                    -- hides which device a slot stands for; goes when the day is sealed
    body   bytea NOT NULL,                    -- canonical CBOR of all that the day's evidence depends on
    sha256 bytea NOT NULL
);

-- Which chunks were taken, 64 sequence numbers a row: bit (seq & 63) of window (seq >> 6).
CREATE TABLE seen (
    day    date   NOT NULL,
    device text   NOT NULL,
    trip   text   NOT NULL,
    w      int    NOT NULL,
    mask   bigint NOT NULL,
    PRIMARY KEY (day, device, trip, w)
);

CREATE TABLE chunk (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day         date   NOT NULL,
    device      text   NOT NULL,
    trip        text   NOT NULL,
    seq         int    NOT NULL,
    kind        text   NOT NULL,
    origin      text   NOT NULL,
    start_s     float8 NOT NULL,
    distance_m  float4 NOT NULL,
    raw         bytea  NOT NULL,
    salt        bytea  NOT NULL,              -- leaf = sha256(salt || sha256(raw)): erasing the salt unlinks the log
    leaf        bytea  NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (day, device, trip, seq)
);
ALTER TABLE chunk ALTER COLUMN raw SET STORAGE EXTERNAL;

CREATE TABLE dead_letter (
    device  text  NOT NULL,
    sha256  bytea NOT NULL,
    reason  text  NOT NULL,
    detail  text  NOT NULL,
    trip    text,                             -- where the payload could be read that far
    seq     int,
    bytes   int   NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    times   int   NOT NULL DEFAULT 1,
    PRIMARY KEY (device, sha256)
);
CREATE INDEX dead_letter_trip ON dead_letter (device, trip);

-- Counts that the metrics show; written in the transaction that they count, so that a crash cannot make them lie.
CREATE TABLE tally (
    name  text   NOT NULL,
    label text   NOT NULL DEFAULT '',
    n     bigint NOT NULL,
    PRIMARY KEY (name, label)
);
