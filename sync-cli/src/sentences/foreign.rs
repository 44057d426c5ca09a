//! Texts of `inspect`, `decode` and `compat` around those of the crate below.

sync_core::sentences! {
    /// Compatibility of releases.
    compatibility {
        fit(between, why) = "{between}: fit; {why}";
        fit_with_losses(between, why) = "{between}: fit, with losses; {why}";
        do_not_fit(between, why) = "{between}: do NOT fit; {why}";
        not_known(between, why) = "{between}: not known; {why}";
        upgrade_legacy_server() = "Upgrade the legacy server first.";
        upgrade_central() = "Upgrade the Open mSupply central server first.";
        upgrade_site() = "Upgrade the site first.";
    }

    /// The report of `inspect` on the database of an Open mSupply server.
    inspection {
        read_from_copy() = "The database is in use, or was when its server ended: a copy of it was read.";
        role(role, because) = "{role} ({because})";
        switched_off() = "switched off: cycles do nothing";
        read_up_to(legacy, central) = "legacy server {legacy}, central {central}";
        pushed_up_to(legacy, central, end) = "legacy server {legacy}, central {central}, of {end}";
        doubt(doubt) = "doubt: {doubt}";
        nothing_waits() = "Nothing waits to be pushed.";
        waiting() = "Waiting to be pushed:";
        made_at() = "Made at: when the oldest record was made, as its id tells. When it was changed is kept nowhere.";
        and_more(count) = "and {count} more; --json lists them all";
        last_cycles() = "Last cycles:";
        cycle(at, outcome, seconds) = "{at} {outcome} in {seconds} s";
        cycle_in_step(at, outcome, step, seconds) = "{at} {outcome} in step {step} in {seconds} s";
        cycle_with_records(cycle, records) = "{cycle}, {records}";
        cycle_with_error(cycle, code, message) = "{cycle} [{code}] {message}";
        errors_of_all(errors) = "errors of all cycles: {errors}";
        server_log(at, kind, message) = "server log {at} {kind}: {message}";
        files(direction, status, count, size) = "Files, {direction} {status}: {count} ({size})";
        files_with_error(files, tries, error) = "{files}, {tries} {tries|try|tries} at most: {error}";
    }

    /// Why received records are stuck in an Open mSupply server, and the advice.
    stuck_records {
        received(records, integrated) = "Received records in the sync buffer: {records}, integrated: {integrated}";
        one_waits(table, since) = "1 {table} waits for the next integration, the oldest since {since}";
        wait(records, table, since) = "{records} {table} {records|waits|wait} for the next integration, the oldest since {since}";
        none() = "None is stuck.";
        stuck(cause) = "Stuck: {cause}";
        records(count, table, since) = "{count} {table}, since {since}";
        records_from(count, table, site, since) = "{count} {table} from site {site}, since {since}";
        lacks_never_arrived(table, id) = "lacks {table} {id}, which never arrived here";
        lacks_stuck(table, id) = "lacks {table} {id}, which is stuck itself";
        lacks_waiting(table, id) = "lacks {table} {id}, which waits for the next integration";
        lacks_gone(table, id) = "lacks {table} {id}, which is not here any more";
        ids_and_more(ids, count) = "{ids} and {count} more";
        never_arrived() = "Never arrived, and needed by:";
    }

    /// Texts of `decode`.
    decoded_shown {
        wrong(problem) = "wrong: {problem}";
        note(note) = "note: {note}";
        wrong_records(count, all) = "{count} of {all} {all|record|records} {count|has|have} something wrong with them";
    }
}
