//! All errors with the texts that they print. Each is declared only here: its fields with an example, its code and class,
//! Open mSupply's own code, and its message, cause and advice. They are sorted by class, that is by who must act.

use super::details::{moment, process, similar_name, told};
use super::{Cause, Server, not_allowed};
use crate::error::Server::{Central, Legacy};
use crate::ownership::Refusal;
use crate::record::{FieldError, RecordId, SiteId, TableName};
use crate::text::sentences::error_detail;
use crate::text::{Detail, declare_errors, quoted};

fn a_url() -> String {
    "https://central.example.org".into()
}

fn a_cause() -> Cause {
    "the cause".into()
}

fn a_field_error() -> FieldError {
    let found = "a number".into();
    FieldError { path: "$.notes".to_owned(), expected: "text".into(), found, unsupported: false }
}

declare_errors! {
/// An error. Each kind has a stable [`code`](Error::code), a [`class`](Error::class) that says who must act and an
/// [`advice`](Error::advice) that says how. Messages name addresses, tables and ids; never a password, a hash, a
/// hardware id or a record's content.
///
/// Each variant names its code here. [`catalogue`](crate::error::catalogue) lists all of them with cause and advice, as
/// `docs/errors.md` of the repository does.
///
/// A clone keeps the texts of the causes, not their types. As JSON, an error is its code, class, message, advice and causes.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the details that the message names")]
pub enum Error {
    /// No connection to a server, or one that broke.
    Unreachable {
        fields: { server: Server = Central, url: String = a_url(), source: Cause = a_cause() },
        code: "unreachable", class: Retry, upstream: "CONNECTION_ERROR",
        message: "{server} at {url} cannot be reached",
        cause: "No network, a wrong address or port, a server that is off, or a firewall in between.",
        advice: "Check the network connection and the address; nothing is lost, the next sync continues.",
    }

    /// A server exceeded its time.
    TimedOut {
        fields: { server: Server = Central, url: String = a_url(), source: Option<Cause> = None },
        code: "timed_out", class: Retry,
        message: "{server} at {url} did not answer in time",
        cause: "A slow or very lossy line, or a server with too much to do.",
        advice: "The connection or the server is slow; sync again: it continues where it stopped.",
    }

    /// An answer ended before its end.
    CutOff {
        fields: { server: Server = Central, url: String = a_url(), source: Cause = a_cause() },
        code: "cut_off", class: Retry,
        message: "the answer of {server} at {url} was cut off",
        cause: "The connection broke while an answer came: a weak signal, a proxy with a limit, a server that restarted.",
        advice: "The connection broke; sync again: it continues where it stopped.",
    }

    /// A status that reports trouble of the server or a proxy. `source` is the text that came with it.
    ServerTrouble {
        fields: { server: Server = Central, url: String = a_url(), status: u16 = 502, source: Option<Cause> = None },
        code: "server_trouble", class: Retry,
        message: "{server} at {url} answered with status {status}",
        cause: "The server, or a proxy in front of it, answers with an error of its own: it is restarting, or is full.",
        advice: "The server or a proxy in front of it has a problem; try again later, and tell its administrator if it does not stop.",
    }

    /// Central integrates an earlier push of this site.
    IntegrationInProgress {
        fields: { server: Server = Central },
        code: "integration_in_progress", class: Retry,
        message: "{server} is still integrating records that this site pushed earlier",
        cause: "An earlier push from this site is not integrated yet; central takes one at a time from each site.",
        advice: "Sync again in a minute; if this lasts an hour, tell the central server's administrator.",
    }

    /// Central did not finish integrating in time.
    IntegrationTimeout {
        fields: { server: Server = Central },
        code: "integration_timeout", class: Retry, upstream: "INTEGRATION_TIMEOUT_REACHED",
        message: "{server} took too long to integrate the pushed records",
        cause: "Central has much to integrate, or is stuck with it.",
        advice: "The records are safe on the server; sync again later.",
    }

    /// A server is paused for maintenance.
    SyncPaused {
        fields: { server: Server = Central },
        code: "sync_paused", class: Retry,
        message: "{server} is paused for maintenance",
        cause: "Its administrator has paused the synchronisation of all sites, for an upgrade or a backup.",
        advice: "Nothing to do: nothing is lost, and the next sync after the maintenance continues.",
    }

    /// The legacy server gathers the records of the first sync.
    InitialisationInProgress {
        code: "initialisation_in_progress", class: Retry,
        message: "the legacy server is still gathering the records of this site",
        cause: "A first sync asks the legacy server for everything of this site, which may take it half an hour.",
        advice: "Sync again in some minutes: it continues to wait, and nothing is lost.",
    }

    /// The legacy server was too slow to look up the site.
    SiteAuthTimeout {
        code: "site_auth_timeout", class: Retry, upstream: "SITE_AUTH_TIMEOUT",
        message: "the legacy server timed out while checking the site's credentials",
        cause: "The legacy server is too busy to look up the site.",
        advice: "Sync again in a few minutes.",
    }

    /// A server blocks sign-ins of this site for a while.
    TooManyAttempts {
        fields: { server: Server = Legacy },
        code: "too_many_attempts", class: Retry,
        message: "{server} blocks sign-ins of this site for a while: too many attempts were refused",
        cause: "A wrong password was tried again and again, by this machine or another one with the same site name.",
        advice: "Wait a minute, then sync again; if it comes back, check the password, and that no other machine uses this site's name.",
    }

    /// Central could not ask the legacy server about this site.
    CentralCannotReachLegacy {
        code: "central_cannot_reach_legacy", class: Retry,
        message: "the central server cannot reach the legacy server to check this site's credentials",
        cause: "Central asks the legacy server about each site that comes, and got no answer.",
        advice: "The problem is between the two servers; tell the central server's administrator if it does not stop.",
    }

    /// A database that is not set up.
    NotSetUp {
        code: "not_set_up", class: Configure,
        message: "this database is not set up as a site yet",
        cause: "This database is new, or another one was meant.",
        advice: "Set this site up with the legacy server's address and the site's name.",
    }

    /// A database file that is not there.
    NoDatabase {
        fields: { path: String = "oms-sync.sqlite".into() },
        code: "no_database", class: Configure,
        message: "there is no database {path}",
        cause: "The path is wrong, or is meant from another folder.",
        advice: "Give the path of the site's database; a new site is set up first.",
    }

    /// A key for a database file that is not encrypted.
    DatabaseNotEncrypted {
        fields: { path: String = "clinic.sqlite".into() },
        code: "database_not_encrypted", class: Configure,
        message: "a key was given, and the database {path} is not encrypted",
        cause: "The file was made without a key, and was never encrypted.",
        advice: "Encrypt the file with the key first (ReplicaBuilder::change_key), which keeps all that is in it; or open it without a key.",
    }

    /// A key that does not open a database file.
    DatabaseKeyRefused {
        fields: { path: String = "clinic.sqlite".into(), source: Cause = a_cause() },
        code: "database_key_refused", class: Configure,
        message: "the key does not open the database {path}",
        cause: "The key is that of another database or from before it was changed; or the file is no database.",
        advice: "Give the key with which the database was made, or to which it was changed last. Keep the file: what was not pushed is in it alone. Only if the key is lost, set the site up again in a new file.",
    }

    /// A server of databases that lets this user not in.
    DatabaseRefused {
        fields: { database: String = "postgres://oms@db.example.org/central".into(), source: Cause = a_cause() },
        code: "database_refused", class: Configure,
        message: "the PostgreSQL server refuses the sign-in to {database}",
        cause: "The user or the password is wrong, or pg_hba.conf does not let this user in from this machine.",
        advice: "Check the user in the address and the password in PGPASSWORD, PGPASSFILE or ~/.pgpass; the causes say what the server said.",
    }

    /// An address that cannot be used.
    InvalidUrl {
        fields: {
            what: &'static str = "the legacy server's address",
            url: String as quoted = "clinic".into(),
            reason: Detail = "no scheme".into(),
        },
        code: "invalid_url", class: Configure, upstream: "INVALID_URL",
        message: "{what} \"{url}\" is not a usable address: {reason}",
        cause: "The scheme (https://) is missing, or the address contains a space, or a user name and password.",
        advice: "Give an address like https://server.example.org:2048, without user name or password in it.",
    }

    /// An address without TLS where only https may be used.
    HttpsRequired {
        fields: { what: &'static str = "the central server's address", url: String as quoted = "http://central.example.org".into() },
        code: "https_required", class: Configure,
        message: "{what} \"{url}\" is not https, and this site may use http only with a server on its own machine",
        cause: "The server has no certificate, or its address was entered with http://; nothing was sent there.",
        advice: "Enter the server's https:// address; or set the site up again, and allow http.",
    }

    /// A secret that is not where the host keeps them.
    SecretMissing {
        fields: { secret: &'static str = "password_sha256" },
        code: "secret_missing", class: Configure,
        message: "a secret of this site is not in its database, and not where this app keeps secrets: {secret}",
        cause: "The database was copied to another device, or its secrets were removed there; or the app was started without the place where it keeps them.",
        advice: "Set the site up again with its password.",
    }

    /// A name unknown to a server.
    UnknownSite {
        fields: { server: Server = Legacy, site: String as quoted = "clinic".into() },
        code: "site_name_not_found", class: Configure, upstream: "SITE_NAME_NOT_FOUND",
        message: "{server} does not know a site named \"{site}\"",
        cause: "The name is spelled otherwise there, or the address is that of another server.",
        advice: "Check the site name, and that the site exists on the server; capital letters matter.",
    }

    /// A password that a server refuses.
    WrongPassword {
        fields: { site: String as quoted = "clinic".into() },
        code: "incorrect_password", class: Configure, upstream: "INCORRECT_PASSWORD",
        message: "the password of site \"{site}\" is wrong",
        cause: "The password was typed wrongly, or was changed on the server since.",
        advice: "Set this site up again with the password that the server has for it.",
    }

    /// Another machine is bound to the site.
    HardwareIdMismatch {
        fields: { site: String as quoted = "clinic".into() },
        code: "hardware_id_mismatch", class: Configure, upstream: "HARDWARE_ID_MISMATCH",
        message: "site \"{site}\" is bound to another machine: its hardware id does not match",
        cause: "A server allows one machine for each site: this one is new, was reinstalled, or its database was copied.",
        advice: "If this machine replaces the old one, ask the server's administrator to reset the site's hardware id.",
    }

    /// Another copy of this database continues as its site.
    DatabaseCopied {
        fields: { site: String as quoted = "clinic".into(), since: String as moment = "2026-11-23T08:00:00.000Z".into() },
        code: "database_copied", class: Configure,
        message: "another copy of this database continues as site \"{site}\", since {since}",
        cause: "The file was copied, or the machine with it, and both copies run: central accepts only one, because both would drift apart.",
        advice: "Stop this copy, and go on with the other one. To go on with this one instead, stop the other and set this site up again here, and synchronise twice: it reads what the other sent, and the other is refused from then on. What is not sent yet stays in each.",
    }

    /// Another database of the site was set up a short time ago; central waits to see which of them continues.
    CopyUndecided {
        fields: { site: String as quoted = "clinic".into(), since: String as moment = "2026-11-23T08:00:00.000Z".into() },
        code: "copy_undecided", class: Retry,
        message: "another database of site \"{site}\" was set up at {since}, and central waits up to fifteen minutes to see which one continues",
        cause: "The site was set up on another machine or in another file, or a request of a database that was given up came late.",
        advice: "If the site was set up elsewhere on purpose, stop this one. If not, keep that one from synchronising again: after fifteen minutes this database continues with its next sync. Nothing is lost meanwhile.",
    }

    /// This machine has no id of its own.
    NoMachineId {
        fields: { reason: String = "no such file".into() },
        code: "no_machine_id", class: Configure,
        message: "this machine has no id of its own: {reason}",
        cause: "Containers and phones often have none; on Linux it is in /etc/machine-id.",
        advice: "Give this machine an id that stays the same when the site is set up.",
    }

    /// A site without an active store.
    SiteHasNoStore {
        fields: { site: String as quoted = "clinic".into() },
        code: "site_has_no_store", class: Configure, upstream: "SITE_HAS_NO_STORE",
        message: "site \"{site}\" has no store",
        cause: "No store is active on this site.",
        advice: "Ask the server's administrator to make a store active on this site.",
    }

    /// The legacy server has no address of central.
    CentralUrlMissing {
        code: "central_url_missing", class: Configure, upstream: "CENTRAL_V6_NOT_CONFIGURED",
        message: "the legacy server names no central server for this site",
        cause: "Nobody has entered the Open mSupply central server's address on the legacy server.",
        advice: "Ask the legacy server's administrator to enter the address of the Open mSupply central server.",
    }

    /// A new address of central that nobody has confirmed.
    CentralUrlUnconfirmed {
        fields: { server: Server = Legacy, known: String = a_url(), offered: String = "https://central.example.com".into() },
        code: "central_url_unconfirmed", class: Configure,
        message: "{server} names another address of central than before: {offered} instead of {known}",
        cause: "Central moved to another machine; or somebody changed its address where sites are told it. Nothing was sent to the new one.",
        advice: "Ask the network's administrator whether central moved there. If it did, confirm the new address.",
    }

    /// An Open mSupply server that is not central.
    NotCentral {
        fields: { url: String = a_url() },
        code: "not_a_central_server", class: Configure,
        message: "the server at {url} is not an Open mSupply central server",
        cause: "The address leads to a remote site, or to a central server that has not yet asked the legacy server who it is.",
        advice: "Check the central server's address on the legacy server; a central server that has just started must contact the legacy server first.",
    }

    /// An answer that no mSupply server gives.
    NotAServer {
        fields: {
            server: Server = Legacy,
            url: String = "https://msupply.example.org:2048".into(),
            found: Detail = error_detail::web_page().into(),
        },
        code: "not_an_msupply_server", class: Configure,
        message: "what answers at {url} is not {server}: it sent {found}",
        cause: "A proxy, a log-in page of the network, or another program answers at this address and port.",
        advice: "Check the address and its port; a proxy or a log-in page of the network may be in between.",
    }

    /// A server of Open mSupply 3.x that speaks V7 alone.
    SpeaksV7Only {
        fields: { url: String = "https://central.example.org".into() },
        code: "speaks_v7_only", class: Configure,
        message: "the server at {url} is of Open mSupply 3.x and speaks V7 only; this program speaks V5 and V6",
        cause: "Without a legacy server, Open mSupply 3.x synchronises its sites by V7 alone.",
        advice: "Ask the administrator for the address of a legacy server, whose network has V6. If this is the address of central, ask whether central has to speak V7 only: a network that has V7 only takes sites of Open mSupply 3.x. Nothing is lost.",
    }

    /// The address of the legacy server is that of a central server of Open mSupply 3.x, which speaks V6.
    CentralOfRelease3 {
        fields: { url: String = "https://central.example.org".into() },
        code: "central_of_release_3", class: Configure,
        message: "the server at {url} is a central server of Open mSupply 3.x, which still speaks V6, and not the legacy server",
        cause: "Sites of 3.x are set up with the address of central; a site that speaks V6 needs that of the legacy server.",
        advice: "Set this site up with the address of the legacy server, which names central by itself; ask the administrator for it.",
    }

    /// A certificate that is not trusted.
    CertificateRefused {
        fields: {
            server: Server = Central,
            url: String = a_url(),
            why: Detail = error_detail::certificate_expired().into(),
            source: Cause = a_cause(),
        },
        code: "certificate_refused", class: Configure,
        message: "the certificate of {server} at {url} is refused: {why}",
        cause: "The certificate is out of date, for another name, not one for a server, or of an authority that this machine does not trust; or the clock of this machine is wrong.",
        advice: "Check the address and this machine's clock. Install the certificate of a private authority on this machine; of every other fault tell the server's administrator, who has to replace the certificate.",
    }

    /// A server that refuses the certificate of this app, or asks for one and got none.
    ClientCertificateRefused {
        fields: {
            server: Server = Central,
            url: String = a_url(),
            why: Detail = error_detail::own_certificate_missing().into(),
            source: Cause = a_cause(),
        },
        code: "client_certificate_refused", class: Configure,
        message: "{server} at {url} refuses the certificate of this app: {why}",
        cause: "The server lets in only apps that show a certificate that it trusts (mutual TLS); or a proxy of the network does.",
        advice: "Give the app the certificate and the key that the server's administrator issued for it; ask for a new one if the server refuses it.",
    }

    /// A proxy of the environment that cannot be used; `url` is without user name and password.
    ProxyUnusable {
        fields: {
            variable: &'static str = "https_proxy",
            url: String as quoted = "socks5://proxy.example.org".into(),
            reason: Detail = error_detail::proxy_of_scheme("socks5").into(),
        },
        code: "proxy_unusable", class: Configure,
        message: "the proxy \"{url}\" that the environment variable {variable} names cannot be used: {reason}",
        cause: "The variable holds the address of a SOCKS proxy, or something that is no address.",
        advice: "Set the variable to a proxy like http://proxy.example.org:3128, or name the server in no_proxy to ask it directly.",
    }

    /// Credentials of a site other than that of this database.
    OtherSite {
        fields: { server: Server = Legacy, ours: String = "\"clinic\"".into(), theirs: String = "\"warehouse\"".into() },
        code: "other_site", class: Configure, upstream: "SITE_UUID_IS_BEING_CHANGED",
        message: "this database belongs to site {ours}, but {server} says these credentials are those of {theirs}",
        cause: "The credentials of another site were entered, or this site was deleted on the server and made again there; one database \
                stays one site for ever.",
        advice: "Nothing was changed, and what was not pushed is kept here. Use the credentials of this site, or a new database for the \
                 other one. If the site was deleted and made again, ask the server's administrator to put the former one back: until then \
                 what is kept here arrives nowhere.",
    }

    /// An operation for the other role.
    WrongRole {
        fields: { needed: &'static str = "central server", found: &'static str = "remote site" },
        code: "wrong_role", class: Configure,
        message: "this needs a {needed}, and this database is a {found}",
        cause: "This is done on the other kind of server.",
        advice: "Use the database of the right server.",
    }

    /// A database that was moved to another place, where it goes on.
    DatabaseMoved {
        fields: {
            database: String = "central.sqlite".into(),
            to: String = "postgres://oms@db.example.org/central".into(),
            at: String as moment = "2026-11-23T08:00:00.000Z".into(),
        },
        code: "database_moved", class: Configure,
        message: "{database} was moved to {to} at {at}, and is not used any more",
        cause: "It was copied there, and goes on there: what is written here would reach no site, and both would give out the same numbers.",
        advice: "Use the database at its new place. To come back, migrate that one into a new database; if it was never used, undo the migration.",
    }

    /// A copy that is not complete.
    MigrationUnfinished {
        fields: { database: String = "copy.sqlite".into(), from: String = "postgres://oms@db/central".into() },
        code: "migration_unfinished", class: Configure,
        message: "{database} is an unfinished copy of {from}",
        cause: "The migration was interrupted, or is under way.",
        advice: "Migrate again with the same two databases: it continues where it stopped. To give it up, go on with the original, and remove the copy.",
    }

    /// A local list of sites for a database that was set up at a legacy server.
    LegacyKeepsSites {
        code: "legacy_keeps_sites", class: Configure,
        message: "the legacy server keeps the list of sites and stores of this database, which was set up there",
        cause: "A list of its own would give new sites the numbers of existing ones, and with these their stores and records.",
        advice: "Add sites and stores on the legacy server; a central server without a legacy server needs a new database.",
    }

    /// A V6 version that central refuses.
    VersionMismatch {
        fields: { server: Server = Central, min: u32 = 0, max: u32 = 4, sent: u32 = 5 },
        code: "v6_version_incompatible", class: Upgrade, upstream: "V6_API_VERSION_INCOMPATIBLE",
        message: "{server} speaks sync versions {min} to {max}, this site sent {sent}",
        cause: "Central is older or newer than this program.",
        advice: "Upgrade the older end.",
    }

    /// A V5 version that the legacy server refuses.
    LegacyVersionMismatch {
        fields: { server: Server = Legacy, sent: u32 = 14 },
        code: "api_version_incompatible", class: Upgrade, upstream: "API_VERSION_INCOMPATIBLE",
        message: "{server} does not accept this site's sync API version {sent}",
        cause: "The server is older than this program.",
        advice: "Upgrade the server, or this program.",
    }

    /// A request that came with a later release.
    CentralTooOld {
        fields: { needs: &'static str = "2.7.0" },
        code: "central_too_old", class: Upgrade,
        message: "the central server does not support this request: it needs Open mSupply {needs} or later",
        cause: "The request came with a later release of Open mSupply.",
        advice: "Upgrade the central server; until then an ordinary sync brings the same records later.",
    }

    /// A schema of a later version.
    DatabaseTooNew {
        fields: { found: i64 = 2, known: i64 = 1 },
        code: "database_too_new", class: Upgrade,
        message: "the database was written by a newer version: its schema is {found}, this version knows schemas up to {known}",
        cause: "A newer version of this program has used the database.",
        advice: "Upgrade this program; the database is untouched.",
    }

    /// An answer outside the protocol.
    UnreadableAnswer {
        fields: { server: Server = Central, url: String = a_url(), detail: Detail = error_detail::empty().into() },
        code: "unreadable_answer", class: PeerFault,
        message: "the answer of {server} at {url} cannot be read: {detail}",
        cause: "The server sent data outside this protocol, or only a part of an answer.",
        advice: "Nothing of this answer was stored; send the message to the server's administrator.",
    }

    /// An answer that is too large even for the smallest request.
    AnswerTooLarge {
        fields: { server: Server = Central, url: String = a_url(), bytes: u64 = 268_435_456 },
        code: "answer_too_large", class: PeerFault,
        message: "the answer of {server} at {url} is larger than {bytes} bytes",
        cause: "One record alone is larger than this site allows in memory, or the server sends something else.",
        advice: "Have the record made smaller at the server, or raise the limit of this site on a machine with enough memory.",
    }

    /// A refusal for a reason that this version does not know.
    Refused {
        fields: { server: Server = Central, status: u16 = 400, detail: Detail = "a text".into() },
        code: "refused", class: PeerFault,
        message: "{server} refused the request with status {status}: {detail}",
        cause: "The server does not accept the request, for a reason of its own.",
        advice: "Send the message to the server's administrator.",
    }

    /// An error within a server.
    PeerError {
        fields: { server: Server = Central, detail: Detail = "a text".into() },
        code: "peer_error", class: PeerFault,
        message: "{server} reports an error: {detail}",
        cause: "Something failed within the server; its own log says more.",
        advice: "Send the message to the server's administrator.",
    }

    /// Endless batches.
    NoProgress {
        fields: { server: Server = Central, cursor: u64 = 1000 },
        code: "no_progress", class: PeerFault,
        message: "{server} never ends its batches: one that is not the last did not move past cursor {cursor}",
        cause: "The server's changelog is damaged, or its software has a fault.",
        advice: "Nothing is lost; the server's administrator must look at its changelog.",
    }

    /// An endless queue of the legacy server.
    QueueNotMoving {
        code: "queue_not_moving", class: PeerFault,
        message: "the legacy server's queue for this site does not move: acknowledged records come again and again",
        cause: "Acknowledgements do not reach the legacy server, or it does not keep them.",
        advice: "Nothing is lost, all its records are here; the server's administrator must look at this site's queue.",
    }

    /// A changelog that ends before this site's cursor.
    CursorWentBack {
        fields: { server: Server = Central, ours: u64 = 1000, theirs: u64 = 20 },
        code: "cursor_went_back", class: PeerFault,
        message: "the changelog of {server} went back: this site has read up to {ours}, it now ends at {theirs}",
        cause: "The server was restored from a backup, or another server is now at its address.",
        advice: "The server was restored from a backup or replaced; ask its administrator before the next sync.",
    }

    /// A push that was accepted in part.
    PartlyAccepted {
        fields: { server: Server = Central, sent: u64 = 100, accepted: u64 = 99 },
        code: "partly_accepted", class: PeerFault,
        message: "{server} accepted {accepted} of {sent} {sent|record|records}",
        cause: "The server accepted fewer records than were sent, without a reason.",
        advice: "Nothing is lost, the records are sent again; tell the server's administrator.",
    }

    /// The database is locked by another program.
    DatabaseBusy {
        fields: { source: Cause as told = a_cause() },
        code: "database_busy", class: LocalFault,
        message: "the database is in use: {source}",
        cause: "Another program has the database open and writes to it, or another transaction of the same program does not end. On Linux the other process is named, if this user may see it.",
        advice: "Close the other program, or try again when it is done. A hook or a closure of an app must not wait for another thread that writes.",
    }

    /// An address at which a server cannot listen.
    AddressUnavailable {
        fields: { address: String = "0.0.0.0:8000".into(), reason: Detail = "permission denied".into() },
        code: "address_unavailable", class: LocalFault,
        message: "{address} cannot be listened on: {reason}",
        cause: "Another program uses the address, this machine does not have it (yet), or the user may not use its port.",
        advice: "Stop the other program or choose another port; for a port below 1024 give the server the right to it.",
    }

    /// A server of databases that does not answer, or a connection to it that broke.
    DatabaseUnreachable {
        fields: { database: String = "postgres://oms@db.example.org/central".into(), source: Cause = a_cause() },
        code: "database_unreachable", class: LocalFault,
        message: "the database {database} cannot be reached",
        cause: "The PostgreSQL server is stopped, restarts or fails over, or the network to it is cut, or its certificate cannot be trusted.",
        advice: "Nothing that was confirmed is lost, and the program tries again; see the causes, and start the PostgreSQL server or mend the way to it.",
    }

    /// The file of the database is not the one that was opened.
    DatabaseReplaced {
        fields: { path: String = "site.sqlite".into() },
        code: "database_replaced", class: LocalFault,
        message: "{path} is not the database that was opened: the file was replaced or removed",
        cause: "A backup was restored, or the folder was tidied up, while the program ran.",
        advice: "Start it again: it opens the file that is there now. Next time, stop it before you restore a backup.",
    }

    /// The file of the database has several names on its disk.
    DatabaseHardLinked {
        fields: { path: String = "site.sqlite".into(), names: u64 = 2 },
        code: "database_hard_linked", class: LocalFault,
        message: "{path} has {names} {names|name|names} on its disk",
        cause: "A hard link was made to it. SQLite names the file with the last writes after the path of the database, so two names damage it.",
        advice: "Remove the other names, with `find -samefile` if need be. A symbolic link does no harm; a copy is made with a backup.",
    }

    /// The database may not be written.
    DatabaseReadOnly {
        fields: { source: Cause = a_cause() },
        code: "database_read_only", class: LocalFault,
        message: "the database cannot be written: it is read-only",
        cause: "This user has no permission to write to the file, its folder or the disk.",
        advice: "Give this user the right to write the file and its folder.",
    }

    /// The database may not be read.
    DatabaseUnreadable {
        fields: { path: String = "/var/lib/oms-sync/site.sqlite".into(), source: Cause = a_cause() },
        code: "database_unreadable", class: LocalFault,
        message: "this user may not read the database {path}",
        cause: "The file belongs to another user, or this user may not enter a folder on the way to it.",
        advice: "Run the program as the user that the file belongs to, or give this user the right to read and write the file and its folder.",
    }

    /// A file that is not a database of this program.
    NotADatabase {
        fields: { path: String = "letter.txt".into(), source: Option<Cause> = None },
        code: "not_a_database", class: LocalFault,
        message: "{path} is not a database of this program",
        cause: "The path leads to another kind of file, to the database of another program, or to an encrypted one that was opened without its key.",
        advice: "Check the path; give the database of a site, or a new file name. If the file is encrypted, open it with its key.",
    }

    /// The place of the host's secrets cannot be used now.
    SecretsFailed {
        fields: { source: Cause = a_cause() },
        code: "secrets_failed", class: LocalFault,
        message: "the place where this app keeps the site's secrets cannot be used",
        cause: "The device is locked, the key chain refuses the app, or a variable of the environment has another value.",
        advice: "See the causes; unlock the device, or give the app access to its secrets, then sync again.",
    }

    /// The disk is full.
    DiskFull {
        fields: { source: Cause as told = a_cause() },
        code: "disk_full", class: LocalFault,
        message: "the disk is full: {source}",
        cause: "No space is left on the disk of the database, or of temporary files.",
        advice: "Free some space; nothing is lost, the next sync continues.",
    }

    /// A copy that differs from its original; `what` says where.
    MigrationDiffers {
        fields: { what: String = "sync_record: 1 row, the first with the key 17".into() },
        code: "migration_differs", class: LocalFault,
        message: "the copy differs from its original: {what}",
        cause: "Another program wrote into one of the two during the migration, or a disk fails.",
        advice: "The original is as it was, and can be used on. Empty the other database, and migrate again; if it differs again, check the disks and report it.",
    }

    /// A backup that is not what was written.
    BackupDamaged {
        fields: { path: String = "backup/20261128T020000000Z".into(), what: String = "3 of its files are missing".into() },
        code: "backup_damaged", class: LocalFault,
        message: "the backup {path} is damaged: {what}",
        cause: "The disk that it is on fails, or somebody changed or removed a part of it.",
        advice: "Use another backup, and check the disk that this one is on.",
    }

    /// Any other error of the database.
    Database {
        fields: { source: Cause = a_cause() },
        code: "database_failed", class: LocalFault, upstream: "INTEGRATION_ERROR",
        message: "the database cannot be read or written",
        cause: "The disk fails, or the file is damaged, by a power cut on a bad disk for example.",
        advice: "See the causes; check the disk, and restore a backup if the file is damaged.",
    }

    /// A file, a folder or a pipe failed.
    Io {
        fields: { what: String = "compressing a request".into(), source: Cause as told = a_cause() },
        code: "io_failed", class: LocalFault,
        message: "{what} failed: {source}",
        cause: "A file or folder is missing, access to it is denied, or the disk is failing.",
        advice: "See the causes; check the path, its rights and the disk.",
    }

    /// A host's hook failed at a record.
    HostFailed {
        fields: { table: TableName = "asset".into(), id: RecordId = "a1".into(), source: Cause = a_cause() },
        code: "host_failed", class: LocalFault,
        message: "the app's own tables could not follow {table} {id}",
        cause: "The app that embeds the synchronisation keeps tables of its own, and failed to change them.",
        advice: "See the causes; nothing was written, and the next sync tries again. If it does not stop, tell the app's makers.",
    }

    /// The database remembers a host's hook, and this program has none.
    HookMissing {
        code: "hook_missing", class: LocalFault,
        message: "an app keeps tables of its own in this database, which this program cannot keep up to date",
        cause: "The app has a hook that follows each record. What is written without it would be missing in the app.",
        advice: "Let the app synchronise. To write all the same, open the database without the hook, and let the app replay its \
                 hook afterwards.",
    }

    /// A stored value that is damaged.
    DamagedState {
        fields: { what: String = "pull_cursor_v6".into() },
        code: "damaged_state", class: LocalFault,
        message: "stored data cannot be read back: {what}",
        cause: "Another program has written to the database.",
        advice: "The database was changed by another program; restore a backup.",
    }

    /// A record that is too large for a server, in `bytes`.
    RecordTooLarge {
        fields: {
            server: Server = Central,
            table: TableName = "asset".into(),
            id: RecordId = "a1".into(),
            bytes: usize = 9_000_000,
        },
        code: "record_too_large", class: Input,
        message: "{table} {id} alone is too large for {server}: {bytes} bytes",
        cause: "A single record, such as a report with pictures, is larger than the server, or a proxy before it, accepts.",
        advice: "Make the record smaller, or have the limit raised. It stays here, blocks no other record, and is pushed once more after a day.",
    }

    /// A record that does not fit its type.
    InvalidRecord {
        fields: {
            table: TableName = "asset".into(),
            id: RecordId = "a1".into(),
            source: Box<FieldError> = Box::new(a_field_error()),
        },
        code: "invalid_record", class: Input,
        message: "{table} {id} is not valid: {detail}",
        cause: "A field is missing, or its value has the wrong type.",
        advice: "If it was to be written: correct the field; nothing was written. If it was read: another version or another program stored it so; read it as a document, without the type, and write it again in full.",
    }

    /// An unknown table. `meant` is the known table whose name is most similar, if one is.
    UnknownTable {
        fields: { table: String as quoted = "asset_clas".into(), meant: Option<&'static str> as similar_name = Some("asset_class") },
        code: "unknown_table", class: Input,
        message: "there is no record type \"{table}\"{meant}",
        cause: "The name is misspelled, or this version does not know the type.",
        advice: "See the list of record types for the names; capital letters matter.",
    }

    /// An unknown record or other thing. `meant` is the known one whose name is most similar, if there are names and one is.
    NotFound {
        fields: { what: String = "asset".into(), id: String as quoted = "a1".into(), meant: Option<String> as similar_name = Some("a10".into()) },
        code: "not_found", class: Input,
        message: "there is no {what} \"{id}\"{meant}",
        cause: "The id is misspelled, or the record is not on this site.",
        advice: "Check the id; capital letters matter.",
    }

    /// A record that changed since the host read it.
    ChangedMeanwhile {
        fields: { table: TableName = "asset".into(), id: RecordId = "a1".into() },
        code: "changed_meanwhile", class: Input,
        message: "{table} {id} was changed since it was read",
        cause: "Somebody else changed the record while it was edited: another user, or a sync; or the app wrote it within its own update of it.",
        advice: "Read the record again, and decide which version counts; nothing was written.",
    }

    /// A file that is too large for central; both in bytes.
    FileTooLarge {
        fields: { bytes: u64 = 60_000_000, max: u64 = 52_412_416 },
        code: "file_too_large", class: Input,
        message: "the file has {bytes} bytes, and {max} is the most",
        cause: "A photo or video straight from a phone; central would refuse it.",
        advice: "Make the file smaller, for example with a smaller picture; nothing was written.",
    }

    /// Invalid input; `detail` is the whole message.
    BadInput {
        fields: { detail: Detail = "there is no record in the input".into() },
        code: "bad_input", class: Input,
        message: "{detail}",
        cause: "The input, a file or a setting is not what is expected here.",
        advice: "Correct the input; nothing was changed.",
    }

    /// A backup of another database than the one whose place it is to take.
    BackupOfAnother {
        fields: {
            of: String = "site north (role remote)".into(),
            path: String = "central.sqlite".into(),
            here: String = "a central server".into(),
        },
        code: "backup_of_another", class: Input,
        message: "this is a backup of {of}; the database {path} is {here}",
        cause: "The path of the database or of the backup is another one than was meant.",
        advice: "Give the path of the database of which the backup is, or a new file. Only to give the database up that is there, confirm that the backup takes its place.",
    }

    /// A database that is to be a copy, and holds something else.
    MigrationTargetUsed {
        fields: { database: String = "copy.sqlite".into() },
        code: "migration_target_used", class: Input,
        message: "{database} is not empty",
        cause: "It is in use, or it is a copy of another database, or of the same one in another state.",
        advice: "Give an empty database, or the path of a new file. A database that is not needed any more has to be removed by hand.",
    }

    /// A site that is not in central's list.
    UnknownSiteId {
        fields: { site: SiteId = SiteId(7) },
        code: "unknown_site", class: Input,
        message: "site {site} is not known here",
        cause: "The site was removed, or never added.",
        advice: "See the list of sites.",
    }

    /// A server takes no record of a table from any site.
    TableNotForSites {
        fields: { server: Server = Central, table: TableName = "item_variant".into() },
        code: "table_not_for_sites", class: Input,
        message: "{server} takes no record of {table} from a site",
        cause: "Only the central server may write this table, or the release there does not let sites write it any more.",
        advice: "Have these records entered on the central server; they stay here, and hold up no other record.",
    }

    /// Another cycle has the database; `holder` is its process, if known.
    CycleRunning {
        fields: { holder: Option<u32> as process = Some(4711) },
        code: "cycle_running", class: Busy,
        message: "another cycle is running on this database{holder}",
        cause: "Another process, or another call of this one, runs a cycle on this database.",
        advice: "Wait until it is done; a cycle that was killed does not block.",
    }

    /// A database that another process serves.
    ServedAlready {
        fields: { database: String = "central.sqlite".into(), holder: Option<u32> as process = Some(4711) },
        code: "served_already", class: Busy,
        message: "{database} is served already by another process{holder}",
        cause: "A server runs with this database, the one before has not ended yet, or a migration has the database for itself.",
        advice: "Nothing to do if that server is the one that is meant; otherwise stop it first.",
    }

    /// Stopped on request.
    Cancelled {
        code: "cancelled", class: Cancelled,
        message: "stopped on request",
        cause: "Somebody stopped it: a signal, or the program that embeds this.",
        advice: "Run it again when it suits; a sync continues where it stopped.",
    }

    ..
    /// A rule of ownership; the [`Refusal`] declares its texts.
    NotAllowed { refusal: Refusal, id: Option<RecordId> } => not_allowed
}
}
