//! Notes and examples below the help of each command.

pub(super) const AUDIT: &str = "\
Reads all records of central into a temporary file as large as they are, in the
folder TMPDIR. Changes nothing here or at central; no sync can run meanwhile.
Stores, names and items are not compared, because they come from the legacy
server. Exit status 1 if records differ that should not, or are in quarantine.

Examples:
  oms-sync audit
  oms-sync audit --json | jq '.lost[] | [.table, .id, .why]'";

pub(super) const PATIENT: &str = "\
For a patient who is waiting at the counter: fetches the patient's vaccinations
and other V6 records at once. The patient must be visible in a store of this
site. Edits made here are kept. Central must run Open mSupply 2.7.0 or later.
Exit status 1 if a record goes into quarantine.

Examples:
  oms-sync patient pull 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001
  oms-sync patient pull 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001 --json";

pub(super) const PATIENT_FIND: &str = "\
Searches the patients of the whole country. Give at least one option. Capital
letters do not matter, and parts of names are enough. Nothing is stored here.

Examples:
  oms-sync patient find --last diallo --first a
  oms-sync patient find --born 2011-03-31 --json";

pub(super) const PATIENT_LINK: &str = "\
Links the patient to a store of this site, at the legacy server and at the Open
mSupply central server, and fetches the patient's name and vaccinations. If it
is interrupted, the next sync finishes it. Linking twice is the same as once.
Exit status 1 if a record goes into quarantine.

Examples:
  oms-sync patient link 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001
  oms-sync patient link 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001 --store CLINIC
  oms-sync patient link 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001 --give-up";

pub(super) const BACKUP: &str = "\
Copies the database as it is at one moment, and all files, while sync, run and
serve go on. A backup gets its name once it is whole and was checked; only its
owner can read it. A file that the backup before it holds too takes no space.
Exit status 6 if the disk is too small, or the copy is damaged: then no backup
is left behind, and none is removed.

Examples:
  oms-sync --db central.sqlite backup /backup --keep 14
  oms-sync --db central.sqlite serve --listen 0.0.0.0:8000 \\
      --backup-to /backup --backup-every 24h --backup-keep 14";

pub(super) const CHECK: &str = "\
Reads the whole database of the backup, compares its bytes with those that were
written, and counts its files. Exit status 6 if it is damaged.

Examples:
  oms-sync check /backup/20261128T020000000Z";

pub(super) const REKEY: &str = "\
The present key comes from --db-key-file or OMS_SYNC_DB_KEY; without one the
database is taken to be not encrypted, and is encrypted for the first time. Stop
run and serve before. All of the file is written anew, and a break in between
leaves it whole, with the old key or the new one. Backups keep the key that
they were made with: keep that key as long as them. A lost key cannot be
replaced.

Examples:
  (umask 077; openssl rand -hex 32 > new.key)
  oms-sync rekey --new-key-file new.key
  oms-sync --db-key-file old.key rekey --new-key-file new.key";

pub(super) const MIGRATE: &str = "\
Stop serve first, and give the same --files as it has: the folder of files stays
where it is. Everything is copied, and then compared record by record. FROM is
refused from then on, and sites go on with TO without reading anything again. If
it is interrupted in any way, repeat it: it goes on where it stopped, and until
its end FROM can be used as before. A TO that is not empty is refused. Passwords
come from PGPASSWORD or PGPASSFILE.

To come back, migrate TO into a new file. As long as TO was not used, --undo
takes FROM into use again. If TO is lost, --undo FROM alone does so as after a
backup: sites send again what they have sent to TO. Never use TO after that.

Examples:
  oms-sync --files files migrate central.sqlite postgres://oms@db/central
  oms-sync --files files migrate postgres://oms@db/central central-2.sqlite
  oms-sync migrate --undo central.sqlite postgres://oms@db/central";

pub(super) const RESTORE: &str = "\
Without --yes it only compares the backup with the database: what both servers
bring again by themselves, and what only this database has. With --yes the
backup takes the place of the database, which is kept beside it, and the files
that are missing come back; none is removed. Stop serve and run first. The next
cycle recognises the restored database, and reads what it lacks. A backup of
another site, or of another role, is refused without --replace-another.
A site that was added since the backup is known to the replaced database alone:
--keep-sites takes sites, passwords and stores over from there.

