-- What is it, how bad? The journal of deltas, their fold by block and day, codes and their history, cases.

-- One row a batch. Accepting ends here; the coder takes rows away as it folds them.
CREATE TABLE journal (
    id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date  NOT NULL,
    d   bytea NOT NULL
);
ALTER TABLE journal ALTER COLUMN d SET STORAGE EXTERNAL;

CREATE TABLE evidence (
    blk bigint NOT NULL,
    day date   NOT NULL,
    d   bytea  NOT NULL,
    PRIMARY KEY (blk, day)
);
ALTER TABLE evidence ALTER COLUMN d SET STORAGE EXTERNAL;

-- Which chunks passed a block on a day: the story of a square and the Merkle root of a block's day read it.
CREATE TABLE pass (
    blk   bigint NOT NULL,
    day   date   NOT NULL,
    chunk bigint NOT NULL,
    journal bigint NOT NULL,                  -- the batch that brought it: folded when that row is gone
    PRIMARY KEY (blk, day, chunk)
);

CREATE TABLE finding (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chunk      bigint NOT NULL,
    what       text   NOT NULL,
    kind       int    NOT NULL,
    cell       bigint NOT NULL,
    t_s        float8 NOT NULL,
    x_m        float8 NOT NULL,
    y_m        float8 NOT NULL,
    sigma_m    float4 NOT NULL,
    speed_mps  float4 NOT NULL,
    score      float4 NOT NULL,
    severity   float4 NOT NULL,
    weight     float4 NOT NULL
);
CREATE INDEX finding_chunk ON finding (chunk);

CREATE TABLE code (
    blk bigint PRIMARY KEY,
    rev bigint NOT NULL,
    green  int NOT NULL,                      -- how many of the 1,024 squares are so coloured
    yellow int NOT NULL,
    red    int NOT NULL,
    read_on date NOT NULL,                    -- service day of the last read-out: evidence ages, codes must follow
    d   bytea  NOT NULL,
    at  timestamptz NOT NULL
);
ALTER TABLE code ALTER COLUMN d SET STORAGE EXTERNAL;

CREATE TABLE code_change (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cell   bigint NOT NULL,
    day    date   NOT NULL,
    at     timestamptz NOT NULL,
    before jsonb  NOT NULL,
    after  jsonb  NOT NULL,
    why    text   NOT NULL
);
CREATE INDEX code_change_cell ON code_change (cell, id);

CREATE TABLE case_file (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      int    NOT NULL,
    state     text   NOT NULL DEFAULT 'open' CHECK (state IN ('open')),
    x_m       float8 NOT NULL,
    y_m       float8 NOT NULL,
    opened_at timestamptz NOT NULL
);

CREATE TABLE case_cell (
    cell  bigint PRIMARY KEY,
    "case" bigint NOT NULL REFERENCES case_file (id)
);
CREATE INDEX case_cell_case ON case_cell ("case");
