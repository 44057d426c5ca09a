-- What records are found by. This library reads it from their data when it writes them: SQL reads JSON in ways of its own,
-- and stops at data that it cannot read. Filled for the records that are here by `fill.rs`.
DROP INDEX sync_record_store_site;
DROP INDEX sync_record_join_name;
DROP INDEX sync_record_asset_log;
DROP INDEX sync_record_asset_location;
DROP INDEX sync_record_rnr_form_line;
ALTER TABLE sync_record ADD COLUMN parent_id TEXT;      -- the record whose store it belongs to
ALTER TABLE sync_record ADD COLUMN site_number INTEGER; -- of a store, the site on which it is active
ALTER TABLE sync_record ADD COLUMN join_name TEXT;      -- of a join that is not inactive, the name
ALTER TABLE sync_record ADD COLUMN join_store TEXT;     -- and the store that it joins
CREATE INDEX sync_record_parent ON sync_record (parent_id, table_name, record_id) WHERE parent_id IS NOT NULL;
CREATE INDEX sync_record_site ON sync_record (site_number, record_id) WHERE site_number IS NOT NULL;
CREATE INDEX sync_record_join ON sync_record (join_name, join_store) WHERE join_name IS NOT NULL;

-- Which records others were merged into, for merges of before.
INSERT OR IGNORE INTO sync_state (key, value)
SELECT 'merge_target ' || substr(key, 8, instr(substr(key, 8), ' ')) || value, '1'
FROM sync_state WHERE key LIKE 'merged %';

-- Where a record got the data that it has, or was deleted, if not where its row stands: rows that are logged again tell
-- nothing new.
ALTER TABLE sync_record ADD COLUMN written INTEGER;
ALTER TABLE sync_change ADD COLUMN written INTEGER;
-- A record as it was when it left a store.
ALTER TABLE sync_change ADD COLUMN data TEXT;

-- What a site pushed last of a record, to know it again: a request that was held up on its way comes late, or twice. Rows of
-- a database that the site has no more count as late ones only.
ALTER TABLE sync_pushed ADD COLUMN fingerprint INTEGER;
ALTER TABLE sync_pushed ADD COLUMN taken_at INTEGER; -- milliseconds since 1970-01-01 UTC
ALTER TABLE sync_pushed ADD COLUMN is_former INTEGER NOT NULL DEFAULT 0;

-- The sync buffer with two more states, and with what each version knew: where the changelog here ended when it came, and
-- up to where the site that pushed it had read that.
CREATE TABLE sync_buffer_new (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,
    source          TEXT NOT NULL,
    table_name      TEXT NOT NULL,
    record_id       TEXT NOT NULL,
    action          TEXT NOT NULL CHECK (action IN ('upsert', 'delete', 'merge')),
    data            TEXT NOT NULL,
    received_at     TEXT NOT NULL,
    cursor          INTEGER, -- in the changelog of the site that pushed it
    state           TEXT NOT NULL CHECK (state IN ('staged', 'waiting', 'refused', 'unsupported', 'malformed', 'failed',
                                                   'superseded', 'ignored')),
    reason          TEXT,
    waits_for_table TEXT,
    waits_for_id    TEXT,
    known_here      INTEGER NOT NULL DEFAULT 0,
    known_by_sender INTEGER
);
-- Of what is there already it is only known when it came: what was written since is newer.
INSERT INTO sync_buffer_new
    SELECT sequence, source, table_name, record_id, action, data, received_at, cursor, state, reason, waits_for_table,
           waits_for_id,
           CASE WHEN max(ifnull((SELECT r.changed_at FROM sync_record r
                                 WHERE r.table_name = b.table_name AND r.record_id = b.record_id), 0),
                         ifnull((SELECT max(c.changed_at) FROM sync_change c
                                 WHERE c.table_name = b.table_name AND c.record_id = b.record_id), 0))
                     > ifnull(CAST(round((julianday(b.received_at) - 2440587.5) * 86400000) AS INTEGER), 0)
                THEN 0
                ELSE ifnull((SELECT CAST(value AS INTEGER) FROM sync_state WHERE key = 'newest_cursor'), 0)
           END,
           NULL
    FROM sync_buffer b;
-- No sequence is given out twice.
DELETE FROM sqlite_sequence WHERE name = 'sync_buffer_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'sync_buffer_new', seq FROM sqlite_sequence WHERE name = 'sync_buffer';
DROP TABLE sync_buffer;
ALTER TABLE sync_buffer_new RENAME TO sync_buffer;
CREATE UNIQUE INDEX sync_buffer_record ON sync_buffer (source, table_name, record_id) WHERE action <> 'merge';
CREATE INDEX sync_buffer_versions ON sync_buffer (table_name, record_id);
CREATE INDEX sync_buffer_waiting ON sync_buffer (waits_for_table, waits_for_id) WHERE state = 'waiting';
CREATE INDEX sync_buffer_quarantine ON sync_buffer (state, sequence) WHERE state <> 'staged';
CREATE INDEX sync_buffer_staged ON sync_buffer (source, table_name, action, sequence) WHERE state = 'staged';
