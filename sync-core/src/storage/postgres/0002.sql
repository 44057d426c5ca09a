-- What the servers on this database tell each other: how far sites have read, refused sign-ins, what each server says of itself.
-- It is written outside of the transactions of the changelog, and is as little missed as what a server forgets at its restart.
CREATE TABLE sync_remembered (
    kind  text COLLATE "C" NOT NULL,
    key   text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, key)
);
