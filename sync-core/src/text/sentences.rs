//! All English texts of this library besides those of errors, which are in `error/errors_with_texts.rs`:
//! `group { name(details) = "text"; }`.

crate::sentences! {
    /// The results of a diagnosis: all is well, or why a check was not made.
    doctor {
        all_well() = "everything that could be checked is well";

        // The database.
        schema_older(found, known) = "its schema is version {found}, and this program's is {known}";
        database_well(schema) = "schema {schema}, it can be read and written";
        missing_in_schema(what) = "the {what} of its schema is missing";
        database_not_opened() = "the database cannot be opened";
        database_not_read() = "the database cannot be read";
        no_damage() = "no damage found in the file";
        damage(count) = "the file is damaged, in {count} or more places";
        free_not_told() = "this machine does not say how much is free";
        free_little(path, free, size) = "only {free} MB are free on the disk of {path}, and the database has {size} MB";
        free_well(free) = "{free} MB free";

        // The stored data.
        settings_well(role, site, stores) = "{role} site {site}, {stores}";
        site_with_number(name, number) = "{name}, number {number}";
        no_site_name() = "without a name";
        no_other_copy() = "no other copy of this database is known to run";
        stop_the_other() = "Find the other copy and stop it; its unsent edits exist only there. If no other copy runs, this warning ends after the next push.";
        look_why_it_is_silent() = "It takes connections and gives no answer: ask its administrator whether it hangs, and to restart it. Nothing is \
            lost. Over a very slow line, check again with a longer wait.";
        look_what_swallows_answers() = "Connections are taken, and no answer comes: a firewall or a proxy on the way, or a very slow line. Try another \
            network, or ask the network's administrator. Nothing is lost.";
        look_why_it_cuts() = "The connection broke: sync again, and if it breaks again, ask its administrator to look at the server, and at a \
            proxy before it. Nothing is lost.";
        look_what_cuts() = "The connection broke: sync again, and if it breaks again, something on the way cuts it: try another network, or ask \
            the network's administrator. Nothing is lost.";
        copy_refused(at) = "this copy goes on; another one was refused at {at}";
        copies_of_site(site, goes_on, refused) = "two copies of the database of site {site} run: the one that pushed at {goes_on} \
            goes on, and another one was refused at {refused}";
        copies_of_sites(sites, refused) = "two copies run of the database of each of these sites: {sites}; the last refusal of one was at {refused}";
        stop_the_other_at_site() = "The people at that site must find the other copy and stop it; its unsent edits exist only there. This warning ends seven days after the last refusal.";
        file_came_here() = "the database and its watermark were moved or copied here";
        if_original_runs() = "If the original still runs, stop one of the two. If it does not, as after a move, nothing is to do: this warning ends after the next push.";
        one_store() = "1 store";
        stores(count) = "{count} {count|store|stores}";
        none_set_aside() = "no record is in quarantine";
        only_ignored(count) = "no record is in quarantine, {count} ignored on purpose";
        one_set_aside(causes) = "1 record is in quarantine: {causes}";
        set_aside(count, causes) = "{count} {count|record is|records are} in quarantine: {causes}";
        no_password_given() = "no password was given; the server knows the site's name";
        well_without_password() = "the server answers and knows the site; what needs the password was not checked";
        none_refused() = "central told of no refused record that is still the one here";
        refused_by_central(count, table, id, reason) = "records that central refused, and that were not written again since: \
            {count}; the last is {table} {id}: {reason}";
        files_well(all, waiting) = "{all} known, {waiting} on their way, none is stuck";
        files_stuck(stuck, all, direction, id, table, record) =
            "files that do not get through: {stuck} of {all}, for example the {direction} of {id} of {table} {record}";
        files_stuck_for(stuck, all, direction, id, table, record, reason) = "files that do not get through: \
            {stuck} of {all}, for example the {direction} of {id} of {table} {record}: {reason}";
        files_gone(count, all, id, table, record) = "files whose bytes are gone from this device: {count} of {all}, for \
            example {id} of {table} {record}";
        attach_again(id) = "Attach the file to its record again, from the camera or a backup, and then delete the former reference: \
            record {id} of sync_file_reference.";
        last_sync_well(at) = "a sync succeeded at {at}";
        never_synced() = "no sync has succeeded here yet";
        last_sync_failed(at, message) = "the last sync, at {at}, failed: {message}";
        sync_again() = "Nothing is wrong any more that could be checked: sync again; if it fails again, its message says more.";
        release_3_takes_v6(version) = "version {version} of V6 is accepted; the server is of Open mSupply 3.x, and speaks V7 too";
        alarms_not_central() = "this is not a central server";
        no_alarms() = "no alarm";
        no_other_alarms() = "every alarm has a check of its own above";
        alarms(worst, count) = "{worst}; and {count} more";
        dispensary_not_central() = "checked only for stores on a central server";
        dispensary_well() = "every store of this central server is in it";
        cursors_well() = "no cursor is beyond its end";
        cursors_well_at(servers) = "no cursor is beyond the end at {servers}";
        or_at(one, other) = "{one} or at {other}";

        app_follows() = "an app keeps tables of its own in this database, so the app alone synchronises it";

        // Why a check was not made.
        no_question() = "no server was to be asked";
        own_list() = "this central server keeps the list of sites itself";
        not_set_up() = "this database is not set up as a site";
        is_central() = "this is the central server itself";
        no_address() = "no address of central can be used";
        identity_not_told(server) = "{server} did not say who this site is";
        no_server_answered() = "no server answered; here no cursor is beyond its end";
        no_time_told() = "no server said what time it is";
        server_out_of_reach(server) = "{server} cannot be reached";
        see_check(check) = "see {check}";
        no_answer_through_it() = "no answer came through it";
        server_did_not_come_to_it(server, code) = "{server} did not get that far: {code}";
        no_lookup_here() = "nothing is looked up on this kind of line";
        no_connection_here() = "nothing connects on this kind of line";
        proxy_does(proxy) = "the proxy {proxy} does that, as this machine's environment says";
        name_not_known_there() = "its name is not known";

        // The answer of the legacy server.
        identity_well(site, server) = "site {site} of {server}, as stored here";
        address_as_told(url, server) = "{url}, as {server} says";
        address_as_told_before(url, server) = "{url}, as {server} said before";
        address_for_sites(url) = "{url}, as sites are told";
        put_address_back() = "If central has moved, the next sync takes the new address over; otherwise ask the \
            server's administrator to put the old one back before anybody syncs.";

        worked_before(server) = "This address answered as {server} before, and has not changed here: ask the administrator of {server} what answers \
            there now, the server or a proxy before it.";

        put_answered_back(url) = "Central answered last at {url}, and the legacy server names another address since: if central did not \
            move, ask the legacy server's administrator to put that address back.";

        site_gone(since, server) = "It was there at {since}, so it was deleted or renamed on {server} since: ask its administrator. Nothing is lost: what was not \
            pushed waits here.";

        site_made_again(server) = "the site was deleted on {server} and made again there: it is another one since, \
            of the same name";
        made_again_advice(server) = "Ask the administrator of {server} to put the former site back from a backup. If that is not possible, \
            set a new database up as the new site; edits that were not pushed are only in this one.";
        central_is_legacy_itself() = "Central's address is that of the legacy server itself: ask the legacy server's \
            administrator to correct it there.";

        central_speaks_v7_only() = "Ask central's administrator to let it speak V6 again, which sites of Open mSupply 2.x need too. If the network \
            goes on with V7 alone, it takes sites of Open mSupply 3.x only. Nothing is lost: what was not pushed waits here.";

        // The way to a server.
        one_address(host) = "{host} has 1 address";
        addresses(host, count) = "{host} has {count} {count|address|addresses}";
        host_known(host) = "{host} is known";
        name_not_known(host, server) = "the name {host} of {server} is not known";
        check_name() = "Without a network no name is known, so check the connection; if web pages open, check the name \
            in the address, and ask the network's administrator whether it is known there. Nothing is lost.";
        connected(port, millis) = "to port {port} in {millis} ms";
        connection_refused(url, server) =
            "nothing takes connections at {url}: {server} is stopped, or this is not its port";
        start_it() =
            "Ask its administrator to start it, and check address and port; nothing is lost, the next sync goes on.";
        nobody_answers(url) = "nobody answers at {url}";
        proxy_leads_nowhere(proxy, server) = "the proxy {proxy} does not lead to {server}";
        check_proxy() = "This machine's environment names that proxy (http_proxy, https_proxy, all_proxy; no_proxy names the \
            servers that are asked directly): ask the network's \
            administrator whether address, user name and password of it are right.";
        log_in_first() = "A log-in page or a proxy of the network is in between: open any web page on this machine \
            and log in there, or ask the network's administrator to let these addresses through.";

        // TLS.
        trusted() = "its certificate is trusted";
        no_tls() = "none: the address begins with http://, so the line can be read by others";
        wrong_scheme(url, is, should) = "the address {url} begins with {is}://, but the server uses {should}://";
        correct_scheme_here(is, should) =
            "Write {should}:// instead of {is}://: set this site up again with the right address.";
        correct_scheme_there(is, should) = "Write {should}:// instead of {is}://. Ask the legacy server's \
            administrator to correct central's address there.";
        ask_for_tls() = "Ask the server's administrator for its https:// address: what is sent to this one is not encrypted. Only \
            if the server has no TLS, and the line is trusted, set this site up again and allow http.";
        ask_for_tls_there() = "Ask central's administrator for its https:// address: what is sent to this one is not encrypted. The \
            legacy server's administrator corrects it there.";
        install_authority() = "If the server's administrator made the certificate, install their certificate authority \
            on this machine; otherwise ask them for a certificate from a public authority.";
        correct_trust() = "The variable SSL_CERT_FILE of this machine's environment takes the place of the authorities that the system trusts: let it name \
            a file with certificates, or take it away.";
        renew() = "Ask its administrator to renew the certificate, if the date on this machine is right.";
        use_its_name() =
            "Use the name that the certificate is made for, or ask its administrator for one with this name in it.";
        later_date() = "Set date, time and time zone of this machine, if they are wrong; else ask its administrator for a certificate that is valid now.";
        certificate_for_server() = "Ask its administrator for a certificate of the server itself: signed by that authority, or self-signed with CA:FALSE \
            (`openssl req -x509 … -addext basicConstraints=critical,CA:FALSE`), with the server's name in subjectAltName.";
        replace_certificate() = "Ask its administrator to replace the certificate.";
        network_opens_lines() = "Both servers' certificates are refused: the network decrypts the traffic, or wants \
            somebody to log in first. Open any web page on this machine, or ask the network's administrator.";

        // The server.
        is_server(url, server) = "{url} is {server}";
        let_in() = "it knows the site; password and hardware id are right";
        version_taken(version, protocol) = "it takes version {version} of {protocol}, which this program speaks";
        central_alone_refuses() = "The legacy server lets this site in, so name and password are right: central asks \
            another legacy server, or keeps a list of sites that differs. Ask central's administrator.";

        // The clock.
        minutes(count) = "{count} {count|minute|minutes}";
        hours(count) = "{count} {count|hour|hours}";
        days(count) = "{count} {count|day|days}";
        clock_well(now) = "{now}, as the servers have it";
        clock_ahead(time, server) = "the clock of this machine is {time} ahead of that of {server}";
        clock_behind(time, server) = "the clock of this machine is {time} behind that of {server}";
        clock_of_server(server, time) =
            "the clock of {server} differs by {time} from this one and that of the other server";
        clock_before_sync(now, newest) = "the clock says {now}, but the newest sync ended later, at {newest}";
        clock_far_after_sync(now, days, last) = "the clock here says {now}, which is {days} {days|day|days} after the sync of {last}, and a certificate \
            ended meanwhile";
        set_clock_or_renew() = "Set date, time and time zone of this machine. If they are right, ask the server's administrator for a \
            certificate that is valid now.";
        set_clock() = "Set date, time and time zone of this machine; records written until then have the wrong time.";
        set_clock_there() = "Tell the server's administrator to set its clock.";
    }

    /// Warnings of a cycle.
    cycle {
        something_new(server, change) = "{server} says something new: {change}";
        readable_on_the_way(url) = "{url} is not https: everybody on the way can read the hash of the site's password, and its records";
        path_not_used(url, dropped) = "the server is asked at {url}: \"{dropped}\" behind it is not used; check whether that is the server's address";
        not_identified(server) = "{server} does not say who this site is: continuing with its stored answer";
        legacy_went_back(server, position) = "{server} went back to position {position}: it was restored from a \
            backup or replaced. Its central data is read again from the beginning.";
        stores_left(stores) = "stores that are no longer active here: {stores}. Their records can still be read here, \
            but only the site where the stores are active now can change them.";
        central_refused(table, id, reason) = "central did not take {table} {id}: {reason}";
        resolver_failed(table, id, why) = "the app's resolver failed at {table} {id}, so the edit made here stays: {why}";
        resolver_panicked(table, id) = "the app's resolver panicked at {table} {id}, so the edit made here stays";
        resolver_of_no_table(table) = "the app has a resolver for \"{table}\", which is no table that this version knows: it is never asked";
        clock_ahead(days) = "the clock of this machine is {days} {days|day|days} ahead of the servers'; set date and time: records written \
            until then have the wrong time";
        clock_behind(days) = "the clock of this machine is {days} {days|day|days} behind the servers'; set date and time: records written \
            until then have the wrong time";
        copy_refused(at) = "another copy of this database tried to act as this site, and central refused it at {at}: this copy continues; find the other one and stop it";
        stores_gained(server, stores) = "{server} sent changes to stores that are active here: {stores}. Everything \
            is read again from the beginning.";
        queue_fills(server, left) = "the queue of {server} for this site fills as fast as it is read ({left} {left|record is|records are} \
            left): the next sync goes on with it";
        queue_without_ids(count, server) = "entries of the queue of {server} for this site that have no id that can be read, and cannot be acknowledged: {count}. They are kept here, and come again with each sync until the server's administrator removes them";
        file_failed(direction, id, reason) = "{direction} of file {id} failed: {reason}";
        patient_not_sent(patient, store, server) = "patient {patient} is linked to store {store}, but {server} has not sent the patient yet: the next sync asks again";
        link_waits(patient, store, reason) = "linking patient {patient} to store {store} is not done yet, and continues with the next sync: {reason}";
        failed_alone(table, id, code) = "{table} {id} was sent alone, and the server failed [{code}]: it waits, and the other records are sent without it";
        refused_alone(table, id) = "{table} {id} was refused alone: it waits, and the other records are sent without it";
        link_refused(patient, store, reason) = "linking patient {patient} to store {store} ends unfinished, because it was refused: {reason}";
        link_ended(patient, store) = "linking patient {patient} ends unfinished: store {store} is no longer active here";
        restored() = "this database was restored from a backup: everything synchronised since then is read again";
        central_went_back(after) = "central went back to {after} in its changelog: it was restored from a backup or \
            replaced. Everything is read again from the beginning, and the edits of this site that it lost go out again with the next push.";
    }

    /// Disagreements about the identity of a database.
    identity {
        not_set_up() = "this database does not know who it is";
        no_central_url() = "the legacy server names no central server for this site";
        enter_central_url() =
            "Ask the legacy server's administrator to enter central's address; the next sync takes it over.";
        legacy_address_unusable(reason) = "the legacy server's address cannot be used: {reason}";
        central_address_unusable(reason) = "central's address cannot be used: {reason}";
        correct_address() = "Ask the legacy server's administrator to correct it, or set this site up again.";
        no_store(site) = "no store is active on site {site}";
        activate_store() = "Ask the server's administrator to make a store active on this site; the next sync brings \
            it. If one is active there, it was lost here: read everything from the server again.";
        stores_lost() = "stores were read from the server, and this database holds none any more";
        used_by_newer(used_by, program) = "the database was used by version {used_by}, and this program is {program}";
        use_newer() = "Use the newer program: this one may not know what that one wrote.";
        site_uuid() = "site UUID";
        site_id() = "site id";
        role() = "role";
        central_url() = "central URL";
        legacy_site_id() = "legacy site id";
        changed(what, before, now) = "{what}: \"{before}\" is now \"{now}\"";
        differs(what, ours, server, theirs) = "{what}: here \"{ours}\", on {server} \"{theirs}\"";
        other_site() = "These credentials are another site's: set this site up with its own, or use another \
            database for that one.";
        discover_again() = "The next sync takes over what the server says.";
    }

    /// Alarms for the administrator of a central server.
    alarm {
        not_in_dispensary_mode(id, store, mode) = "store {id} ({store}) on the central server is in {mode} mode: set \
            it to dispensary mode on the legacy server";
        own_url_unusable(url, reason) =
            "the address that sites get for this server, \"{url}\", cannot be used: {reason}";
        site_pushes_nothing(site, release) = "site {site} runs Open mSupply {release}, which by a known fault pushes \
            nothing over V6: its edits stay there; upgrade it to 3.2 or later";
        copy_refused(site, goes_on, refused) = "two copies of the database of site {site} run: the one that pushed at {goes_on} goes \
            on, and another one was refused at {refused}. The people at that site must find the other copy and stop it: what is entered there \
            does not arrive";
        changelog_nears_its_end(newest, percent) = "the changelog is at {newest}, {percent} % of the numbers that sites of Open mSupply 2.x can count: beyond 2147483648 they lose their place each time. Bring the sites to a release that counts \
            further, and find out what writes so many changes";
        sites_silent(count, sites) = "{count} {count|site|sites} did not come for a day: {sites}. Ask whether the device there runs and has a \
            network";
        sign_ins_fail(count, sites) = "the sign-ins of {count} {count|site|sites} were refused since the last visit: {sites}. The password here and \
            on the device differ, or another machine comes as the site";
        records_in_quarantine(count) = "{count} {count|record is|records are} in quarantine; the quarantine has the reason of each";
        paused() = "the server is paused: sites wait until that ends";
        clock_went_back(visit) = "the clock of this machine went back: a site came at {visit}. Set date and time";
        files_lost(count, first) = "{count} {count|file is|files are} missing or damaged here, {first} first, and no site can fetch \
            {count|it|them}: have a site that has {count|it|them} send {count|it|them} again, or put {count|it|them} back into the folder \
            of files from a backup and verify the files";
        disk_full() = "the disk of the server is full: pushes fail until there is room";
        disk_nearly_full() = "the disk of the server is nearly full: make room, or the next push may fail";
        certificate_ended() = "the certificate has ended: no site comes in. Renew it";
        certificate_not_yet_valid() = "the certificate is not valid yet by the clock of this machine: no site comes in";
        certificate_ends_soon() = "the certificate ends within two weeks. Renew it before, or no site comes in";
        certificate_not_renewed() = "the certificate in the file is not used, because it has a fault; the log of the server says which";
        certificate_refused_by_sites() = "sites refuse the certificate: it is the own one of an authority (CA:TRUE)";
        backup_failed() = "the last backup failed; the log of the server says why. It is tried again";
        no_backup_yet() = "there is no backup yet";
        no_url() = "there is none, so no site finds this server";
        more_than_an_address() = "it holds more than an address";
        end_is_dropped(end) = "\"{end}\" at its end is dropped by sites; end it with a slash if it belongs there";
    }

    /// Why a record differs between both ends, and the advice.
    audit {
        compared() = "Compared: records of V6. Not compared: stores, names, items and all else from the legacy server.";
        lost_here() = "read from central before, but no longer here as it was read";
        lost_here_advice() = "Read everything from central again, this site's own records included; edits that are not \
            pushed are kept.";
        not_taken() = "written or deleted here and accepted by central, which does not show it";
        not_taken_advice() =
            "Look for it at central, in the quarantine too; if it is not there, send it again.";
        deleted_at_central() = "deleted at central, but still here";
        deleted_at_central_advice() = "Read everything from central again, this site's own records included, to \
            delete it here; or send it again if it is to stay.";
        lost_at_central() = "came from central, which no longer has it";
        lost_at_central_advice() = "If central was restored, its administrator must know; send the records of \
            this site again, those that came from central too.";
        waits_for_push() = "edited here, and waits to be pushed";
        waits_for_push_advice() = "Nothing to do: the next sync sends it.";
        waits_for_pull() = "not read yet";
        waits_for_pull_advice() = "Nothing to do: the next sync brings it.";
        waits_for_another() = "came, and waits here for a record that it names";
        waits_for_another_advice() = "The quarantine says for which.";
        set_aside() = "in quarantine here";
        set_aside_advice() = "The quarantine says why.";
        refused_by_central() = "written here, and not taken by central";
        refused_by_central_advice() = "The quarantine, or the history of the record, says why.";
        not_for_this_site() = "of a store or a patient that central does not send here, or no longer sends";
        not_sent_by_central() = "of a table of which this central server sends nothing over V6";
        not_sent_by_central_advice() = "Nothing to do: some 3.x central servers do not send this table over V6. The \
            records stay here.";
        ignored() = "came, and is ignored here on purpose";
        ignored_advice() = "Nothing to do; the quarantine can try it again.";
        not_for_this_site_advice() = "Nothing to do: it stays to be read.";
    }

    /// The meaning of a cursor, and remarks about it.
    cursor {
        pull_central() = "next position to read at central";
        pull_legacy() = "last position read at the legacy server";
        push_central() = "next position to push to central";
        push_legacy() = "next position to push to the legacy server";
        unconfirmed() = "what was sent last is not confirmed yet";
        rereads_own() = "everything of this site is read again too";
        beyond_end() = "it is beyond the end, which is impossible";
    }

    /// Why nothing would be sent now.
    held_up {
        no_legacy_server() = "this is a central server without a legacy server, which sends nothing by itself";
        first_sync() = "the first sync is not complete: nothing is sent before this site knows its stores";
        restored() = "this database was restored from a backup: the lost records are read before anything is sent";
        store_came() = "a store came to this site, whose database was once restored from a backup: central is read again before \
            anything is sent, so that no edit from the backup replaces a newer one";
    }

    /// The origin of the number of records of a first sync.
    net {
        in_this_database() = "what is in this database";
        counted_by_central() = "what central counts for this site";
        received_whole() = "central data that was received whole";
        positions() = "positions of the legacy server's central data";
    }

    /// The meaning of a cause of quarantine, and the advice.
    quarantine {
        waiting() = "Refers to a record that is not here. It is tried again by itself when that record arrives; find \
            out why it has not.";
        refused() = "A rule of ownership forbids it, or the server does not take it. Correct it where it was written.";
        unsupported() =
            "This version does not know its table or a value in it. Upgrade this program; it is tried again then.";
        malformed() = "Its data do not fit its record type. Correct it where it was written, or upgrade this program.";
        failed() = "The database or this program failed at it each time. Look at the reason, and upgrade this program; it is \
            tried again then.";
        superseded() = "A newer version, or a move to another store, came before it could be integrated, and wins; kept for reference. If it matters, enter it again where the record is now.";
        ignored() = "Not needed here; kept for reference. Nothing to do.";
        not_readable_everywhere() =
            "not every server and site could read it, so it is sent to none; write the record again without what its reason names";
        another_version_here() =
            "it was written here, and the version here now is another one; write the record again if this one matters";
        later_version_waits() = "a later version came from a server and waits to be integrated; this one would undo it. Write the \
            record again if this one matters";
    }
    /// Faults of given input: an option, a file, a record.
    input {
        no_texts(error) = "these are no texts: {error}";
        no_group(group) = "there is no error code and no group \"{group}\"";
        no_text(group, name) = "{group} has no text \"{name}\"";
        no_detail(group, name, detail) = "{group}.{name} has no detail {detail}";
        no_site_name() = "the site's name is empty";
        #[cfg_attr(not(feature = "sqlcipher"), allow(dead_code, reason = "only encrypted databases have a key"))]
        no_passphrase() = "a key of a database is a text that is not empty, does not begin with x', and has no NUL";
        not_offered(meant, offered) = "the legacy server does not name {meant} as the central server; now it names {offered}";
        site_name(max) = "a site's name has 1 to {max} bytes and no control characters";
        colon_in_site_name(name) = "\"{name}\" is no name of a site: a colon would end the name where the site signs in (Basic \
            authentication, RFC 7617)";
        store_names(max) = "a store's name, code and id have 1 to {max} bytes and no control characters";
        store_of_system(code) = "a store cannot have the code {code}: HIS, SM and DRG are stores of the legacy server itself, and every \
            site leaves them out; choose another code";
        store_still_active(site, store) = "1 store is still active on site \"{site}\": {store}; move it to another site first";
        no_direction() = "push_only and pull_only together leave nothing to synchronise: ask for one of the two, or for neither";
        no_hook() = "this replica was opened without a hook";
        store_has_records(store) = "records belong to store \"{store}\": it cannot be removed, only move to another site";
        site_identity(lowest) = "the number of a site is {lowest} or more, and its UUID is not empty";
        identity_taken(site, number) = "site \"{site}\" has this number or UUID already; its number is {number}";
        other_number(site, number) = "site \"{site}\" is here with the number {number}; remove it first";
        stores_to_same_site(site) = "the stores are on site \"{site}\" already";
        stores_still_active(count, site, stores) = "{count} {count|store is|stores are} still active on site \"{site}\": {stores}; move them \
            to another site first";
        file_unreadable(file, error) = "{file} cannot be read: {error}";
        not_a_file(file) = "{file} is not a file";
        no_file_to_copy() = "this storage is not a file that can be copied";
        file_changed(file) = "{file} changed while it was read; attach it again";
        bytes_not_here(file) = "the bytes of file {file} are not here, so that this site cannot send it again";
        bytes_unreadable(error) = "the bytes cannot be read: {error}";
        legacy_id(table, max) = "a record of {table} is an object with an ID of 1 to {max} bytes";
        id(table, max) = "the id of a record of {table} has 1 to {max} bytes";
        too_long(table, id, max) = "{table} {id} has more than {max} bytes";
        no_sql() = "only a database file is asked in SQL";
        no_date_of_field(table, field, value) = "{field} of {table} is a date, and {value} is none: write 2026-01-31, or \
            2026-01-31T08:00:00 in UTC and without a zone";
        no_field(table, field) = "records of {table} have no field \"{field}\"";
        no_field_meant(table, field, meant) = "records of {table} have no field \"{field}\"; did you mean {meant}?";
        no_file_of_local_only(table, id) = "{table} {id} is local only, so that no file can be attached to it: the file would be sent. Write the record without local_only first";
        not_local_only(table, id) = "{table} {id} is synchronised, so that it cannot be written as local only";
        host_tables(why) = "the statements for the app's own tables failed: {why}";
        not_json(why) = "the text is not the JSON that is expected here: {why}";
        writes_already() = "this thread is in a writing transaction of this database already, and would wait for itself";
        #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL says it"))]
        postgres_address(why) = "the address of the database cannot be used: {why}";
        #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL says it"))]
        postgres_scheme() = "it begins with postgres:// and names a server and a database";
        #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL says it"))]
        postgres_host() = "it names a server; a character such as @ or / in a user or a password is written as %40 or %2F";
        #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL says it"))]
        postgres_sslmode(mode) = "sslmode is disable or verify-full, not \"{mode}\"";
        #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL says it"))]
        postgres_tls(error) = "the connection to the database cannot be encrypted: {error}";
        #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL says it"))]
        no_certificate(file) = "{file} holds no certificate";
        #[cfg_attr(not(all(unix, feature = "postgres")), allow(dead_code, reason = "only Unix has modes"))]
        password_file_open(file) = "others can read the passwords in {file}: take their rights away with chmod 600";
        #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL says it"))]
        key_too_long(max) = "the table and the id of a record have more than {max} bytes together";
        #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, reason = "only a program with both storages migrates"))]
        migration_same_kind() = "a database is moved between a file and a PostgreSQL server: one of the two is a path, the other one begins with postgres://";
        #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, reason = "only a program with both storages migrates"))]
        migration_of_app(database) = "{database} holds tables of an app, which a PostgreSQL server cannot keep: only the database of the program itself is moved";
        #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, reason = "only a program with both storages migrates"))]
        migration_not_moved(database) = "{database} was not moved: it is in use as it is";
        #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, reason = "only a program with both storages migrates"))]
        migration_of_another(to, from) = "{to} is not the copy of {from}";
        #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, reason = "only a program with both storages migrates"))]
        migration_used(to, from) = "{to} was used since {from} was moved there: move it back into a new database, which has all of it";
        request_unwritable(error) = "a request cannot be written: {error}";
        schema_older(found, known) = "the database has schema {found}, and this version reads {known}";
        reason_needed() = "a reason is needed, and is kept in the log";
        nothing_sent_yet() = "the first sync is not complete: nothing was sent yet that could be sent again";
        not_sent_by_sites(table) = "sites do not send records of {table}";
        no_store_of_central() = "no store is active on the central server itself, so the legacy server cannot show it a \
            patient";
        no_date(text) = "\"{text}\" is no date: write it as 2011-03-31";
        nobody_searched_for() = "describe the patient: a name, a date of birth, or a code";
        first_sync_first() = "the first sync of this site is not complete: run a sync first";
        restored_sync_first() = "this database was restored from a backup: run a sync first";
        rereading_sync_first() = "everything is being read again from central: run a sync first";
    }

    /// Details of errors: why an address is unusable, what came in place of an answer.
    error_detail {
        #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, reason = "only a program with both storages migrates"))]
        rows_differ(table, rows, first) = "{table}: {rows} {rows|row|rows}, the first with the key {first}";
        no_host() = "it names no server after http:// or https://";
        no_port() = "what follows the last colon is no port, which is a number from 1 to 65535";
        no_host_name() = "its server is no name and no address of one, as legacy.example.org, 192.0.2.7 or [2001:db8::7]";
        wrong_start() = "it must begin with http:// or https://";
        holds_password() = "it must hold no user name or password";
        field(path, expected, found) = "{path}: expected {expected}, found {found}";
        web_page() = "a web page";
        empty_answer() = "an empty answer";
        certificate_untrusted() = "it was not issued by an authority that this machine trusts";
        certificates_unreadable(file, error) = "SSL_CERT_FILE names {file} for the authorities to trust, which cannot be read: {error}";
        no_certificate_in_it() = "it holds no certificate in PEM format";
        certificate_expired() = "it is out of date";
        certificate_not_yet_valid() = "it is valid only later, by the clock of this machine";
        certificate_of_other() = "it is another host's";
        certificate_of_authority() = "it is the own certificate of an authority (CA:TRUE), as a self-signed one often is, and no server may show \
            that as its own: its administrator has to make one for the server";
        certificate_for_other_purpose() = "it is made for something else than a server";
        certificate_revoked() = "its authority revoked it";
        certificate_of_version_1() = "it is of X.509 version 1, which is not accepted any more";
        certificate_unacceptable(error) = "it cannot be accepted ({error})";
        own_certificate_missing() = "it asks for a certificate, and none was shown";
        own_certificate_untrusted() = "it does not trust the authority that issued it";
        own_certificate_expired() = "it is out of date, or not valid yet";
        own_certificate_revoked() = "its authority revoked it";
        own_certificate_unacceptable() = "it does not accept it";
        in_tls() = "an answer in TLS, so it speaks https at this port: write https:// in place of http:// in its address";
        #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows TLS"))]
        without_tls() = "an answer without TLS, so something speaks http at this port: another port has its https, or it has none";
        not_http(error) = "something that is not HTTP ({error})";
        redirection(to) = "a redirection to {to}";
        no_page() = "status 404: there is no such page";
        proxy_wants_password() = "status 407: a proxy on the way wants a user name and a password";
        this_proxy_wants_password(proxy) = "status 407: the proxy {proxy} wants a user name and a password";
        proxy_refuses(status, proxy) = "status {status} of the proxy {proxy}, which does not connect to it";
        through_proxy(url, proxy) = "{url} through the proxy {proxy}";
        proxy_of_scheme(scheme) = "proxies of {scheme}:// are not supported, only those of http://";
        #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows proxies"))]
        proxy_only_for_tls() = "a proxy of https:// leads only to https:// addresses";
        #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows proxies"))]
        no_address_of_proxy() = "it is no address of a proxy";
        #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows certificates"))]
        certificate_unusable(error) = "the certificate or its key cannot be used: {error}";
        #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows certificates"))]
        no_certificate() = "the text holds no certificate in PEM format";
        #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only HTTP knows certificates"))]
        no_private_key() = "the text holds no private key in PEM format";
        not_unpacked(error) = "it cannot be unpacked: {error}";
        network_wants_login() = "status 511: the network wants somebody to log in first";
        empty() = "it is empty";
        position_out_of_range() = "a position in it is out of range";
        cursor_out_of_range() = "a cursor in it is out of range";
        small_and_too_large() = "a record of less than 16 kB counts as too large: something on the way refuses pushes";
        push_without_records() = "it refuses even a push without records, so no record is too large: something on the way refuses every push";
        legacy_says(code) = "the legacy server says {code}";
        another_join() = "it answered with a join of another patient or store";
        unusable_join() = "the id of the join is empty, too long, or not readable for every server";
        integration_not_begun() = "it did not begin to integrate what was pushed";
        gathering_stopped() = "it stopped gathering this site's records before they were all there";
        similar_name(meant) = "; did you mean {meant}?";
        process(number) = " (process {number})";
        #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "only a file is locked by a process"))]
        process_named(number, name) = " (process {number}, {name})";
    }
}
