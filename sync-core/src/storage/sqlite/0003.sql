-- When a site came last, and how far it has read; written now and then.
CREATE TABLE sync_activity (
    site_id     INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    app_version TEXT NOT NULL,
    seen_at     TEXT NOT NULL,
    pulled_at   TEXT,
    pushed_at   TEXT,
    read_to     INTEGER
);
