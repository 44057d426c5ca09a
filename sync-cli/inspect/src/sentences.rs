//! Messages of `inspect`, `decode` and `compat`.

sync_core::sentences! {
    /// Compatibility of releases.
    compatibility {
        this_program() = "this program";
        no_v5(end) = "{end} speaks no V5";
        v5_taken(end, version, legacy) = "{end} sends V5 version {version}, which {legacy} takes";
        v5_and_newer_taken(end, version, legacy) =
            "{end} sends V5 version {version}, and {legacy} takes newer ones too";
        v5_needs(end, version, first) =
            "{end} sends V5 version {version}, which needs a legacy server of {first} or later";
        v5_taken_by_unknown(end, version) =
            "{end} sends V5 version {version}; which legacy server takes it first is not known";
        v5_newer_than_known(end, version) = "{end} sends V5 version {version}, which is newer than what is known";
        central_before_v6(central) = "{central} is from before V6: it cannot be an Open mSupply central server";
        site_before_v6(site) = "{site} is from before V6: it knows no Open mSupply central server";
        v6(site, version, central, max) = "{site} sends V6 version {version}, {central} takes 0 to {max}";
        renamed(release) = "{release} renamed keys: vaccinations and R&R forms are rejected in both directions, and \
            manufacturers of item variants and facilities of vaccinations are lost silently";
        renamed_to_central(release) = "{release} renamed keys: vaccinations and R&R forms are rejected on their way to \
            central, and manufacturers of item variants and facilities of vaccinations are lost silently";
        missing_from_central(table, field, release) =
            "{table} from central: {table}.{field} (new in {release}) is missing: the receiver rejects them";
        missing_from_site(table, field, release) =
            "{table} from the site: {table}.{field} (new in {release}) is missing: the receiver rejects them";
        pushes_nothing(release) = "sites of {release} push nothing over V6, a known fault of 3.0 and 3.1: upgrade the site";
        not_over_v6() = "a 3.x central server never sends vaccine_course_store_config over V6, and releases 3.0 and 3.1 send \
            neither name_oms_fields nor asset_catalogue_type; new sites of 3.x use V7 only, which this program does not speak";
    }

    /// The report of `inspect` on the database of an Open mSupply server.
    inspection {
        has_read_from_central() = "it has read from an Open mSupply central server";
        sites_have_pushed() = "sites have pushed to it";
        reads_from_no_central() = "its cycles read from no Open mSupply central server";
        no_cycle_completed() = "no cycle was completed";
        cursor_beyond_end(name) = "the {name} cursor is beyond the end of the changelog: this database was put back \
            from a backup or its changelog was cut; edits below the cursor will not be pushed";
    }

    /// Why received records are stuck in an Open mSupply server, and the advice.
    stuck_records {
        missing_parent() = "lacks another record";
        missing_parent_advice() =
            "Have the missing record sent (save it again where it is kept), then these (save them again, too).";
        unknown_table() = "of a table that this release does not know";
        unknown_table_advice() = "Upgrade this server; it then takes them by itself.";
        passed_over() = "integrations passed it over";
        bad_data() = "cannot be read";
        bad_data_advice() =
            "The sender is of another release, or wrote nonsense: compare versions, then save it again there.";
        duplicate() = "exists already";
        duplicate_advice() = "Compare both records; usually the one that is here already is right.";
        ignored() = "left out on purpose";
        ignored_advice() = "Nothing to do, unless somebody needs the record.";
        other() = "failed";
        other_advice() = "See the reason.";
    }

    /// The advice for the codes of Open mSupply's sync log.
    upstream_advice {
        connection_error() = "Check the network of this machine, and the addresses of both servers.";
        site_name_not_found() = "The legacy server has no site of this name; capital letters matter.";
        incorrect_password() = "Enter the password that the legacy server has for this site.";
        hardware_id_mismatch() = "The site is bound to another machine: reset its hardware id on the legacy server.";
        site_has_no_store() = "Make a store active on this site, on the legacy server.";
        site_auth_timeout() = "The legacy server was too busy; it goes on by itself.";
        api_version_incompatible() = "Upgrade the legacy mSupply server, or take the older Open mSupply again.";
        v6_api_version_incompatible() = "Upgrade the Open mSupply central server first, then the sites.";
        central_v6_not_configured() = "Enter the Open mSupply central server's address on the legacy server.";
        integration_timeout_reached() = "Central was busy for more than 30 seconds; it goes on by itself.";
        integration_error() = "The database of this machine failed: check its disk.";
    }

    /// The kinds of messages for `decode`.
    decoded_kind {
        none() = "no message of V5 or V6";
        v7() = "V7: a message of Open mSupply 3.x, which this program does not speak";
        records() = "records";
        record() = "a record";
        v6_records() = "V6: records";
        asks_for_patient() = "V6: a site asks for one patient";
        pushes() = "V6: a site pushes records";
        asks_for_file() = "V6: a site asks for a file";
        pulls() = "V6: a site pulls";
        asks_for_status() = "V6: a site asks whether central is done integrating";
        asks_for_join() = "V6: a site asks that a patient be visible in its store";
        brings_file() = "V6: a site brings a file";
        status() = "V6: whether central is done integrating";
        central_error() = "V6: central reports an error";
        taken() = "V6: central has taken it";
        taken_records() = "V6: central has taken pushed records";
        v5_central_data() = "V5: central data of the legacy server";
        v5_queue() = "V5: records of a site's queue";
        pushed_to_legacy() = "V5: the legacy server's answer to pushed records";
        acknowledged() = "V5: records are acknowledged";
        legacy_status() = "V5: what the legacy server is doing for this site";
        legacy_refuses() = "V5: the legacy server refuses";
        site_info() = "V5: who a site is";
        asks_who_it_is() = "V5: a site asks who it is";
        asks_legacy_status() = "V5: a site asks what the legacy server is doing for it";
        asks_to_initialise() = "V5: a site asks for all of its records to be queued";
        asks_for_central_data() = "V5: a site asks for central data";
        asks_for_queue() = "V5: a site asks for the records of its queue";
        join_at_legacy() = "legacy server: a patient is made visible in a store";
        empty_answer() = "an answer without content";
    }

    /// Values of a message in words.
    decoded_fact {
        yes() = "yes";
        no() = "no";
        not_initialised() = "no: it wants its own records too";
        still_integrating() = "yes: ask again";
        v6_versions(min, max) = "V6 version {min} to {max}";
        central() = "Open mSupply central server";
        remote() = "remote site";
    }

    /// Faults of a message or of a record in it.
    decoded_wrong {
        not_utf8() = "it holds bytes that are not UTF-8";
        neither_object_nor_list() = "it is neither an object nor a list";
        no_known_key() = "none of its keys belongs to a message of V5 or V6";
        empty() = "it is empty";
        cut_off(error) = "the body is cut off: {error}";
        no_answer(error) = "not an answer of this protocol: {error}";
        data_no_object() = "its data is no object";
        unknown_data() = "its data is that of no answer that is known";
        no_known_question() = "it has no content, and its path is that of no question that has none";
        body_cut_off(came, length) = "it is cut off: {came} of {length} bytes came";
        unknown_error() = "this version does not know such an error";
        password_no_hash() = "the password is not a SHA-256 hash in small hex digits";
        no_hardware_id() = "there is no hardware id";
        v6_version_newer(version) = "V6 version {version} is newer than any that is known; central refuses it";
        no_rows_asked_for() = "0 rows are asked for: central answers with none, and never ends";
        no_central_address() = "no address of the central server is entered on the legacy server";
        central_address_without_scheme() = "the central server's address has no http:// or https://";
        beyond_end_cursor() = "a record stands beyond the end cursor: it would be sent again for ever";
        beyond_newest_position() = "a record stands beyond the newest position";
        cursor_not_larger() = "its cursor is not larger than the one before";
        removed(release) = "release {release} removed this type";
        not_deleted() = "records of this type are not deleted by a Delete: it is not understood";
        position_not_larger() = "its position is not larger than the one before";
        not_merged() = "merges come from the legacy server only, by V5";
        merge_without(key) = "the merge has no {key}";
        key_is_not_id(key) = "$.{key} is not the id of the record";
    }

    /// Remarks about a message or a record in it.
    decoded_note {
        v5_version(sent, known) = "V5 version {sent}; this program speaks {known}";
        push_refused_as_a_whole() = "central refuses a push as a whole if one part of it cannot be read";
        empty_batch() = "no records, but not the last batch: rows without a record for this site were passed";
        not_checked() = "a table of the legacy server, or one that this version does not know: not checked";
        unknown_keys(keys) = "keys that this version does not know: {keys}";
        older_spelling() = "in the spelling of an older release";
    }

    /// The meaning of central's errors.
    decoded_means {
        not_central() = "this server is no central server, or has not yet asked the legacy server who it is";
        still_integrating() = "central still integrates what this site pushed earlier: try again";
        versions_do_not_fit() = "the V6 versions do not fit: upgrade whichever end is older";
        unknown_site() = "the legacy server knows no such site";
        wrong_password() = "the legacy server says that the password is wrong";
        other_machine() = "the legacy server says that the site is bound to another machine";
        no_store() = "the legacy server says that the site has no store";
        legacy_too_slow() = "the legacy server took too long to check the site";
        v5_not_taken() = "the legacy server does not take central's V5 version";
        check_refused() = "the legacy server refused to check the site";
        failed_within() = "something failed within central, or between it and the legacy server";
        record_unreadable() = "central could not read a record";
        no_file() = "central does not have the file, or not its reference";
        paused() = "central is paused for maintenance: try again later; nothing is lost";
        table_not_for_sites() = "the push holds a record of a table that sites may not write; all of it is refused";
        v7_refusal() = "an error of V7. A server that answers so was asked by a site of 3.x, or is a 3.x central server; \
            sites of 2.x and this program need its V6, at the address that the legacy server names";
        v7_message() = "sites of 3.x speak V7 with 3.x central servers; nothing of it can be checked here";
        site_refused() = "the legacy server refused the site";
        legacy_out_of_reach() = "central cannot reach the legacy server";
        failed_between() = "something failed between central and the legacy server";
        too_large() = "the request is larger than central takes: it must be split";
        request_unreadable() = "central cannot read the request";
    }

    /// How a database of Open mSupply 3.x synchronises, and what to do.
    release_3 {
        speaks_v6() = "V5 and V6, as a site of 2.x does, until the legacy server gives it an address for V7";
        speaks_v7() = "V7, which this program does not speak";
        serve_v6() = "A central server of Open mSupply 2.x or 3.x or of this program serves it. Releases 3.0 and 3.1 push nothing over \
            V6: upgrade such a site to 3.2. Once it has changed to V7 it needs a central server of 3.x, and does not come back. Its \
            queue and its failed records are on its own page Synchronisation";
        needs_release_3() = "It needs a central server of Open mSupply 3.x; one of this program tells such a site that it speaks V6 \
            only. Sites of 2.x and of this program still use the V6 of a central server of 3.x. Its queue and its failed records \
            are on its own page Synchronisation";
    }

    /// Faults of given input.
    input_given {
        unreadable(file, error) = "{file} cannot be read: {error}";
        gzip_unreadable(error) = "this is gzipped, and cannot be unpacked: {error}";
        gzip_too_large(max) = "this is gzipped, and unpacks to more than {max} bytes";
        empty() = "this is empty: no message of V5 or V6 is";
        web_page() = "this is a web page, no message: a proxy, a log-in page or another server answered in place of \
            the right one";
        cut_off(error) = "this is cut off: {error}";
        not_json(error) = "this is not JSON: {error}";
        not_sqlite(file) = "{file} is not an SQLite database";
        not_open_msupply(file, table) = "{file} is no database of Open mSupply: it has no table {table}";
        of_this_program(file, table) = "{file} is no database of Open mSupply: it has no table {table}; it is one of \
            this program: see oms-sync status";
    }
}
