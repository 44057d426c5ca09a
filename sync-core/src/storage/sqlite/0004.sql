-- What is known of files: which way their bytes go, how far they are, when they are tried next.
CREATE TABLE sync_file (
    file_id    TEXT PRIMARY KEY,
    table_name TEXT NOT NULL,
    record_id  TEXT NOT NULL,
    direction  TEXT NOT NULL CHECK (direction IN ('upload', 'download')),
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'gone', 'elsewhere')),
    bytes      INTEGER,
    sha256     TEXT,
    etag       TEXT,
    attempts   INTEGER NOT NULL,
    next_at    INTEGER, -- milliseconds since 1970-01-01 UTC
    reason     TEXT,
    changed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sync_file_due ON sync_file (next_at, file_id) WHERE next_at IS NOT NULL;
CREATE INDEX sync_file_state ON sync_file (state);
CREATE INDEX sync_file_parent ON sync_file (table_name, record_id);
