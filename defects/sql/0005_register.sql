-- What is known of the ground beside what passed over it: harmless objects, works permits, repairs.

-- One row an entry, never changed but for its end: any day's view can be made again. Both days belong to it.
CREATE TABLE register_entry (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    register text   NOT NULL CHECK (register IN ('object', 'permit', 'repair')),
    kind     text   NOT NULL,                 -- of an object: speed_bump, cover ...; of a permit: works; of a repair: patch ...
    key      text   NOT NULL,                 -- its name where it comes from: the same key is the same thing
    source   text   NOT NULL CHECK (source IN ('imported', 'learnt', 'person')),
    owner    text   NOT NULL,
    number   text   NOT NULL,                 -- of the permit, or of the case that was repaired
    note     text   NOT NULL,
    from_day date   NOT NULL,
    to_day   date,                            -- the last day; before from_day: it was taken back
    reach_m  float8 NOT NULL,                 -- how far around its shape it holds
    shape    jsonb  NOT NULL,                 -- GeoJSON, degrees of the city's frame
    sha256   bytea  NOT NULL,                 -- of what it says and of its squares, without its end
    replaced bigint REFERENCES register_entry (id),
    entered_on date NOT NULL
);
CREATE UNIQUE INDEX register_entry_key ON register_entry (register, key) WHERE replaced IS NULL;

-- Its squares: 1,024 bits a block, of each level for which it speaks.
CREATE TABLE register_block (
    blk   bigint NOT NULL,
    entry bigint NOT NULL REFERENCES register_entry (id),
    bits  bytea  NOT NULL,
    PRIMARY KEY (blk, entry)
);
ALTER TABLE register_block ALTER COLUMN bits SET STORAGE PLAIN;

-- Blocks whose codes do not yet say what the registers say.
CREATE TABLE register_stale (
    blk bigint PRIMARY KEY
);
