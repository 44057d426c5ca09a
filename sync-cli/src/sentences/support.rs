//! The texts of the support desk: the commands that find out what is wrong, and mend it.

sync_core::sentences! {
    /// The verdict of `doctor`.
    doctor_verdict {
        fault(party, says, advice) = "The problem is with {party}. {says}. {advice}";
        look(party, says, advice) = "No fault found, but check {party}. {says}. {advice}";
        well(says) = "No problem found. {says}.";
        also(party, says) = "Another problem is with {party}: {says}.";
        not_reached() = "nothing takes connections";
        silent() = "it did not answer in time";
        cut_off() = "its answer was cut off";
        something_else() = "something else answers there";
        in_trouble() = "it says that it has trouble (5xx)";
        certificate_refused() = "its certificate is refused";
        unreadable() = "its answer cannot be read";
        of_open_msupply(file, version) = "{file} is a database of Open mSupply {version} itself, not of this program";
        inspect_it(file) = "`oms-sync inspect {file}` reports on its synchronisation. A site of this program has a database of its \
            own: name another file with --db.";
        speaks_v7(file) = "Open mSupply 3.x synchronises by V7, which this program does not speak, or still by V6: `oms-sync \
            inspect {file}` tells which, and what to do. A site of this program has a database of its own: name \
            another file with --db.";
        damaged_head(file) = "{file} cannot be read as a database, though the watermark beside it says that it was one of this program: its \
            beginning is damaged, or another file is in its place";
        restore_first() = "Check the path and the disk, and restore a backup (`oms-sync restore`). Without one, move the file and its watermark away, and \
            set the site up again: the servers still have what was pushed.";
        alarm(says) = "Alarm: {says}.";
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
        refused_there(to, cycle) = "to {to}: sent in {cycle}, and refused there";
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
        store_named(id, name, code) = "{id} {name} ({code})";
        store_of_id(id) = "{id}";
        store_active_on(store, site, sender) = "{store} is active on site {site}, and not on {sender}, which sent this";
        store_active_nowhere(store, sender) = "{store} is active on no site, and so not on {sender}, which sent this";
        move_store_back(name, code, site, id) = "Nothing can be corrected where it was written, because the store is not there any more. To make it \
            active there again: oms-sync store add {name} --code {code} --site {site} --id {id}, and then this comes by itself.";
        move_store_back_at_legacy(sender) = "Nothing can be corrected where it was written, because the store is not there any more. To get it \
            in, have the store made active on {sender} again, and then this comes by itself.";
        enter_at_other_site(move_back, site, number) = "{move_back} Otherwise have it entered on site {site}, from the data below, and then: oms-sync \
            quarantine ignore {number} --reason TEXT";
        or_ignore(move_back, number) = "{move_back} If nobody needs it: oms-sync quarantine ignore {number} --reason TEXT";
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
}