Examples:
  oms-sync --db central.sqlite restore /backup/20261128T020000000Z
  oms-sync --db central.sqlite restore /backup/20261128T020000000Z --yes
  oms-sync --db central.sqlite restore backup.sqlite --keep-sites --yes";

pub(super) const BUNDLE: &str = "\
One archive of text files: status, log, quarantine, identity, cursors, settings,
the system, and the findings of doctor. The contents are listed before it is
written. It holds no password, hash or machine id, and of records only tables,
ids and names of fields. Works without network, and with a database that cannot
be opened. Exit status 1 if a part could not be gathered.

Examples:
  oms-sync bundle
  oms-sync bundle --list --offline
  oms-sync bundle /media/stick/clinic.tar.gz --cycles 200";

pub(super) const PROGRAM: &str = "\
Examples:
  oms-sync demo                                   see it work, on this machine
  oms-sync init --legacy-url https://msupply.example.org:2048 --site district-07
  oms-sync sync                                   one cycle; resumes where it stopped
  oms-sync status --json                          the state of this site, for scripts

Exit status:
  0 done    1 some records were left behind    2 wrong usage or input
  3 not set up, or the set-up is refused       4 network or the other end: try again
  5 versions do not fit: upgrade one end       6 this machine: disk or database
  7 another process is at work on the database 130 interrupted";

pub(super) const RUN: &str = "\
After a failure it waits half a minute, then longer each time, up to half an
hour; each of these waits is shortened at random by up to half. If another cycle
was running it waits half a minute; if only a person can fix the failure, such
as a wrong password, an hour. SIGTERM and Ctrl-C end the running cycle
cleanly, and the program with status 0; a second one ends it at once. SIGHUP
begins a cycle now. Edits that come while a cycle runs, too late for its push,
are sent by another one a second later.

Examples:
  oms-sync run                        every five minutes
  oms-sync run --interval 1h --json   every hour, one JSON line a cycle";

pub(super) const INSPECT: &str = "\
Shows role, site, cursors, records that wait to be pushed, records that are
stuck and what they lack, the last cycles, and files. The server may be running.
Shows no password. Exit status 1 if records are stuck or the last cycle failed.
Of a database of 3.x it shows release, site, cursors, whether it synchronises by
V6 or by V7, and what to do.

Examples:
  oms-sync inspect omsupply.sqlite
  oms-sync inspect --json omsupply.sqlite | jq '.buffer.stuck[].missing_records'";

pub(super) const DECODE: &str = "\
Reads the body of a message, plain or gzipped, with or without its HTTP head.
Credentials are not shown. Exit status 1 if something is wrong with the message
or neither protocol has it, 2 if it is no message at all.

Examples:
  oms-sync decode answer.json
  oms-sync decode --brief push-request.json
  curl -si https://central.example.org/central/sync/pull | oms-sync decode";

pub(super) const ERRORS: &str = "\
To translate, save errors --template and change the texts in that file; names in
{} are filled in. \"words\" holds words in sentences, \"labels\" the names of
checks, facts and columns. --texts or OMS_SYNC_TEXTS names the file. A text that
is not in it is shown in English; errors --template adds it.

Examples:
  oms-sync errors                         all codes
  oms-sync errors --json > errors.jsonl
  oms-sync errors incorrect_password
  oms-sync errors CONNECTION_ERROR        a code of Open mSupply's own
  oms-sync errors --template > fr.json    for a translator";

pub(super) const COMPAT: &str = "\
Exit status 0 if they work together, 1 if they do but some records are lost
between them, 5 if one has to be upgraded first.

Examples:
  oms-sync compat --legacy 8.06.00 --central 2.19.0 --site 2.16.03
  oms-sync compat --central 2.8.0";

pub(super) const INIT: &str = "\
Run again, it changes what is given, such as the password, and keeps the rest.
It never turns the database of one site into that of another.

Examples:
  oms-sync init --legacy-url https://msupply.example.org:2048 --site district-07
  oms-sync init --legacy-url https://msupply.example.org:2048 \\
      --site district-07 --password-file /etc/oms-sync/password
  oms-sync init --password-file /etc/oms-sync/new-password";

pub(super) const DISCOVER: &str = "\
Examples:
  oms-sync discover
  oms-sync discover --json | jq .central_url
  oms-sync discover --accept https://central.example.org";

