-- A device's condition as its chunks show it, and how far it is believed.

-- Sums and one minimum over the chunks of a device and day, added in the transaction that takes the chunks; the columns
-- are the fields of ingest.Condition.
CREATE TABLE device_day (
    day       date   NOT NULL,
    device    text   NOT NULL,
    chunks    bigint NOT NULL,
    owned_ms  bigint NOT NULL,
    fixes     bigint NOT NULL,
    jumps     bigint NOT NULL,
    late      bigint NOT NULL,
    wandering bigint NOT NULL,
    too_fast  bigint NOT NULL,
    gaps      bigint NOT NULL,
    looked    bigint NOT NULL,
    samples   bigint NOT NULL,
    stuck     bigint NOT NULL,
    saturated bigint NOT NULL,
    repeats   bigint NOT NULL,
    steady    bigint NOT NULL,
    tonal     bigint NOT NULL,
    tone_dhz  bigint NOT NULL,
    tone_dhz2 bigint NOT NULL,
    delay_ms  bigint NOT NULL,              -- the least
    PRIMARY KEY (day, device)
) WITH (fillfactor = 50);                   -- rows are updated all day long; none of the columns updated is indexed

-- The weights of a day, frozen when it opens. The devices '*box' and '*phone' stand for all that have no row: newcomers.
CREATE TABLE device_weight (
    day        date     NOT NULL,
    device     text     NOT NULL,
    weight_pct smallint NOT NULL CHECK (weight_pct BETWEEN 0 AND 100),
    faults     text[]   NOT NULL DEFAULT '{}',
    PRIMARY KEY (day, device)
);
