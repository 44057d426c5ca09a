//! The texts of the commands.

sync_core::sentences! {
    /// The verdict of `doctor`.
    doctor_verdict {
        fault(party, says, advice) = "The problem is with {party}. {says}. {advice}";
        look(party, says, advice) = "No fault found, but check {party}. {says}. {advice}";
        well(says) = "No problem found. {says}.";
        also(party, says) = "Another problem is with {party}: {says}.";
        also_shortly(party, check) = "Another problem is with {party}: {check}.";
        of_open_msupply(file, version) = "{file} is a database of Open mSupply {version} itself, not of this program";
        inspect_it(file) = "`oms-sync inspect {file}` reports on its synchronisation. A site of this program has a database of its \
            own: name another file with --db.";
        speaks_v7() = "Open mSupply 3.x synchronises by V7, which this program does not speak: ask its administrator, or check the \
            way with `oms-sync doctor --legacy-url URL --site NAME`. A site of this program has a database of its own: name \
            another file with --db.";
        more(count) = "{count} {count|check was|checks were} made; oms-sync doctor -v shows them.";
        not_checked(first, last, why) = "{first} to {last}: {why}";
        checks(count) = "{count} {count|check|checks}";
    }

    /// The result of `audit`.
    audit_result {
        central_went_back() = "Central's changelog ends before the end that this site has seen: central was restored from a backup or replaced. Tell its administrator.";
        all_same(records) = "Nothing is missing: {records} of central, all here and the same.";
        only_on_the_way() = "Nothing is missing except what is on its way or in quarantine.";
        differ(records) = "Should be the same at both ends, but is not: {records}.";
        lost(records) = "Should be the same, but is not: {records}";
        on_the_way(records) = "On their way, or in quarantine: {records}";
        reason(records, meaning, advice) = "{records}, {meaning}: {advice}";
        missing_here(why) = "missing here: {why}";
        here_only(why) = "here only: {why}";
        differs_in(fields, why) = "differs in {fields}: {why}";
    }

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
        done(step) = "{step}: ok";
        trying_again(error, seconds) = "{error}; trying again in {seconds} s";
        gathers() = "the legacy server gathers this site's records, which may take half an hour; waiting";
    }

    /// Texts of `explain`.
    explain_shown {
        verdict(table, id, verdict) = "{table} {id}: {verdict}";
        not_known() = "never seen here";
        set_aside() = "a version of it is in quarantine";
        staged() = "came, and waits to be integrated";
        waits_for_push() = "changed here, and waits to be pushed";
        sent() = "sent; the other end has not confirmed the integration yet";
        taken() = "sent, and the other end has finished integrating";
        received() = "came from the other end; nothing waits";
        refused_by_central() = "sent, and refused by central";
        stays_here() = "written here, and does not leave this database";
        at_central() = "on this central server, for the sites to pull";
        v6_both_ways() = "Its type travels over V6, from sites to central and from there to sites.";
        v6_from_central() = "Its type travels over V6, from central to sites only.";
        v6_to_central() = "Its type travels over V6, from sites to central only.";
        v5_both_ways() = "Its type travels over V5, between a site and the legacy server.";
        v5_from_legacy() = "Its type travels over V5, from the legacy server to sites only.";
        no_such_table() = "This version knows no such table.";
        is_here(size) = "It is here, with {size} of data.";

        // A change with its facts: each text below adds a fact to the text before.
        written_here(at, number) = "{at} written here, change {number}";
        deleted_here(at, number) = "{at} deleted here, change {number}";
        came(at, by, number) = "{at} came from {by}, change {number}";
        deletion_came(at, by, number) = "{at} deletion came from {by}, change {number}";
        of_store(change, store) = "{change}, of store {store}";
        with_cycle(change, cycle) = "{change}, with {cycle}";
        local_only(change) = "{change}, as local only: it is not synchronised";
        for_store_left(change) = "{change}; for a store that it has left";
        cycle_of(at, number) = "the cycle of {at} (oms-sync log show {number})";
        cycle_not_told() = "a cycle that is not in the log";

        // Its ways out.
        goes_first(to) = "to {to}: waits; it goes out first with the next push";
        goes_after_one(to) = "to {to}: waits; 1 change before it";
        goes_after(to, count) = "to {to}: waits; {count} {count|change|changes} before it";
        refused(to) = "to {to}: not taken, and in quarantine here";
        on_its_way(to, cycle) = "to {to}: sent in {cycle}; whether it is integrated there is not known yet";
        integrated(to, cycle) = "to {to}: sent in {cycle}, and {to} has finished integrating. Whether it put the \
            record into quarantine cannot be seen from here: ask there.";
        no_reader() = "no site that is known here reads it";
        read_past(sites, count) = "for {sites}: already read by {count}";
        not_yet_past(sites, count, left) = "for {sites}: already read by {count}; not yet: site {left}";
        one_site() = "1 site";
        sites(count) = "{count} {count|site|sites}";

        conflict_at(at) = "{at} a version from elsewhere yielded to an edit made here, in the cycle that began then.";
        conflict_differs(from, fields, table, id) = "The version of {from} differed from the one made here in {fields}; both: oms-sync \
            conflicts show {table} {id}";
        staged_since(at) = "{at} a version came. It is integrated by the next cycle here; by a central server, once \
            its site has sent the rest.";
        not_taken(at, cause, number, reason) =
            "{at} written here and not taken, in quarantine as {cause}, number {number}: {reason}";
        not_taken_by_central(at, reason) = "{at} central told that it refused it: {reason}";
        not_taken_before(at, reason) = "{at} central told that it refused an earlier version of it: {reason}";
        write_again() = "Correct what the reason says and write it again. If its store is active on another site now, that does not help: \
            enter it there, or ask central's administrator, who has the refused version in quarantine and can try it again once the store is back.";
        came_set_aside(at, from, cause, number, reason) =
            "{at} came from {from}, in quarantine as {cause}, number {number}: {reason}";
        awaited_by(records) = "In quarantine until this one comes: {records} (oms-sync quarantine list)";
        also_in(table) = "A record of {table} has the same id.";
        table_may_be(table) = "Did you mean the table {table}?";
        check_it() = "Check table and id; capital letters matter. If the other end has it: oms-sync preview pull says \
            whether it comes with the next sync; if the pull cursor has already passed it, oms-sync cursor rewind pull \
            reads it again, and with --own also what this site wrote itself.";
        lost_there() = "If the other end has lost it since: oms-sync resend sends it again.";
    }

    /// Texts of `preview`.
    preview_shown {
        held_up(why) = "Held up: {why}.";
        unconfirmed() = "Something was sent and is not confirmed: the other end is asked about that first.";
        nothing_waits() = "Nothing waits to be pushed.";
        to_central() = "To central:";
        to_legacy() = "To the legacy server:";
        stays_here() = "Written here, and not sent anywhere:";
        refused_there(records) = "Central would put into quarantine: {records}";
        set_aside_here(records) = "Would go into quarantine: {records}";
        why(cause, reason) = "{cause}: {reason}";
        central() = "central";
        legacy_central() = "central data of the legacy server";
        legacy_queue() = "the legacy server's queue for this site";
        no_answer(source, error) = "From {source}: {error}";
        nothing_comes(source) = "From {source}: nothing";
        comes(source, records) = "From {source}, {records}:";
        looked_at(source, records, count) = "From {source}, {records}, of which {count} were looked at:";
        integrated(records) = "Would be integrated: {records}";
        integrated_or_known(records) = "Would be integrated: {records}, those that are here already included";
        gives_way(records) = "{records} would yield to edits made here";
        woken(records) = "{records} now in quarantine would be tried again";
    }

    /// Texts of `cursor` and `resend`.
    repair_shown {
        nothing_to_rewind(at) = "It stands at {at}: nothing to rewind, it never goes forwards.";
        rewound(from, to) = "The cursor is rewound from {from} to {to}; the next sync reads again from there.";
        rewound_with_own(from, to) = "The cursor is rewound from {from} to {to}; the next sync reads again from there, \
            this site's own records included.";
        would_rewind(from, to) =
            "The cursor would be rewound from {from} to {to}; the next sync reads again from there.";
        would_rewind_with_own(from, to) = "The cursor would be rewound from {from} to {to}; the next sync reads again \
            from there, this site's own records included.";
        edits_are_kept() = "Existing records do not change; edits that are not pushed are kept.";
        remark(cursor, remark) = "{cursor}: {remark}";
        waits_already(records) = "Waiting to be pushed already, and left as they are: {records}";
        nothing_to_resend() = "Nothing is to be sent again.";
        goes_again(records) = "Will be sent again with the next push: {records}";
        would_go_again(records) = "Would go out again with the next push: {records}";
        of_type(table, count, size) = "{table}: {count}, {size}";
        of_type_since(table, count, size, at) = "{table}: {count}, {size}, the oldest from {at}";
        they_win() =
            "They win over the versions at the other end. If it may have newer ones, run a sync first to pull them.";
        backup_in() = "A copy of the database as it was before is in";
        to_do_it() = "Nothing was changed. To do it, repeat this with --yes --reason TEXT";
    }

    /// Why a command does not work with a database on a PostgreSQL server.
    on_server {
        backed_up_by_its_server() = "a database on a PostgreSQL server is backed up with pg_dump or by its server, and restored so too; copy the folder of files beside it";
        encrypted_by_its_server() = "a database on a PostgreSQL server is encrypted by that server or its disk, and has no key here";
        no_copy_before() = "this command copies the database before it changes anything, and a database on a PostgreSQL server is copied with pg_dump: it works with a file only";
        examines_a_file() = "this command examines a database file: see status, log and quarantine for a database on a PostgreSQL server";
    }

    /// Texts of `rekey`.
    rekey_shown {
        changed(db) = "{db} has the new key.";
        encrypted(db) = "{db} is encrypted.";
        backups_keep() = "Backups that were made before have the key, or none, of that time. The disk may still hold parts of a file that was not encrypted.";
    }

    /// Texts of `net`.
    net_shown {
        without_database() = "Without this database: oms-sync net --legacy-url URL --site NAME";
        no_address() = "no address";
        latency(median, worst, count) = "{median} ms, at worst {worst} ms, of {count} {count|question|questions}";
        not_measured() = "not measured: nothing came to measure with";
        throughput(rate, count, size, seconds) = "{rate} a second: {count} {count|record|records}, {size}, in {seconds} s";
        throughput_of_little(rate, count, size, seconds) =
            "{rate} a second: {count} {count|record|records}, {size}, in {seconds} s; too little to rely on";
        unread(count) = "{count} {count|record|records} that this site has not read";
        about_unread(count) = "about {count} {count|record|records} that this site has not read";
        central_data(count) = "{count} {count|record|records} of central data";
        about_central_data(count) = "about {count} {count|record|records} of central data";
        first_sync_unknown() = "The time of a first sync is unknown: no records came to measure.";
        first_sync(time) = "A first sync takes {time} here:";
        from_central(count, size, time, known_from) =
            "from central: {count} {count|record|records}, {size}, {time}; known from {known_from}";
        from_legacy(count, size, time, known_from) =
            "from the legacy server: {count} {count|record|records}, {size}, {time}; known from {known_from}";
        not_in_it() =
            "Not included: the time in which the legacy server gathers this site's own records, and writing them here.";
        batches(count) = "Batches that fit this line: {count} {count|record|records}";
        an_instant() = "less than a second";
        seconds(count) = "about {count} {count|second|seconds}";
        minutes(count) = "about {count} {count|minute|minutes}";
        hours(count) = "about {count} {count|hour|hours}";
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
        sync_in_future(days) = "the clock of this machine is {days} {days|day|days} behind the end of the last sync; set date and time: records \
            written here have the wrong time until then";
        no_files() = "none";
        too_old(last) = "the last complete cycle is too long ago: {last}";
    }

    /// Texts of `sync`.
    sync_shown {
        find_cause() = "To find the cause: oms-sync doctor";
        in_quarantine(count) = "In quarantine since earlier: {count}; see oms-sync quarantine list";
        told(outcome, pushed, pulled, integrated, requests, sent, received) = "{outcome}: pushed {pushed}, pulled \
            {pulled}, integrated {integrated} ({requests} {requests|request|requests}, {sent} up, {received} down)";
        done() = "done";
        left_behind() = "done, but some records went into quarantine";
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

    /// Texts of `conflicts`.
    conflicts_shown {
        none() = "No conflict is kept: no edit made here met another version of its record.";
        one_in_full() = "Both versions of one: oms-sync conflicts show TABLE ID";
        of_fields(ended, fields) = "{ended}; different: {fields}";
        kept_local(from) = "the edit made here stays, and the version of {from} was put aside";
        took_received(from) = "the app took the version of {from}; the edit made here is superseded, and not pushed";
        replaced(from) = "the app made a third version from the edit made here and the version of {from}";
        not_taken(from) = "central did not take the edit made here, and the version of {from} replaced it; the edit is kept here to be read";
        resolver_failed(from) = "the app's own decision failed; the edit made here stays, and the version of {from} was put aside";
        position(cursor) = "{cursor} in central's changelog";
        deletion(from) = "The version of {from} was a deletion.";
        not_here() = "The record is not here now.";
        not_kept(digest) = "The version that came is not kept, because it was larger than 64 kB or came with too many others. The SHA-256 of \
            its data was {digest}.";
        edit_not_kept() = "The edit made here is not kept: it was a deletion, or larger than 64 kB.";
        no_field() = "No field differs now.";
    }

    /// Texts of `log`.
    log_shown {
        empty() = "No cycle is in the log.";
        none_failed() = "No cycle in the log failed or left anything behind.";
        took(seconds) = "{seconds} s";
        set_aside(count, refused) = "{refused} refused, {count} for other causes";
        one_edit() = "1 edit";
        more_conflicts(count) = "More such records: {count}; oms-sync conflicts list";
        conflict(table, id) = "Another version came of {table} {id}, which was edited here; both: oms-sync conflicts show {table} {id}";
        edits(count) = "{count} {count|edit|edits}";
        requests(count, retries) = "{count}, {retries} of them tried again";
        skipped(step, reason) = "Skipped {step}: {reason}";
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

    /// Texts of `bundle`, and the descriptions of its parts.
    bundle_shown {
        read_me() = "a description of each part";
        environment() = "system, program, disk, clock, language";
        status() = "oms-sync status";
        doctor() = "oms-sync doctor";
        identity() = "oms-sync identity";
        settings() = "settings, secrets kept out";
        cursors() = "oms-sync cursor show";
        push() = "records that wait to be pushed, by type";
        log() = "the last cycles and repairs, newest first";
        errors() = "the errors of those cycles, explained";
        set_aside() = "the quarantine, by cause";
        each_set_aside() = "each such record: fields, no values";
        files() = "files not there yet, without names";
        not_gathered(code) = "could not be gathered: {code}";
        not_in_it() = "Left out: passwords, hashes, the id of the machine; the content of records; names of files; reasons typed by people. Included: addresses, ids, names of the site and its stores.";
        written(file, size) = "written: {file} ({size})";
        look_into_it() = "Each part is text: read it before you send it, if you like.";
        nothing_written() = "Nothing was written.";
    }

    /// Texts of `errors`.
    errors_shown {
        one_in_full() = "oms-sync errors CODE tells the cause of one and what to do.";
        found_by_doctor(message) = "doctor: {message}";
        missing(count, all) = "{count} of {all} {all|text is|texts are} in English.";
    }

    /// Texts of `identity`.
    identity_shown {
        does_not_agree(code, what, advice) = "does not agree [{code}]: {what}. {advice}";
        no_store() = "No store is active here.";
        stores() = "Stores that are active here:";
        no_name() = "(its name is not here)";
        same_server(url) = "{url} (the same server)";
        shortened(id) = "{id} (shortened)";
        speaks(v5, v6, open_msupply) = "V5 {v5}, V6 {v6}, as Open mSupply {open_msupply}";
        not_asked() = "No server was asked. To compare with the legacy server: oms-sync identity --ask";
    }

    /// Texts of `quarantine`.
    quarantine_shown {
        nothing() = "Nothing is in quarantine.";
        nothing_of_cause(cause) = "Nothing is in quarantine as {cause}.";
        cause(cause, records) = "{cause}: {records}";
        group(count, table, from, at) = "{count} of {table} from {from}, the first at {at}";
        wait_for(table, id) = "wait for {table} {id}";
        and_more(count) = "and {count} more; --all lists them";
        one_in_full() = "One of them in full: oms-sync quarantine show NUMBER";
        ignored(table, id, reason) = "ignored from now on, and kept: {table} {id}, because: {reason}";
        another_version_here() = "another version of it is here";
        no_version_here() = "no version is here";
        only_central() = "only central may write this type";
        everyone() = "every site may write this type";
        author() = "every site may write this type, but not change a record that another wrote";
        holder() = "only the site that holds the record to which this one belongs may write it, and central";
        store_site() = "only the site of the record's store may write this type";
        store_site_or_central() = "the site of the record's store and central may write this type";
        store_site_else_central() = "the site of the record's store may write it; without a store central alone";
        not_here(table, id) = "waits for {table} {id}, which is not here: it never came, or was lost. Look at the \
            other end, there: oms-sync explain {table} {id}; if it is there, oms-sync cursor rewind pull, here, reads it \
            again.";
        not_here_own(table, id) = "waits for {table} {id}, which is not here: it never came, or was lost. Look at the \
            other end, there: oms-sync explain {table} {id}; if it is there, oms-sync cursor rewind pull --own, here, reads it \
            again, even if this site wrote it itself.";
        not_at_central(table, id) = "waits for {table} {id}, which is not here: it never came, or was lost. Look at the site \
            that sent this one, there: oms-sync explain {table} {id}; if it has the record, send it again, there: oms-sync resend \
            {table} {id}";
        here(table, id) = "waits for {table} {id}, which is here: oms-sync quarantine retry";
        staged(table, id) = "waits for {table} {id}, which came and is integrated by the next cycle";
        set_aside(table, id, number, cause) =
            "waits for {table} {id}, which is in quarantine itself: number {number}, {cause}";
        join(table, id) = "waits until patient {id} is visible in a store of the site that sent it (a {table})";
        waits(table, id) = "waits for {table} {id}";
        tried(staged, integrated, again) = "tried again: {staged}; integrated {integrated}, back in quarantine {again}";
        staged_again(records) = "staged again: {records}; a cycle runs here, and the next one tries them";
        gave_way(count) = "{count} yielded to edits made here that are not pushed yet";
        sent_again(records) = "goes out again with the next push: {records}";
        not_tried(number, table, id, why) = "not tried: {number}, {table} {id}: {why}";
        why() = "Why: oms-sync quarantine list";
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
        nothing_to_compare() = "give --legacy or --central, or both: there is nothing to compare with";

        name_central(url) = "nobody may have seen the address: if {url} is the central server, run oms-sync discover --accept {url}";
        no_cycles() = "a central server without a legacy server has no cycles; `site list --max-age` tells which sites are silent";
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
        missing(id) = "MISSING: {id}";
        changed(id, reason) = "CHANGED: {id}: {reason}";
        surplus(file) = "SURPLUS: {file}";
        sound(count, size) = "{count} {count|file is|files are} sound ({size})";
    }
}
