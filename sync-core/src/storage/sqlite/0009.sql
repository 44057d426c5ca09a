-- One index finds the version of a source, and the versions of all sources: a record that is staged and integrated changes one less.
DROP INDEX IF EXISTS sync_buffer_record;
DROP INDEX IF EXISTS sync_buffer_versions;
CREATE UNIQUE INDEX sync_buffer_record ON sync_buffer (table_name, record_id, source) WHERE action <> 'merge';