pub(super) const SYNC: &str = "\
Exit status 1 if the cycle left a record in quarantine; oms-sync quarantine list
says why. Later cycles end so too while somebody has to act on it: correct it,
upgrade, or set it aside with oms-sync quarantine ignore. A record that only
waits for another comes by itself, and changes the status of the first cycle
alone. Central tells of a record that it refused in a later cycle, as a warning
of that cycle, which does not change the status. For an alarm use oms-sync
doctor.

The size of batches adapts to the line and is remembered for the next cycle.
Environment variables limit it: OMS_SYNC_PULL_RECORDS and OMS_SYNC_PULL_BYTES
for a batch from central, OMS_SYNC_LEGACY_RECORDS for one from the legacy
server, OMS_SYNC_PUSH_BYTES for a batch to either, and OMS_SYNC_ANSWER_MAX for
the largest answer in bytes.

Examples:
  oms-sync sync
  oms-sync sync --with-files
  oms-sync sync --max-time 10m --max-bytes 5000000     on a line that costs";

pub(super) const RECORDS_TYPES: &str = "\
Examples:
  oms-sync records types
  oms-sync records types --json | jq -r 'select(.is_pushed) | .table'";

pub(super) const RECORDS_LIST: &str = "\
Examples:
  oms-sync records list asset
  oms-sync records list asset --json | jq -r .data.asset_number";

pub(super) const RECORDS_GET: &str = "\
Examples:
  oms-sync records get asset 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001";

pub(super) const RECORDS_PUT: &str = "\
Examples:
  oms-sync records put asset fridge.json --dry-run
  oms-sync records put asset fridge.json
  jq -c .data export.jsonl | oms-sync records put asset";

pub(super) const RECORDS_DELETE: &str = "\
Examples:
  oms-sync records delete asset 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001";

pub(super) const FILES_LIST: &str = "\
Examples:
  oms-sync files list
  oms-sync files list --json | jq 'select(.state == \"failed\") | .reason'";

pub(super) const FILES_ATTACH: &str = "\
Examples:
  oms-sync files attach asset 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001 fridge.jpg";

pub(super) const FILES_SYNC: &str = "\
Exit status 1 if a file could not be moved; it is tried again later.

Examples:
  oms-sync files sync
  oms-sync files sync --json | jq .failed";

pub(super) const FILES_FETCH: &str = "\
Examples:
  oms-sync files fetch 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d002
  oms-sync files sync";

pub(super) const FILES_RESEND: &str = "\
With all, the next run asks the central server for each file that is here.

Examples:
  oms-sync files resend 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d002
  oms-sync files resend all
  oms-sync files sync";

pub(super) const FILES_VERIFY: &str = "\
Exit status 1 if a file is missing, changed or surplus.

Examples:
  oms-sync files verify";

pub(super) const CHANGELOG: &str = "\
Examples:
  oms-sync changelog --limit 20
  oms-sync changelog --from 1200 --json | jq -r .table | sort | uniq -c";

pub(super) const SERVE: &str = "\
SIGTERM and Ctrl-C end the server once the running requests are done. SIGHUP
makes it read the certificate again, open the access log again, and ask the
legacy server for news. /health, /metrics and a status page are at the listening
address, for this machine only.

Examples:
  oms-sync --db central.sqlite serve --listen 127.0.0.1:8000
  oms-sync --db central.sqlite serve --listen 0.0.0.0:443 \\
      --tls-cert chain.pem --tls-key key.pem --access-log access.log
  oms-sync --db central.sqlite serve --listen 0.0.0.0:8000 --auth legacy";

pub(super) const PAUSE: &str = "\
A running server follows at its next request. Sites keep their edits, and go on
by themselves after the pause.

Examples:
  oms-sync --db central.sqlite pause";

pub(super) const RESUME: &str = "\
Examples:
  oms-sync --db central.sqlite resume";

pub(super) const SITE_ADD: &str = "\
A site that was removed comes back with the site id that it had: its database
goes on, and sends what it has kept. Give its stores back with store add --id.
If a restored database does not know a site, give the number and the UUID that
oms-sync identity shows at the site: with others its database is refused.

Examples:
  oms-sync --db central.sqlite site add clinic
  oms-sync --db central.sqlite site add clinic --number 7 --uuid 0C5A7E8B
  oms-sync --db central.sqlite site add clinic --password-file clinic.password";

