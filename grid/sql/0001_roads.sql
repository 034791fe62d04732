-- The road network as people name it: sections of about 100 m, the squares of each, and every import that changed them.

-- An import that changed something. report: counts, what was guessed of the file, what was refused and why.
CREATE TABLE road_import (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text  NOT NULL,
    day    date  NOT NULL,
    report jsonb NOT NULL
);

-- A section as an import found it, from that day until another import found it otherwise or not at all (valid_to). One
-- row a number is open. Numbers are hashes of source, road and part: see grid.number_of. line: easting and northing of
-- its k points, float64 pairs, little endian. digest: of everything that an import may change.
CREATE TABLE road_section (
    number      bigint           NOT NULL,
    opened_by   integer          NOT NULL REFERENCES road_import (id),
    closed_by   integer          REFERENCES road_import (id),
    valid_from  date             NOT NULL,
    valid_to    date,
    source      text             NOT NULL,
    road        text             NOT NULL,
    name        text             NOT NULL,
    name_zh     text             NOT NULL,
    road_class  smallint         NOT NULL,
    width_m     double precision NOT NULL,
    width_known boolean          NOT NULL,
    lanes       smallint         NOT NULL,
    oneway      boolean          NOT NULL,
    district    text             NOT NULL,
    owner       text             NOT NULL,
    from_m      double precision NOT NULL,
    length_m    double precision NOT NULL,
    line        bytea            NOT NULL,
    extent      box              NOT NULL,
    digest      bytea            NOT NULL,
    PRIMARY KEY (number, opened_by)
);
CREATE UNIQUE INDEX road_section_open ON road_section (number) WHERE valid_to IS NULL;
CREATE INDEX road_section_extent ON road_section USING gist (extent) WHERE valid_to IS NULL;

-- The squares of 1 m of the open sections, by block of 32 x 32: the first row of the block that has any, and 4 bytes for
-- each row from there to the last, a bit a square. Of closed sections they can be computed from the line.
CREATE TABLE section_cell (
    blk     bigint NOT NULL,
    section bigint NOT NULL,
    cells   bytea  NOT NULL,
    PRIMARY KEY (blk, section)
);
CREATE INDEX section_cell_section ON section_cell (section);
ALTER TABLE section_cell ALTER COLUMN cells SET STORAGE PLAIN;
