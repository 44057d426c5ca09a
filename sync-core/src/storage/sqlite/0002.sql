-- How many changelog rows there are for each audience, in parts of the changelog: a batch says how many rows are left
-- without counting them. A part holds the rows from its start on to the start of the next part.
CREATE TABLE sync_count (
    audience TEXT NOT NULL,
    start    INTEGER NOT NULL,
    rows     INTEGER NOT NULL,
    PRIMARY KEY (audience, start)
) WITHOUT ROWID;

-- Which rows about patients a store sees, so that a site's are found without looking at those of the whole country.
CREATE TABLE sync_seen (
    store_id       TEXT NOT NULL,
    beside         INTEGER NOT NULL, -- 0: a row of sync_record, 1: of sync_change
    cursor         INTEGER NOT NULL,
    source_site_id INTEGER,
    PRIMARY KEY (store_id, beside, cursor)
) WITHOUT ROWID;

INSERT INTO sync_seen (store_id, beside, cursor, source_site_id)
    SELECT DISTINCT json_extract(joined.data, '$.store_ID'), about.beside, about.cursor, about.source_site_id
    FROM (
        SELECT name_id, 0 AS beside, cursor, source_site_id FROM sync_record WHERE audience = 'patient'
        UNION ALL
        SELECT name_id, 1, cursor, source_site_id FROM sync_change WHERE audience = 'patient'
    ) about
    JOIN sync_record joined
      ON joined.table_name = 'name_store_join' AND json_extract(joined.data, '$.name_ID') = about.name_id
    WHERE json_extract(joined.data, '$.inactive') IS NOT 1 AND json_type(joined.data, '$.store_ID') = 'text';

INSERT INTO sync_count (audience, start, rows)
    SELECT audience, min(cursor), count(*)
    FROM (
        SELECT audience, cursor, (row_number() OVER (PARTITION BY audience ORDER BY cursor) - 1) / 2048 AS part
        FROM (
            SELECT audience, cursor FROM sync_record WHERE audience IS NOT NULL AND audience <> 'patient'
            UNION ALL
            SELECT audience, cursor FROM sync_change WHERE audience IS NOT NULL AND audience <> 'patient'
            UNION ALL
            SELECT 'patients of ' || store_id, cursor FROM sync_seen
        )
    )
    GROUP BY audience, part;
