-- What the public is told of phones: by day, and at the day's turn only.

-- Coarse blocks that have evidence, and the service day of their last read-out. Apart from `code`, whose rows are
-- public: a block of which nothing may be told has a row here and none there.
CREATE TABLE coarse_block (
    blk     bigint PRIMARY KEY,
    read_on date   NOT NULL
);
CREATE INDEX coarse_block_read ON coarse_block (read_on);
INSERT INTO coarse_block (blk, read_on) SELECT blk, min(day) FROM evidence WHERE blk >> 51 > 0 GROUP BY blk;

-- What the public counts say of phones all day long: how it was at the turn of the day.
CREATE TABLE day_turn (
    day          date   PRIMARY KEY,
    phone_chunks bigint NOT NULL,
    refused      bigint NOT NULL
);
