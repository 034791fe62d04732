-- UNTRIED: nobody has run this on a TimescaleDB yet. Without the extension it does nothing, and that is tested.
--
-- Where the extension is there before the first start, the boxes' chunks become a hypertable of one chunk a day, compressed
-- after a week. Its retention is the keeper's (`drop_chunks`, once a day is archived), not a policy of its own, which would
-- drop what no archive holds yet. Citizens' chunks stay in plain partitions: they are truncated, never compressed.
DO $timescale$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN;
    END IF;
    DROP VIEW chunk;
    ALTER TABLE chunk_box RENAME TO chunk_box_plain;
    CREATE TABLE chunk_box (LIKE chunk_box_plain INCLUDING DEFAULTS INCLUDING STORAGE);
    PERFORM create_hypertable('chunk_box', 'day', chunk_time_interval => interval '1 day');
    ALTER TABLE chunk_box ADD UNIQUE (day, device, trip, seq);
    CREATE INDEX ON chunk_box (id);
    INSERT INTO chunk_box SELECT * FROM chunk_box_plain;
    DROP TABLE chunk_box_plain;
    ALTER TABLE chunk_box SET (timescaledb.compress, timescaledb.compress_segmentby = 'device',
                               timescaledb.compress_orderby = 'id');
    PERFORM add_compression_policy('chunk_box', interval '7 days');
    CREATE VIEW chunk AS
        SELECT id, day, device, trip, seq, 'box' AS kind, origin, start_s, distance_m, raw, salt, leaf, received_at
        FROM chunk_box
        UNION ALL
        SELECT id, day, device, trip, seq, 'phone' AS kind, origin, start_s, distance_m, raw, salt, leaf, received_at
        FROM chunk_phone;
    CREATE OR REPLACE FUNCTION open_chunk_day(d date) RETURNS void LANGUAGE plpgsql AS $f$
    BEGIN
        PERFORM pg_advisory_xact_lock(8241996, 4);
        PERFORM open_chunk_partition('chunk_phone', d);
    END $f$;
    CREATE OR REPLACE FUNCTION drop_chunk_box_day(d date) RETURNS void LANGUAGE plpgsql AS $f$
    BEGIN
        PERFORM drop_chunks('chunk_box', older_than => d + 1, newer_than => d);
    END $f$;
END $timescale$;
