-- Who may read what: certificates of departments, and what was read with them.

-- The name by which tokens say which instance they are for: one row, made once, never changed. It belongs to the
-- database, so that several machines that serve one platform are one instance.
CREATE TABLE instance (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    name text NOT NULL
);

-- What a certificate opens stands in its signed bytes alone. The columns beside them are for people and for finding it.
CREATE TABLE department (
    id          text PRIMARY KEY,
    name        text        NOT NULL,
    kind        text        NOT NULL,
    public      bytea       NOT NULL UNIQUE CHECK (octet_length(public) = 32),
    account     bytea       NOT NULL CHECK (octet_length(account) = 20),
    certificate bytea       NOT NULL,
    from_s      bigint      NOT NULL,
    to_s        bigint      NOT NULL CHECK (to_s > from_s),
    granted_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    revoked_why text,
    CHECK ((revoked_at IS NULL) = (revoked_why IS NULL))
);

-- How often a certificate read, by service day and scope: counts, never what the answers held. `refused` is a scope too.
CREATE TABLE department_read (
    certificate text   NOT NULL REFERENCES department (id),
    day         date   NOT NULL,
    scope       text   NOT NULL,
    requests    bigint NOT NULL,
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (certificate, day, scope)
);

-- Numbers of tokens that have changed something: each may do so once. They go when their token has ended.
CREATE TABLE department_token (
    jti   bytea  PRIMARY KEY CHECK (octet_length(jti) = 16),
    exp_s bigint NOT NULL
);
CREATE INDEX department_token_end ON department_token (exp_s);
