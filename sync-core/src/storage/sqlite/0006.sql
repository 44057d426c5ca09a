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
