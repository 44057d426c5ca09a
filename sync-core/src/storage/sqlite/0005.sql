-- Records of the legacy tables that central keeps for the site that brought them, where no legacy server does.
CREATE TABLE sync_kept (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    site_id    INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    record_id  TEXT NOT NULL,
    data       TEXT NOT NULL
);
CREATE UNIQUE INDEX sync_kept_record ON sync_kept (site_id, table_name, record_id);
CREATE INDEX sync_kept_site ON sync_kept (site_id, number);
