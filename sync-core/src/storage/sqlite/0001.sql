-- Records as they came, one document each, with the newest change of each: superseded changes are replaced when written,
-- and a record and its changelog row can never disagree. A view for each record type shows real columns.
CREATE TABLE sync_record (
    table_name     TEXT NOT NULL,
    record_id      TEXT NOT NULL,
    data           TEXT NOT NULL,
    cursor         INTEGER NOT NULL,
    store_id       TEXT,
    name_id        TEXT,
    source_site_id INTEGER,
    is_sync_update INTEGER NOT NULL CHECK (is_sync_update IN (0, 1)),
    audience       TEXT,
    changed_at     INTEGER NOT NULL, -- milliseconds since 1970-01-01 UTC
    PRIMARY KEY (table_name, record_id)
);
CREATE UNIQUE INDEX sync_record_cursor ON sync_record (cursor);
CREATE INDEX sync_record_audience ON sync_record (audience, cursor, source_site_id) WHERE audience IS NOT NULL;
CREATE INDEX sync_record_local ON sync_record (cursor) WHERE is_sync_update = 0;
CREATE INDEX sync_record_name ON sync_record (name_id, cursor) WHERE name_id IS NOT NULL;

-- Changes that are not the newest of a record that is here: of records that were deleted, and of records that left a
-- store, for the site that loses them.
CREATE TABLE sync_change (
    table_name     TEXT NOT NULL,
    record_id      TEXT NOT NULL,
    action         TEXT NOT NULL CHECK (action IN ('upsert', 'delete')),
    cursor         INTEGER NOT NULL,
    store_id       TEXT,
    name_id        TEXT,
    source_site_id INTEGER,
    is_sync_update INTEGER NOT NULL CHECK (is_sync_update IN (0, 1)),
    audience       TEXT,
    changed_at     INTEGER NOT NULL
);
CREATE UNIQUE INDEX sync_change_record ON sync_change (table_name, record_id, ifnull(store_id, ''));
CREATE UNIQUE INDEX sync_change_cursor ON sync_change (cursor);
CREATE INDEX sync_change_audience ON sync_change (audience, cursor, source_site_id) WHERE audience IS NOT NULL;
CREATE INDEX sync_change_local ON sync_change (cursor) WHERE is_sync_update = 0;
CREATE INDEX sync_change_name ON sync_change (name_id, cursor) WHERE name_id IS NOT NULL;

-- The changelog as a whole, for whoever asks in SQL.
CREATE VIEW sync_changelog AS
    SELECT cursor, table_name, record_id, 'upsert' AS action, store_id, name_id, source_site_id, is_sync_update,
           audience, strftime('%Y-%m-%dT%H:%M:%fZ', changed_at / 1000.0, 'unixepoch') AS changed_at
    FROM sync_record
    UNION ALL
    SELECT cursor, table_name, record_id, action, store_id, name_id, source_site_id, is_sync_update,
           audience, strftime('%Y-%m-%dT%H:%M:%fZ', changed_at / 1000.0, 'unixepoch')
    FROM sync_change;

-- Which stores are active where, and which names a store sees, straight from their records.
CREATE INDEX sync_record_store_site ON sync_record (CAST(json_extract(data, '$.sync_id_remote_site') AS INTEGER), record_id)
    WHERE table_name = 'store';
CREATE INDEX sync_record_join_name ON sync_record (json_extract(data, '$.name_ID'), json_extract(data, '$.store_ID'))
    WHERE table_name = 'name_store_join';

-- Which records belong to the store of another record.
CREATE INDEX sync_record_asset_log ON sync_record (json_extract(data, '$.asset_id')) WHERE table_name = 'asset_log';
CREATE INDEX sync_record_asset_location ON sync_record (json_extract(data, '$.asset_id'))
    WHERE table_name = 'asset_internal_location';
CREATE INDEX sync_record_rnr_form_line ON sync_record (json_extract(data, '$.rnr_form_id'))
    WHERE table_name = 'rnr_form_line';

-- Received, not yet integrated. A record is one row for each source; merges are kept each.
CREATE TABLE sync_buffer (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,
    source          TEXT NOT NULL,
    table_name      TEXT NOT NULL,
    record_id       TEXT NOT NULL,
    action          TEXT NOT NULL CHECK (action IN ('upsert', 'delete', 'merge')),
    data            TEXT NOT NULL,
    received_at     TEXT NOT NULL,
    cursor          INTEGER, -- in the changelog of the site that pushed it
    state           TEXT NOT NULL CHECK (state IN ('staged', 'waiting', 'refused', 'unsupported', 'malformed', 'ignored')),
    reason          TEXT,
    waits_for_table TEXT,
    waits_for_id    TEXT
);
CREATE UNIQUE INDEX sync_buffer_record ON sync_buffer (source, table_name, record_id) WHERE action <> 'merge';
CREATE INDEX sync_buffer_waiting ON sync_buffer (waits_for_table, waits_for_id) WHERE state = 'waiting';
CREATE INDEX sync_buffer_quarantine ON sync_buffer (state, sequence) WHERE state <> 'staged';
CREATE INDEX sync_buffer_staged ON sync_buffer (source, table_name, action, sequence) WHERE state = 'staged';

-- Settings and cursors.
CREATE TABLE sync_state (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Which database this is, and how often something was committed to it: with the watermark beside the file they tell a
-- copy that was put back.
INSERT INTO sync_state (key, value) VALUES ('database_id', lower(hex(randomblob(16)))), ('commits', '0');

-- One row a cycle.
CREATE TABLE sync_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at  TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    error       TEXT,
    report      TEXT NOT NULL
);

-- The local list of sites; empty where the legacy server keeps it.
CREATE TABLE sync_site (
    site_id      INTEGER PRIMARY KEY,
    uuid         TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL UNIQUE,
    secret       TEXT NOT NULL,
    hardware_id  TEXT,
    last_pull_at TEXT
);

-- How new what a site pushed was: once it was restored from a backup, it may not be able to see that it pushed newer
-- versions, of records that it is never sent back or of a store that is away.
CREATE TABLE sync_pushed (
    site_id    INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    record_id  TEXT NOT NULL,
    cursor     INTEGER NOT NULL,
    PRIMARY KEY (site_id, table_name, record_id)
) WITHOUT ROWID;

-- Sites whose pushed records wait for integration. No foreign key: the site may be one of the legacy server's.
CREATE TABLE sync_integration (
    site_id      INTEGER PRIMARY KEY,
    requested_at TEXT NOT NULL
);
