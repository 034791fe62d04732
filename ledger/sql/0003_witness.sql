-- What witnesses signed of our checkpoints: those that the policy names, checked before they are written.

-- The whole key stands in each row, so that a row can be checked without the policy of its day.
CREATE TABLE cosignature (
    size      bigint NOT NULL REFERENCES checkpoint (size),
    vkey      text   NOT NULL,
    time_s    bigint NOT NULL CHECK (time_s >= 0),
    signature bytea  NOT NULL CHECK (octet_length(signature) = 64),
    PRIMARY KEY (size, vkey)
);
