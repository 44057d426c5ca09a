//! What stands below the help of commands: what to know of them, and examples.

pub(super) const AUDIT: &str = "\
Reads all of it from the beginning into a temporary file, which needs as much
room as the records do; TMPDIR says where. Nothing is changed here or at
central, and no sync runs meanwhile. Stores, names and items are not compared:
they come from the legacy server. Exit status 1 if something differs that
should not, or is in quarantine.

Examples:
  oms-sync audit
  oms-sync audit --json | jq '.lost[] | [.table, .id, .why]'";

pub(super) const PATIENT: &str = "\
For a patient who is waiting at the counter: vaccinations and whatever else V6
has on the patient come at once. Central gives them to a site if the patient is
visible in one of its stores. Edits made here are kept. Needs Open mSupply 2.7.0
or later at central. Exit status 1 if something goes into quarantine.

Examples:
  oms-sync patient pull 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001
  oms-sync patient pull 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001 --json";

pub(super) const PATIENT_FIND: &str = "\
The legacy server knows the patients of the whole country. Say at least one
thing of the patient. Capital letters do not matter, and parts of names are
enough. Nothing is stored here.

Examples:
  oms-sync patient find --last diallo --first a
  oms-sync patient find --born 2011-03-31 --json";

pub(super) const PATIENT_LINK: &str = "\
Links the patient to a store of this site, at the legacy server and at the Open
mSupply central server, and fetches the patient's name and vaccinations. If it
is broken off, the next sync goes on with it. To link twice is the same as once.
Exit status 1 if something goes into quarantine.

Examples:
  oms-sync patient link 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001
  oms-sync patient link 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001 --store CLINIC";

pub(super) const BUNDLE: &str = "\
Status, log, quarantine, identity, cursors, settings and the system, as
text files in one archive, and what doctor finds. What is in it is listed before
it is written. No password, hash or machine id is in it, and of records only
tables, ids and names of fields. Works without network, and with a database that
cannot be opened. Ends with 1 if a part could not be gathered.

Examples:
  oms-sync bundle
  oms-sync bundle --list --offline
  oms-sync bundle /media/stick/clinic.tar.gz --cycles 200";

pub(super) const PROGRAM: &str = "\
Examples:
  oms-sync demo                                   see it work, on this machine
  oms-sync init --legacy-url https://msupply.example.org:2048 --site district-07
  oms-sync sync                                   one cycle; resumes where it stopped
  oms-sync status --json                          how this site stands, for scripts

Exit status:
  0 done    1 some records were left behind    2 wrong usage or input
  3 not set up, or the set-up is refused       4 network or the other end: try again
  5 versions do not fit: upgrade one end       6 this machine: disk or database
  7 another cycle is running                   130 interrupted";

pub(super) const RUN: &str = "\
After a failure it tries again within half a minute, then later and later, up
to half an hour; chance shortens each of these waits by up to half. Where
another cycle was running it waits half a minute; where only a person can fix
it, such as a wrong password, an hour. SIGTERM and Ctrl-C end the running cycle
cleanly, once a request that is under way has ended, and the program with
status 0; a second one ends it at once.

Examples:
  oms-sync run                        every five minutes
  oms-sync run --interval 1h --json   every hour, one JSON line a cycle";

pub(super) const INSPECT: &str = "\
Role, site, cursors, what waits to be pushed, records that are stuck and what
they lack, the last cycles, files. Ends with 1 if records are stuck or the last
cycle failed. The server may run meanwhile. No password is shown.

Examples:
  oms-sync inspect omsupply.sqlite
  oms-sync inspect --json omsupply.sqlite | jq '.buffer.stuck[].missing'";

pub(super) const DECODE: &str = "\
Reads the body of a message, also gzipped or with the head that it has on the
line. Credentials are not repeated. Exit status 1 if something is wrong with the
message or neither protocol has such a one, 2 if it is no message at all.

Examples:
  oms-sync decode answer.json
  oms-sync decode --brief push-request.json
  curl -si https://central.example.org/central/sync/pull | oms-sync decode";

pub(super) const ERRORS: &str = "\
To translate, start with errors --template and change the texts in that file;
what stands in {} is filled in. Words within sentences are in \"words\", names
of checks, facts and columns in \"labels\". --texts or OMS_SYNC_TEXTS names the
file; what it lacks is said in English, and errors --template adds it.

Examples:
  oms-sync errors                         all codes
  oms-sync errors --json > errors.jsonl
  oms-sync errors incorrect_password
  oms-sync errors CONNECTION_ERROR        a code of Open mSupply's own
  oms-sync errors --template > fr.json    to be translated";

pub(super) const COMPAT: &str = "\
Ends with 0 if they fit, with 5 if one has to be upgraded first, with 1 if they
fit but records are lost between them.

