-- Raw chunks by day: a day goes as a file that is unlinked, not as rows that somebody has to sweep up. Boxes and citizens'
-- phones lie apart, because they go at different times. One sequence numbers both; the view `chunk` reads both.

CREATE SEQUENCE chunk_id AS bigint;

-- No primary key: a unique index of a partitioned table must hold the day, and nobody looks a number up with its day.
CREATE TABLE chunk_box (
    id          bigint NOT NULL DEFAULT nextval('chunk_id'),
    day         date   NOT NULL,
    device      text   NOT NULL,
    trip        text   NOT NULL,
    seq         int    NOT NULL,
    origin      text   NOT NULL,
    start_s     float8 NOT NULL,
    distance_m  float4 NOT NULL,
    raw         bytea  NOT NULL,
    salt        bytea  NOT NULL,              -- leaf = sha256(salt || sha256(raw)): erasing the salt unlinks the log
    leaf        bytea  NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (day, device, trip, seq)
) PARTITION BY LIST (day);
CREATE INDEX chunk_box_id ON chunk_box (id);
ALTER TABLE chunk_box ALTER COLUMN raw SET STORAGE EXTERNAL;

CREATE TABLE chunk_phone (
    LIKE chunk_box INCLUDING DEFAULTS INCLUDING STORAGE,
    UNIQUE (day, device, trip, seq)
) PARTITION BY LIST (day);
CREATE INDEX chunk_phone_id ON chunk_phone (id);

-- One partition. Attached rather than made in place: that stops no reader and no writer of the other days. The planner
-- must not take samples of who drove where, neither of a partition nor of all: they lie elsewhere and would outlive it.
CREATE FUNCTION sample_nothing(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    col text;
BEGIN
    FOREACH col IN ARRAY ARRAY['device', 'trip', 'start_s', 'raw', 'salt', 'leaf'] LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS 0', name, col);
    END LOOP;
END $$;
SELECT sample_nothing('chunk_box'), sample_nothing('chunk_phone');

CREATE FUNCTION open_chunk_partition(parent text, d date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part text := parent || to_char(d, '_YYYYMMDD');
BEGIN
    IF to_regclass(quote_ident(part)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE)', part, parent);
    PERFORM sample_nothing(part);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%L)', parent, part, d);
END $$;

-- Makes room for a day. Any number of workers may call it at once, as often as they like.
CREATE FUNCTION open_chunk_day(d date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(8241996, 4);  -- two workers that open a day at once make it one after the other
    PERFORM open_chunk_partition('chunk_box', d);
    PERFORM open_chunk_partition('chunk_phone', d);
END $$;

-- A day's raw chunks of boxes go; the keeper calls it when they are old enough (and archived).
CREATE FUNCTION drop_chunk_box_day(d date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', 'chunk_box' || to_char(d, '_YYYYMMDD'));
END $$;

-- What is here already moves over, under its number.
SELECT open_chunk_day(day) FROM (SELECT day FROM day_context UNION SELECT DISTINCT day FROM chunk) AS days;
INSERT INTO chunk_box (id, day, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf, received_at)
    SELECT id, day, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf, received_at
    FROM chunk WHERE kind = 'box' ORDER BY id;
INSERT INTO chunk_phone (id, day, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf, received_at)
    SELECT id, day, device, trip, seq, origin, start_s, distance_m, raw, salt, leaf, received_at
    FROM chunk WHERE kind <> 'box' ORDER BY id;
SELECT setval('chunk_id', (SELECT coalesce(max(id), 0) + 1 FROM chunk), false);
DROP TABLE chunk;

CREATE VIEW chunk AS
    SELECT id, day, device, trip, seq, 'box' AS kind, origin, start_s, distance_m, raw, salt, leaf, received_at
    FROM chunk_box
    UNION ALL
    SELECT id, day, device, trip, seq, 'phone' AS kind, origin, start_s, distance_m, raw, salt, leaf, received_at
    FROM chunk_phone;

-- What has become of a day. A salt that is gone is NULL: nobody can work out any more whose a slot was.
ALTER TABLE day_context ALTER COLUMN salt DROP NOT NULL;
ALTER TABLE day_context ADD COLUMN phones_gone_at timestamptz;   -- citizens' raw chunks: at the end of the day
ALTER TABLE day_context ADD COLUMN sealed_at      timestamptz;   -- nothing is taken for it any more
ALTER TABLE day_context ADD COLUMN boxes_gone_at  timestamptz;   -- boxes' raw chunks: after the retention
ALTER TABLE day_context ADD CONSTRAINT day_context_sealed CHECK ((salt IS NULL) = (sealed_at IS NOT NULL));

-- Old bytes that are still to be overwritten, noted with what made them old: a keeper that is killed does not forget.
CREATE TABLE upkeep (what text PRIMARY KEY CHECK (what IN ('pages', 'log')));

-- The planner's samples of these would outlive the rows: none are taken.
ALTER TABLE day_context ALTER COLUMN salt SET STATISTICS 0;
ALTER TABLE device ALTER COLUMN id SET STATISTICS 0;
ALTER TABLE device_day ALTER COLUMN device SET STATISTICS 0;
ALTER TABLE device_weight ALTER COLUMN device SET STATISTICS 0;
ALTER TABLE seen ALTER COLUMN device SET STATISTICS 0;
ALTER TABLE seen ALTER COLUMN trip SET STATISTICS 0;
