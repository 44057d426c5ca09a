//! The texts of the commands of every day: the cycle, records, files, the state, and what all commands say.

sync_core::sentences! {
    /// Texts that many commands use.
    common {
        one_record() = "1 record";
        records(count) = "{count} {count|record|records}";
        nothing_changed() = "Nothing was changed.";
        database_not_read(db) = "{db} is not read: the servers are asked for the site of --legacy-url and --site.";
        an_error(code, message, advice) = "[{code}] {message}. {advice}";
        labelled_error(label, code, message, advice) = "{label} [{code}]: {message}. {advice}";
        error() = "error";
        caused_by(cause) = "caused by: {cause}";
        warning(message) = "warning: {message}";
        runs_as(user) = "This program runs as the user {user}.";
        and_more(count) = "and {count} more; --json lists the first thousand";
        next_sync() = "Next: oms-sync sync";
        not_printed(error) = "error: the output cannot be written: {error}";
        central_bar() = "Open mSupply central server";
        yes() = "yes";
        no() = "no";
        nothing() = "nothing";
        not_set_up() = "not set up";
    }

    /// Progress of a cycle.
    progress {
        stopping() = "stopping; Ctrl-C again stops at once";
        failed(step, code) = "{step}: failed [{code}]";
        moved(step, count) = "{step}: {count}";
        moved_bytes(step, size) = "{step}: {size}";
        done(step) = "{step}: ok";
        ended_early(step) = "{step}: stopped at the given limit";
        trying_again(error, seconds) = "{error}; trying again in {seconds} s";
        gathers() = "the legacy server gathers this site's records, which may take half an hour; waiting";
    }

    /// Why a command does not work with a database on a PostgreSQL server.
    on_server {
        backed_up_by_its_server() = "a database on a PostgreSQL server is backed up with pg_dump or by its server, and restored so too; copy the folder of files beside it";
        encrypted_by_its_server() = "a database on a PostgreSQL server is encrypted by that server or its disk, and has no key here";
        no_copy_before() = "this command copies the database before it changes anything, and a database on a PostgreSQL server is copied with pg_dump: it works with a file only";
    }

    /// Texts of `migrate`.
    migration_shown {
        copying(table, rows) = "copying {table}: {rows} {rows|row|rows}";
        comparing(table, rows) = "comparing {table}: {rows} {rows|row|rows}";
        moved(from, to) = "{from} was moved to {to}: both are equal, record by record.";
        resumed() = "An interrupted migration was continued.";
        next(from, to) = "Next: oms-sync --db {to} serve with the same --files as before; {from} is refused from now on.";
        undone(from) = "{from} is in use again, as it was.";
        given_up(from) = "{from} is in use again, as if it was restored from a backup: sites send again what they have sent since.";
        never_use() = "The copy must never be used any more.";
    }

    /// Texts of `rekey`.
    rekey_shown {
        changed(db) = "{db} has the new key.";
        encrypted(db) = "{db} is encrypted.";
        backups_keep() = "Backups that were made before have the key, or none, of that time. The disk may still hold parts of a file that was not encrypted.";
    }

    /// Texts of `status`.
    status_shown {
        paused() = "for maintenance: sites are asked to come again later; end it with oms-sync resume";
        waiting(records, size) = "{records}, {size}";
        waiting_since(records, size, at) = "{records}, {size}, the oldest from {at}";
        never() = "never";
        last(outcome, at) = "{outcome} at {at}";
        last_failed(outcome, at, code, message) = "{outcome} at {at} [{code}] {message}";
        of_kind(count, kind) = "{count} {kind}";
        refused_by_central(count, table, id, reason) = "{count} by central, not written again since; the last: {table} {id}: {reason}";
        sync_in_future(days) = "by the clock of this machine the last sync ended {days} {days|day|days} from now: the clock is wrong, or was \
            wrong then. Set date and time if they are wrong; if they are right, the next sync ends this warning";
        at_last_sync(at, warning) = "at the last sync, {at}: {warning}";
        no_files() = "none";
        other_copy(says, advice) = "{says}. {advice}";
        too_old(last, time, since) = "the last complete cycle is too long ago: {last}; the limit of {time} is exceeded since {since}";
        never_complete(time) = "no cycle was complete yet, so there is none within {time}";
    }

    /// Texts of `sync`.
    sync_shown {
        find_cause() = "To find the cause: oms-sync doctor";
        in_quarantine(count) = "In quarantine since earlier: {count}; see oms-sync quarantine list";
        told(outcome, pushed, pulled, integrated, requests, sent, received) = "{outcome}: pushed {pushed}, pulled \
            {pulled}, integrated {integrated} ({requests} {requests|request|requests}, {sent} up, {received} down)";
        done() = "done";
        left_behind() = "done, but some records went into quarantine";
        still_behind() = "done, but some records are in quarantine since earlier";
        partial() = "ended at the given limit; the next sync goes on";
        failed() = "not completed; what was done so far is kept";
        stopped() = "stopped; what was done so far is kept";
        conflict(table, id, from) = "{table} {id}: a version of {from} yielded";
        conflict_in(table, id, from, fields) = "{table} {id}: a version of {from} yielded, which differs in {fields}";
        kept_local(count) = "{count} {count|edit|edits} made here {count|was|were} kept; {count|it goes|they go} out with the next sync";
        set_aside(count, refused) =
            "into quarantine: {refused} refused, {count} for other causes; see oms-sync quarantine list";
        nobody_found() = "No patient is found.";
        link_with() = "oms-sync patient link ID makes one of them visible in a store of this site.";
        link_given_up() = "The link is given up; no sync continues it any more.";
        linked_nothing_came() = "The patient is linked, and has no records at central yet.";
        no_patient() = "Nothing came: the patient has no records, or is visible in no store of this site at central.";
    }

    /// Why a step of a cycle was skipped, by the reason in the report.
    skip_reason {
        not_requested() = "the command did not ask for it.";
        cycle_ended() = "an earlier step ended the cycle.";
        out_of_time() = "the time of the cycle was over; the next one goes on.";
        legacy_unavailable() = "the legacy server does not answer.";
        is_central() = "this database is the central server's own.";
        no_central() = "there is no usable address of the central server.";
        not_initialised() = "the first cycle is not complete yet.";
        not_recovered() = "a backup was restored, and its lost records have to be read first.";
        already_read() = "the recovery from the backup has read everything.";
        push_unconfirmed() = "the central server has not confirmed the last push.";
        not_pulled() = "the app decides conflicts, and not everything is pulled yet; the next cycle goes on.";
        step_before_failed() = "the step before failed.";
    }

    /// The lines of `run`.
    run_shown {
        cycle(at, outcome, pushed, pulled, seconds) = "{at} {outcome}: pushed {pushed}, pulled {pulled}, {seconds} s";
        cycle_with_error(at, outcome, code, pushed, pulled, seconds) =
            "{at} {outcome} [{code}]: pushed {pushed}, pulled {pulled}, {seconds} s";
        next_in(cycle, time) = "{cycle}; next in {time}";
        files(uploaded, downloaded, failed) = "files: {uploaded} sent, {downloaded} fetched, {failed} failed";
        settings_changed() = "The settings of this site were changed: a cycle begins now.";
        no_metrics(file, error) = "warning: {file} cannot be written: {error}";
        seconds(count) = "{count} s";
        minutes(count) = "{count} min";
        hours(count) = "{count} h";
        error(code, message, advice) = "[{code}]: {message}. {advice}";
        lasting_error(code, message, advice) = "[{code}]: {message}. {advice} It will not go away by itself.";
    }

    /// Texts of `errors`.
    errors_shown {
        one_in_full() = "oms-sync errors CODE tells the cause of one and what to do.";
        found_by_doctor(message) = "doctor: {message}";
        missing(count, all) = "{count} of {all} {all|text is|texts are} in English.";
    }

    /// Faults of given input: an option, a file, a message.
    input_given {
        texts_file(file, detail) = "{file}: {detail}";
        file_is_there(file) = "{file} is there already; name another file";
        password_prompt(site) = "Password of site {site}:";
        password_on_command_line() = "others can read a password on the command line: give the address without it, and the password in PGPASSWORD or PGPASSFILE";
        passwords_there(file, site) = "{file} is there already, without a password for site {site}: it is of an earlier import, and may hold \
            passwords that were changed since; name another file for the new ones";
        no_head(file, column) = "{file}: the first line must name the columns; the column {column} is missing";
        column_missing(file, line, column, columns) = "{file}, line {line}: the column {column} is missing; the columns are {columns}";
        column_meant(file, line, column, meant) = "{file}, line {line}: there is no column {column}; did you mean {meant}?";
        column_unread(column) = "warning: the column {column} is not read; the columns are site, store_code, store_name";
        one_address_twice(address) = "--admin-listen: the server itself listens at {address}; give the administrators another port";
        line_of_columns(count, expected) = "the line has {count} {count|column|columns}, and the first line has {expected}";
        code_ambiguous(code, stores) = "the store code {code} is ambiguous, because several stores have it: {stores}; move the right one with \
            oms-sync store add and its --id";
        store_of_site(id, name, site) = "{id} {name} of site {site}";
        store_of_no_site(id, name) = "{id} {name} of no site";
        passwords_in_table(file) = "{file} is the table itself; name another file for the passwords";
        certificate_not_yet_valid(file, at) = "the certificate in {file} is valid only from {at}, by the clock of this machine";
        certificate_not_for_sites(file) = "the certificate in {file} is the own certificate of an authority (CA:TRUE), and sites refuse it";
        certificate_not_for_host(file, host) = "the certificate in {file} is not for {host}, and sites refuse it there";
        certificate_of_other_names(file) = "the certificate in {file} has none of the names of the one in use, and sites refuse it";
        certificate_ended(file, at) = "the certificate in {file} ended at {at}";
        joined_files(file, line) = "{file} has a byte order mark within it, in line {line}: another file begins there; remove the mark, \
            and a second head of a table";
        in_line(file, line, why) = "{file}, line {line}: {why}";
        line_incomplete() = "a line needs a site, and a store its code";
        store_twice(code, line) = "the store {code} is in line {line} already";
        no_backup(path) = "there is no backup {path}";
        folder_without_backup(folder) = "{folder} is no backup, and holds none: it has no backup.json";
        folder_of_backups(folder, count, newest) = "{folder} is no backup but holds {count}: give one of them; the newest is {newest}";
        no_password() = "no password: give --password-file, --password-stdin or OMS_SYNC_PASSWORD";
        no_encryption() = "this program opens no encrypted database: it needs one that was built with the feature sqlcipher";
        key_is_no_file(file) = "{file} is no file with a key: it is no ordinary file, or is too long for one";
        key_of_others(file) = "others can read {file}, which holds the key of the database: let its owner alone read it (chmod 600)";
        no_key(from) = "{from} holds no key: write 64 hexadecimal digits, or a passphrase, in one line";
        key_of_lines(from) = "the key in {from} has more than one line: keep one line with the key, and nothing else";
        password_of_lines() = "the password has more than one line: keep one line with the password, and nothing else";
        tls_needs_both() = "TLS needs both: the certificates (tls-cert) and their key (tls-key)";
        folder_unwritable(folder, error) = "{folder} cannot be written: {error}";
        no_number(variable, text) = "{variable} is {text}, and has to be a number from 1 on";
        no_reason() = "give a --reason, which is kept in the log with the repair";
        no_patient_id() = "the patient's id is empty";
        which_store(stores) = "several stores are active on this site: choose one with --store ({stores})";
        no_open_link(patient, store) = "no link of patient {patient} to store {store} is unfinished";
        no_store_here() = "no store is active on this site";
        no_record() = "there is no record in the input";
        records_not_json(error) = "the input is not JSON: {error}";
        nothing_to_compare() = "give --legacy or --central, or both: there is nothing to compare with. For example: oms-sync compat --legacy 8.06.00 --central 2.19.0";
        init_needs(db) = "{db} is not set up as a site yet: give --legacy-url and --site";

        name_central(url) = "nobody may have seen the address: if {url} is the central server, run oms-sync discover --accept {url}";
        no_cycles() = "a central server without a legacy server has no cycles; `oms-sync site list --max-age TIME` tells which sites are silent";
        public_url_unusable(why) = "--public-url: {why}";
        public_url_not_local() =
            "--public-url works only with --auth local: otherwise sites learn the address from the legacy server";
    }

    /// Texts of `records`, `changelog` and `man`.
    records_shown {
        deleted(table, id) = "deleted {table} {id}";
        wrote(count, table) = "wrote {count} of {table}";
        key_resembles(key, meant) = "warning: no record of this table has a key \"{key}\"; is {meant} meant? It was kept as it is.";
        not_synced_yet() = "This site has not synchronised yet, so it does not know its stores: run oms-sync sync first.";
        would_write(count, table) = "would write {count} of {table}";
        since_and_gone(since, gone) = "{since}, gone in {gone}";
        written_by_site(site) = "site {site}";
        manual_pages(count, folder) = "{count} {count|page|pages} in {folder}";
    }

    /// Texts of `files`.
    files_shown {
        attached(file, table, record, id) = "attached {file} to {table} {record} as file {id}";
        goes_out_with() = "It goes out with oms-sync sync --with-files.";
        tried_next(id) = "file {id} is tried next; run oms-sync files sync";
        sent_again(id) = "file {id} is sent again with the next run: oms-sync files sync";
        asked_for_all() = "the next run sends the files that central lacks: oms-sync files sync";
        moved(sent, fetched, up, down) = "files: {sent} sent, {fetched} fetched ({up} up, {down} down)";
        failed(count) = "{count} {count|file|files} failed and {count|is|are} tried again later; see oms-sync files list";
        file(id, name, table, record) = "{id} {name} of {table} {record}";
        uploading() = "uploading";
        downloading() = "downloading";
        waits_to_be_sent() = "waiting to be sent";
        waits_to_come() = "waiting to come";
        with_size(state, size) = "{state}, {size}";
        because(state, reason) = "{state}: {reason}";
        next_at(state, count, next) = "{state}; tried {count} {count|time|times}, next at {next}";
        missing(file) = "MISSING: {file}";
        changed(file, reason) = "CHANGED: {file}: {reason}";
        surplus(file) = "SURPLUS: {file}";
        sound(count, size) = "{count} {count|file is|files are} sound ({size})";
    }
}
