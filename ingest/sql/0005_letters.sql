-- Payloads that were refused, of boxes only: what a box says of itself is no citizen's, and somebody has to mend it.
CREATE TABLE dead_sample (
    device  text  NOT NULL,
    sha256  bytea NOT NULL,
    payload bytea NOT NULL CHECK (octet_length(payload) <= 65536),
    PRIMARY KEY (device, sha256),
    FOREIGN KEY (device, sha256) REFERENCES dead_letter (device, sha256) ON DELETE CASCADE
);
ALTER TABLE dead_sample ALTER COLUMN payload SET STORAGE EXTERNAL;

-- The newest of a device, and those that are too old, without reading all.
CREATE INDEX dead_letter_age ON dead_letter (device, first_at);

-- Phones stand here too: no sample of their names and trips for the planner, it would outlive the letters.
ALTER TABLE dead_letter ALTER COLUMN device SET STATISTICS 0;
ALTER TABLE dead_letter ALTER COLUMN sha256 SET STATISTICS 0;
ALTER TABLE dead_letter ALTER COLUMN trip SET STATISTICS 0;
ALTER TABLE dead_letter ALTER COLUMN detail SET STATISTICS 0;
ALTER TABLE dead_sample ALTER COLUMN payload SET STATISTICS 0;