Examples:
  oms-sync compat --legacy 8.06.00 --central 2.19.0 --site 2.16.03
  oms-sync compat --central 2.8.0";

pub(super) const INIT: &str = "\
Asked again, it changes what is given anew, as a password. A database of one
site is never made another's.

Examples:
  oms-sync init --legacy-url https://msupply.example.org:2048 --site district-07
  oms-sync init --legacy-url https://msupply.example.org:2048 \\
      --site district-07 --password-file /etc/oms-sync/password";

pub(super) const DISCOVER: &str = "\
Examples:
  oms-sync discover
  oms-sync discover --json | jq .central_url";

pub(super) const SYNC: &str = "\
Ends with 1 if records were left behind; oms-sync quarantine list says why.

How much is asked for and sent at once fits itself to the line, and is kept for
the next cycle. The environment may set limits: OMS_SYNC_PULL_RECORDS and
OMS_SYNC_PULL_BYTES for a batch from central, OMS_SYNC_LEGACY_RECORDS for one
from the legacy server, OMS_SYNC_PUSH_BYTES for a batch to either, and
OMS_SYNC_ANSWER_MAX for the bytes of an answer that are taken into memory.

Examples:
  oms-sync sync
  oms-sync sync --with-files
  oms-sync sync --max-time 10m --max-bytes 5000000     on a line that costs";

pub(super) const RECORDS_TYPES: &str = "\
Examples:
  oms-sync records types
  oms-sync records types --json | jq -r 'select(.pushed) | .table'";

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
Ends with 1 if a file could not be moved; it is tried again later.

Examples:
  oms-sync files sync
  oms-sync files sync --json | jq .failed";

pub(super) const FILES_FETCH: &str = "\
Examples:
  oms-sync files fetch 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d002
  oms-sync files sync";

pub(super) const FILES_VERIFY: &str = "\
Ends with 1 if anything is missing, changed or surplus.

Examples:
  oms-sync files verify";

pub(super) const CHANGELOG: &str = "\
Examples:
  oms-sync changelog --limit 20
  oms-sync changelog --from 1200 --json | jq -r .table | sort | uniq -c";

pub(super) const SERVE: &str = "\
SIGTERM and Ctrl-C let what runs come to its end. /health, /metrics and a status
page are at the listening address, for this machine only.

Examples:
  oms-sync --db central.sqlite serve --listen 127.0.0.1:8000
  oms-sync --db central.sqlite serve --listen 0.0.0.0:443 \\
      --tls-cert chain.pem --tls-key key.pem --access-log access.log
  oms-sync --db central.sqlite serve --listen 0.0.0.0:8000 --auth legacy";

pub(super) const SITE_ADD: &str = "\
Examples:
  oms-sync --db central.sqlite site add clinic
  oms-sync --db central.sqlite site add clinic --password-file clinic.password";

pub(super) const SITE_LIST: &str = "\
Examples:
  oms-sync --db central.sqlite site list";

pub(super) const SITE_REMOVE: &str = "\
Examples:
  oms-sync --db central.sqlite site remove clinic";

pub(super) const SITE_RESET_HARDWARE: &str = "\
The next machine that signs in with the site's password is bound to it, whether
by a sync or by asking only, as doctor, net and identity --ask do: let the new
machine be the first.

Examples:
  oms-sync --db central.sqlite site reset-hardware clinic";

pub(super) const STORE_ADD: &str = "\
Examples:
  oms-sync --db central.sqlite store add \"Clinic store\" --code CL1 --site clinic";

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
  oms-sync completions powershell >> $PROFILE";

pub(super) const MAN: &str = "\
Examples:
  oms-sync man | man -l -
  oms-sync man quarantine retry | man -l -
  oms-sync man --dir /usr/local/share/man/man1       a page for each command";

pub(super) const DOCTOR: &str = "\
Checks in order: the database, its disk and settings, both servers step by step
(name, connection, TLS, right kind of server, sign-in, version), the clock,
cursors, quarantine, files. At the end it says who must act and what to do.
Nothing is changed, here or there; no secret is shown. The exit status is that
of a sync with the same fault (3, 4, 5 or 6), 1 if records are in quarantine,
0 otherwise.

Examples:
  oms-sync doctor
  oms-sync --db site.sqlite doctor --json | jq -r .party
  oms-sync doctor --max-time 10s                  with somebody on the phone
  oms-sync doctor -v                              with the causes";

pub(super) const NET: &str = "\
Small questions to both servers, then records that are read and forgotten: no
cursor moves, nothing is acknowledged. From central only what this site has not
read yet is asked for; before the first sync that is everything.

Examples:
  oms-sync net
  oms-sync net --max-time 1m --max-bytes 10000000
  oms-sync net --json";
