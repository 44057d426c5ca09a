//! The texts of `backup`, `check` and `restore`.

sync_core::sentences! {
    /// Texts of `backup`, `check` and `restore`.
    backup_shown {
        taken() = "A whole and sound backup is in";
        files_lost(count, first) = "{count} {count|file is|files are} missing or damaged in the folder of files, {first} first, and so in this \
            backup: oms-sync files verify names each";
        removed(count) = "Older backups that were removed: {count}";
        files(count, size) = "{count}, with {size}";
        sound() = "The backup is whole and sound.";
        nothing_to_compare(db) = "There is no database {db} yet, so there is nothing to compare the backup with.";
        not_comparable(db, error) = "The database {db} cannot be read, so it is not compared with the backup: {error}";
        replaces_another(db, here) = "The database {db} is {here}, and goes out of use: the backup is not of it. It is kept beside the backup's, \
            and nobody has what was written only there.";
        not_opened_by_key() = "one that the given key does not open, or that needs one";
        or_replace_another() = "To give up the database that is there, with what only it has, add --replace-another.";
        next_changes() = "Next: make the changes of this list again before a site comes, then oms-sync serve --check with the flags of the service";
        next_serve() = "Next: oms-sync serve --check with the flags of the service, then start it";
        since_at_central(from_sites, from_servers) = "Since the backup sites sent {from_sites}, which they send again, and the legacy \
            server sent {from_servers}, which it is asked for again.";
        since_alone(from_sites) = "Since the backup sites sent {from_sites}, which they send again.";
        list_changed() = "Only this database knows what was changed since the backup in the list of sites and stores. A restore undoes it:";
        keeps_the_list() = "To keep sites, passwords and stores as they are now, add --keep-sites. Without it, a site that was added \
            gets a new identity when it is added again, and its database is refused.";
        list_kept(count) = "The sites, passwords and stores stay as they are now. Changes since the backup: {count}";
        no_sites_to_keep() = "--keep-sites takes the sites over from the database that is replaced, and there is none that can be read, or a \
            legacy server keeps its sites";
        lists_what_is_only_there(db, end) = "What was written there since the backup: oms-sync --db {db} changelog --from {end}";
        site_added(name) = "site {name} was added, and will be unknown";
        site_removed(name) = "site {name} was removed, and will be back";
        password_changed(name) = "site {name} has another password, and will have the former one";
        store_added(name, code, id) = "store {name} ({code}) with the id {id} was added, and will be unknown";
        store_removed(name, code) = "store {name} ({code}) was removed, and will be back";
        store_moved(name, code, now, then) = "store {name} ({code}) is active on site {now}, and will be on site {then}";
        store_renamed(name, code) = "store {name} ({code}) has another name or code, and will have the former one";
        since_at_site(received, written) = "Since the backup this site got {received} from the servers, to be read again, \
            and wrote {written}; what was sent of that comes back from there.";
        only_here(records) = "Only this database has what was written here and sent to nobody: at most {records}. A restore \
            loses them; they stay in the database that is kept beside it.";
        nothing_is_only_here() = "A restore loses nothing: nothing was written here that nobody else has.";
        restored(files) = "The backup is in place. Files that came back: {files}";
        kept_in() = "The database as it was before is in";
        stop_what_uses_it() = "Nothing was changed. Stop what uses the database, and repeat this: at a central server `serve`, or the service oms-sync-central; at a site \
            `run`, or the service oms-sync-site";
        to_do_it() = "Nothing was changed. To do it, stop serve and run, and repeat this with --yes";
    }
}
