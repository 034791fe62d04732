-- What was told of a road section on a service day: a row where it differs from the section's row before. said: the
-- properties of an answer, see defects.scales.properties.
CREATE TABLE section_day (
    section bigint NOT NULL,
    day     date   NOT NULL,
    said    jsonb  NOT NULL,
    PRIMARY KEY (section, day)
);
CREATE INDEX section_day_day ON section_day (day);

-- Up to when and for which day sections were read out: one row.
CREATE TABLE section_turn (
    one  boolean     PRIMARY KEY DEFAULT true CHECK (one),
    day  date        NOT NULL,
    at   timestamptz NOT NULL
);
