-- Plain brokers keep passwords in a form of their own; and every pump says that it lives.

-- What Mosquitto compares a device's password with. It is of the password whose other hash stands beside it: a rotation
-- that forgot this one must not leave the old password in force, so it counts only while `mosquitto_of` is the hash.
ALTER TABLE device ADD COLUMN mosquitto_hash text, ADD COLUMN mosquitto_of text;

-- One row a process that moves data on. `said` is empty where all is well, else what it waits for.
CREATE TABLE heartbeat (
    pump     text NOT NULL,
    instance text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    said     text NOT NULL,
    PRIMARY KEY (pump, instance)
);
