//! Texts of the commands that set a site up and that run a central server.

sync_core::sentences! {
    /// Texts of `site` and `store`.
    sites_shown {
        new_site(name, id) = "site {name} is new; its site id is {id}";
        returned_site(name, id) = "site {name} is back with the site id that it had, {id}: its database sends what it has kept";
        known_site(name, id) = "site {name} has the site id and the UUID of its database, {id}: its next sync sends what the server lacks. Give its \
            stores back with store add --id";
        new_password(name, id) = "site {name} has a new password; its site id is {id}";
        paused() = "this central server is paused: sites are asked to come again later; end it with oms-sync resume";
        paused_before() = "this central server was paused already";
        resumed() = "the pause is over: sites are served again";
        not_paused() = "this central server was not paused";
        moved(count, site) = "Stores that moved to site {site}: {count}";
        none_silent(time) = "No site is silent for longer than {time}.";
        never_came(count) = "{count} of them never came: {count|it was|they were} added and never set up, or {count|asks|ask} another server.";
        only_silent(time) = "Only sites that are silent for longer than {time} are listed; --max-age never lists all.";
        silent_and_never(time, silent, never) = "Sites that came before and are silent for longer than {time}: {silent}; sites that never came: {never}.";
        imported_store(id, name, code, site) = "new store {id} {name} ({code}) is active on site {site}";
        imported_move(id, name, code, from, to) = "store {id} {name} ({code}) moved from site {from} to site {to}";
        imported_from_nowhere(id, name, code, to) = "store {id} {name} ({code}), which was on no site, is active on site {to}";
        name_kept(id, name, other, line) = "store {id} keeps its name {name}: line {line} of the table has {other}. To change it, use oms-sync store add with \
            its --id.";
        imported(sites, stores) = "New sites: {sites}. New or moved stores: {stores}.";
        import_stopped(sites, stores) = "The import stopped half-way. Until then, new sites: {sites}; new or moved stores: {stores}. Run it again: it \
            goes on where it stopped.";
        passwords_in(file) = "The passwords of the new sites are in {file}.";
        removed(name) = "site {name} is removed";
        free(name) = "site {name} is free to come in from another machine";
        store(id, name, site) = "new store {id} is {name}, active on site {site}";
        known_store(id, name, site) = "store {id} is {name} now, active on site {site}";
        store_removed(id) = "store {id} is removed";
        copy_refused(site, ago) = "Site {site}: two copies of its database run, and one was refused {ago} ago. The people there must find that \
            copy and stop it; what is entered in it does not arrive.";
        same_code(id, code) = "Store {id} has the code {code} too; to move that one to another site, give its --id.";
    }

    /// Texts of `init` and `discover`.
    set_up_shown {
        asking(url, site) = "Asking {url} who site {site} is.";
        waits(seconds) = "No answer yet. After {seconds} s each step of the way is checked; Ctrl-C stops.";
        found_on_the_way(check, says, advice) = "{check}: {says}. {advice}";
        is_set_up(db, site) = "{db} is set up as site {site}";
        central_answers() = "answers as a central server, and knows this site";
        changed(change) = "changed: {change}";
        unconfirmed(url) = "Nothing is sent to {url} before it is confirmed: run oms-sync discover --accept {url}";
        would_confirm(url) = "The legacy server names {url} as the central server.";
        confirmed(url) = "Confirmed: this site sends its credentials and records to {url} from now on.";
    }

    /// Messages of `serve` to the administrator.
    serving {
        listening(url) = "listening on {url}";
        status_page(url) = "Status page: {url}";
        status_page_here(url) = "Status page: {url}, for this machine only";
        could_start(db) = "the settings are sound, and {db} can be served";
        could_start_anew(db) = "the settings are sound; {db} is not there, and would be made";
        stop_with() = "Stop with Ctrl-C.";
        is_paused() = "Paused for maintenance: sites are asked to come again later, until `oms-sync resume`.";
        something_new(change) = "the legacy server says something new: {change}";
        goes_on_with_before(error) = "warning: {error}; continuing with the stored answer of the legacy server";
        asking_failed(code, error) = "asking the legacy server failed: [{code}] {error}";
        certificate_ends(file, at) = "warning: the certificate in {file} ends at {at}; renew it before, or no site comes in";
        certificate_of_authority(file) = "warning: the certificate in {file} is the own certificate of an authority (CA:TRUE), and sites refuse it: \
            use one for this server, signed by that authority, or a self-signed one with CA:FALSE (`openssl req -x509 … \
            -addext basicConstraints=critical,CA:FALSE`)";
        certificate_not_for_host(file, host) = "warning: the certificate in {file} is not for {host}, the host of --public-url: sites refuse it";
        certificate_read_again(file) = "{file} has changed: new connections use the new certificate";
        certificate_kept(code, error) =
            "warning: the certificate in the file cannot be used; the former one stays in use: [{code}] {error}";
        backup_taken(backup, size) = "a backup was taken: {backup} ({size})";
        backup_failed(folder, code, error) = "the backup into {folder} failed: [{code}] {error}";
        not_found_by_sites(code, error) = "warning: sites may not find this server: [{code}] {error}";
    }
}