pub(super) const SITE_LIST: &str = "\
Works beside serve, which writes the times of visits every half minute. TO READ
counts positions of the changelog after the site's cursor, some of them for
other sites. QUAR. counts its records in quarantine. With -v also whether the
site is bound to a machine, and records held back because its release cannot
read them.

Examples:
  oms-sync --db central.sqlite site list
  oms-sync --db central.sqlite site list --max-age 2d     for an alarm

With --max-age a site that never came is listed too, with null as its seen_at in
--json: it was added and never set up, or asks elsewhere. A legacy server's
sites are known from their first visit on.";

pub(super) const SITE_IMPORT: &str = "\
Each line is a store of a site; a site without a store has empty columns. Sites
and stores (by code) that are there already stay as they are, except that a
store moves to the site in the table; each store that is new or moved is named.
A code that several stores have is refused, unless one of them is active on the
site of the line. The passwords of the new sites go into a new file, with the
time when they were made; a password that is changed later is not in it. An
import that was interrupted can be repeated with the same file.

Examples:
  oms-sync --db central.sqlite site import sites.csv --passwords passwords.csv";

pub(super) const SITE_SET_PASSWORD: &str = "\
Examples:
  oms-sync --db central.sqlite site set-password clinic --password-file pw";

pub(super) const SITE_REMOVE: &str = "\
Examples:
  oms-sync --db central.sqlite site remove clinic
  oms-sync --db central.sqlite site remove clinic --move-stores-to district";

pub(super) const SITE_RESET_HARDWARE: &str = "\
The next machine that signs in with the site's password is bound to the site,
be it for a sync or for doctor, net or identity --ask. Make sure that the new
machine comes first.

Examples:
  oms-sync --db central.sqlite site reset-hardware clinic";

pub(super) const STORE_ADD: &str = "\
HIS, SM and DRG are codes of the legacy server's own stores: sites of Open
mSupply leave such stores out, so they are refused.

Examples:
  oms-sync --db central.sqlite store add \"Clinic store\" --code CL1 --site clinic";

pub(super) const STORE_REMOVE: &str = "\
Its name record stays. A store with records cannot be removed: move it to
another site with store add --id.

Examples:
  oms-sync --db central.sqlite store remove 8A6C53F10A4E4D4BB3B9F3C3F2B8F6C1";

pub(super) const STORE_LIST: &str = "\
Examples:
  oms-sync --db central.sqlite store list";

pub(super) const DEMO: &str = "\
Examples:
  oms-sync demo
  oms-sync demo --keep /tmp/demo";

pub(super) const COMPLETIONS: &str = "\
Examples:
  oms-sync completions bash > /etc/bash_completion.d/oms-sync
  oms-sync completions zsh > \"${fpath[1]}/_oms-sync\"
  oms-sync completions fish > ~/.config/fish/completions/oms-sync.fish
  oms-sync completions powershell >> $PROFILE";

pub(super) const MAN: &str = "\
Examples:
  oms-sync man | man -l -
  oms-sync man quarantine retry | man -l -
  oms-sync man --dir /usr/local/share/man/man1       a page for each command";

pub(super) const DOCTOR: &str = "\
Checks the database, its disk and settings, both servers step by step (name,
connection, TLS, kind of server, sign-in, version), the clock, cursors,
quarantine, files and the last sync. It says who must act and what to do; -v
shows each check. It changes nothing, here or at a server, and shows no secret.
The exit status is that of a sync with the same fault (3, 4, 5 or 6), 1 if
records are in quarantine or refused by central, 0 otherwise: also where only a
warning or an alarm is told (\"No fault found, but check ...\").

Examples:
  oms-sync doctor
  oms-sync --db site.sqlite doctor --json | jq -r .party
  oms-sync doctor --max-time 1m                   a server is slow to answer
  oms-sync doctor -v                              each check, with the causes
  oms-sync doctor --legacy-url https://msupply.example.org:2048 --site clinic

The last works without a database. Without a password it checks the way to the
legacy server, and whether that knows the site; the server may count one failed
sign-in.";

pub(super) const NET: &str = "\
Sends small questions to both servers, then reads records and forgets them: no
cursor moves and nothing is acknowledged. From central it reads only records
that this site does not have yet; before the first sync those are all.

Examples:
  oms-sync net
  oms-sync net --max-time 1m --max-bytes 10000000
  oms-sync net --json
  oms-sync net --legacy-url https://msupply.example.org:2048 --site clinic

The last works without a database, or with one that cannot be read.";
