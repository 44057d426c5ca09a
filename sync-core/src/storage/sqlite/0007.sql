-- Whether a version in the sync buffer was set aside and staged again: other versions of its record may have gone out since it
-- came, to the site that pushed it too.
ALTER TABLE sync_buffer ADD COLUMN was_set_aside INTEGER NOT NULL DEFAULT 0;
