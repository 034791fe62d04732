-- What the log was told of keys and trust lists: each step once, whoever tells it and however often.
-- Keys live in files, since a leaked one must be revocable while the database is away; a step that a crash left untold
-- is told by the keeper's next round. subject: a key's name, or a list's SHA-256.
CREATE TABLE trust_said (
    subject bytea NOT NULL,
    step    text NOT NULL,
    said_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, step)
);
