//! The commands for people who help a site: inspect, explain, repair.

use clap::{ArgGroup, Args as ClapArgs, Subcommand, ValueEnum};
use sync_core::Settings;
use sync_core::protocol::PasswordHash;
use sync_core::storage::QuarantineCause;

use super::values::KnownTables;

/// A cause of quarantine on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cause {
    /// It names a record that is not here yet
    Waiting,
    /// A rule of ownership forbids it
    Refused,
    /// This version does not know its table or a value in it
    Unsupported,
    /// Its data do not fit its record type
    Malformed,
    /// The database or the program failed at it each time
    Failed,
    /// Something newer was written before it could be integrated
    Superseded,
    /// A person marked it as of no use here
    Ignored,
}

impl From<Cause> for QuarantineCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Waiting => Self::Waiting,
            Cause::Refused => Self::Refused,
            Cause::Unsupported => Self::Unsupported,
            Cause::Malformed => Self::Malformed,
            Cause::Failed => Self::Failed,
            Cause::Superseded => Self::Superseded,
            Cause::Ignored => Self::Ignored,
        }
    }
}

#[derive(Debug, Subcommand)]
#[command(after_help = QUARANTINE_EXAMPLES)]
pub(crate) enum Quarantine {
    /// List the records in quarantine, grouped by cause
    #[command(after_help = LIST_EXAMPLES)]
    List(QuarantineList),
    /// Show one of them: field, rule, the record it waits for, time and place of origin, data
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Its number, from the list
        #[arg(value_parser = super::values::number::<u64>)]
        number: u64,
    },
    /// Try one again, all of a cause, or all
    #[command(after_help = RETRY_EXAMPLES)]
    Retry(QuarantineRetry),
    /// Keep one for reference: it no longer counts as left behind and is not tried again
    #[command(after_help = IGNORE_EXAMPLES)]
    Ignore {
        /// Its number, from the list
        #[arg(value_parser = super::values::number::<u64>)]
        number: u64,
        /// The reason, which is kept with the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct QuarantineList {
    /// Only records with this cause
    #[arg(long)]
    pub cause: Option<Cause>,
    /// Only the groups with their counts
    #[arg(long)]
    pub groups: bool,
    /// Every record of a group, not only the first few
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("which").required(true).args(["number", "cause", "all"])))]
pub(crate) struct QuarantineRetry {
    /// Its number, from the list
    #[arg(value_parser = super::values::number::<u64>)]
    pub number: Option<u64>,
    /// All of one cause
    #[arg(long)]
    pub cause: Option<Cause>,
    /// All except those that are ignored
    #[arg(long)]
    pub all: bool,
}

const QUARANTINE_EXAMPLES: &str = "\
Records in quarantine are kept whole. Most need no action: they are tried again
when the record that they wait for arrives, or after an upgrade.

Examples:
  oms-sync quarantine list
  oms-sync quarantine show 12
  oms-sync quarantine retry --cause refused";

const LIST_EXAMPLES: &str = "\
Examples:
  oms-sync quarantine list
  oms-sync quarantine list --groups --json
  oms-sync quarantine list --cause refused --all";

const SHOW_EXAMPLES: &str = "\
Examples:
  oms-sync quarantine show 12
  oms-sync quarantine show 12 --json | jq .data";

const RETRY_EXAMPLES: &str = "\
Needs no network. While a cycle runs, the records wait for the next one. Exit
status 1 if a record goes back into quarantine.

Examples:
  oms-sync quarantine retry 12
  oms-sync quarantine retry --cause waiting
  oms-sync quarantine retry --all";

const IGNORE_EXAMPLES: &str = "\
The record is not deleted: quarantine show still shows it, quarantine retry
still tries it, and a newer version is taken as usual.

Examples:
  oms-sync quarantine ignore 12 --reason \"test data of a closed clinic\"";

#[derive(Debug, Subcommand)]
#[command(after_help = LOG_EXAMPLES)]
pub(crate) enum Log {
    /// List the last cycles and repairs, newest first
    #[command(after_help = LOG_EXAMPLES)]
    List {
        /// The most to show
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = super::values::number::<usize>)]
        limit: usize,
        /// Only cycles that failed or left something behind
        #[arg(long)]
        failed: bool,
    },
    /// Show one: its steps, rows, bytes, requests, warnings and errors
    #[command(after_help = LOG_EXAMPLES)]
    Show {
        /// Its number in the list (1 is the newest), or its time, or the beginning of its time
        #[arg(default_value = "1", value_name = "N|TIME")]
        which: String,
    },
}

const LOG_EXAMPLES: &str = "\
The newest has the number 1. The log holds the last thousand cycles.

Examples:
  oms-sync log list --failed
  oms-sync log show
  oms-sync log show 2026-11-23T10:06";

#[derive(Debug, Subcommand)]
#[command(after_help = CONFLICTS_EXAMPLES)]
pub(crate) enum Conflicts {
    /// List the kept conflicts, newest first: which version stayed, and the fields that differ
    #[command(after_help = CONFLICTS_EXAMPLES)]
    List,
    /// Show the last one of a record: each version of the fields that differ
    #[command(after_help = CONFLICTS_EXAMPLES)]
    Show {
        /// The table, as the sync protocol spells it
        #[arg(value_parser = KnownTables, hide_possible_values = true)]
        table: String,
        /// The record's id
        id: String,
    },
}

const CONFLICTS_EXAMPLES: &str = "\
A record was edited here, and a pull brought another version of it before the
edit was pushed. The edit stays, unless the app decides otherwise, and the other
version is kept for comparison: the last one of each record, of the newest
hundred records. A version above 64 kB is not kept.

Examples:
  oms-sync conflicts list
  oms-sync conflicts show asset 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001
  oms-sync conflicts show asset 0190f7b2 --json | jq .received";

#[derive(Debug, ClapArgs)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct Explain {
    /// The table, as the sync protocol spells it
    #[arg(value_parser = KnownTables, hide_possible_values = true)]
    pub table: String,
    /// The record's id
    pub id: String,
}

const EXPLAIN_EXAMPLES: &str = "\
When the record was written and which cycle pushed it; whether it waits, was
taken, received or put into quarantine, with the reason and the record that it
waits for. Exit status 1 if it is in quarantine, 2 if it is unknown here.

Examples:
  oms-sync explain asset 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001
  oms-sync --db central.sqlite explain vaccination 0194c2f0 --json";

#[derive(Debug, ClapArgs)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct Status {
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// With --watch: the time between two looks, such as 2s or 1m
    #[arg(long, value_name = "TIME", value_parser = super::values::duration, default_value = "2s", requires = "watch")]
    pub every: std::time::Duration,
    /// For an alarm: exit status 1 if no cycle was complete for this time, such as 90m, 12h or 2d; `never` undoes
    /// a setting
    #[arg(long, value_name = "TIME", value_parser = super::values::age_limit, conflicts_with = "watch")]
    pub max_age: Option<super::Limit<std::time::Duration>>,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  oms-sync status
  oms-sync status --quiet --max-age 1d     for an alarm
  oms-sync status --watch
  oms-sync status --watch --json      a JSON line for each change";

#[derive(Debug, Subcommand)]
#[command(after_help = PREVIEW_EXAMPLES)]
pub(crate) enum Preview {
    /// Show the records that the next push would send, and those that would go into quarantine; needs no network
    #[command(after_help = PREVIEW_EXAMPLES)]
    Push,
    /// Ask the servers which records the next pull would bring, and which would go into quarantine
    #[command(after_help = PREVIEW_EXAMPLES)]
    Pull {
        /// Read no more than this many records; the servers count the rest
        #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = super::values::number::<u64>)]
        limit: u64,
    },
}

const PREVIEW_EXAMPLES: &str = "\
Nothing is changed here, no cursor moves, and nothing is acknowledged. Exit
status 1 if something would go into quarantine.

Examples:
  oms-sync preview push
  oms-sync preview pull --limit 500 --json";

#[derive(Debug, ClapArgs)]
#[command(after_help = super::examples::BUNDLE)]
pub(crate) struct Bundle {
    /// The archive to write, a .tar.gz [default: named after the site and the time]
    pub file: Option<std::path::PathBuf>,
    /// Only list its contents
    #[arg(long)]
    pub list: bool,
    /// Ask no server; `doctor` then checks this device alone
    #[arg(long)]
    pub offline: bool,
    /// How many of the last cycles to include
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = super::values::number::<usize>)]
    pub cycles: usize,
}

#[derive(Debug, Subcommand)]
#[command(after_help = super::examples::PATIENT)]
pub(crate) enum Patient {
    /// Find patients at the legacy server, whether this site sees them or not
    #[command(after_help = super::examples::PATIENT_FIND)]
    Find {
        /// A part of the first name
        #[arg(long, value_name = "NAME")]
        first: Option<String>,
        /// A part of the last name
        #[arg(long, value_name = "NAME")]
        last: Option<String>,
        /// The date of birth, as 2011-03-31
        #[arg(long, value_name = "DATE")]
        born: Option<String>,
        /// The patient's code
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// The most patients that are shown
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::values::from_one::<u32>)]
        limit: u32,
    },
    /// Make a patient visible in a store of this site, and fetch the patient's records
    #[command(after_help = super::examples::PATIENT_LINK)]
    Link {
        /// The id of the patient's name, as `patient find` shows it
        id: String,
        /// The store; needed where several are active on this site
        #[arg(long, value_name = "ID")]
        store: Option<String>,
        /// Give up an unfinished link instead, which a server refuses for ever
        #[arg(long)]
        give_up: bool,
    },
    /// Pull the records of one patient; the cursors of the ordinary sync stay where they are
    #[command(after_help = super::examples::PATIENT)]
    Pull {
        /// The id of the patient's name
        id: String,
    },
}

/// The confirmation that a repair needs.
#[derive(Debug, ClapArgs)]
pub(crate) struct Confirm {
    /// Do it, after a copy of the database was made; without this the changes are only shown
    #[arg(long)]
    pub yes: bool,
    /// The reason, which is kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = CURSOR_EXAMPLES)]
pub(crate) enum CursorCommand {
    /// Show all cursors and what each means
    #[command(after_help = CURSOR_EXAMPLES)]
    Show,
    /// Read again from further back, after something was lost here
    #[command(after_help = CURSOR_EXAMPLES)]
    Rewind {
        /// The cursor
        which: WhichCursor,
        /// The position to rewind to
        #[arg(long, default_value_t = 0, value_name = "N", value_parser = super::values::number::<u64>)]
        to: u64,
        /// Also read records that came from this site; central leaves them out otherwise
        #[arg(long)]
        own: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// A cursor that can be rewound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhichCursor {
    /// Into central's changelog
    Pull,
    /// Into the legacy server's central data: stores, names, items
    PullLegacy,
}

const CURSOR_EXAMPLES: &str = "\
A cursor cannot be moved forwards: skipped records would be lost. Push cursors
cannot be rewound, because central takes each change only once; to send records
again, use oms-sync resend.

Examples:
  oms-sync cursor show
  oms-sync cursor rewind pull
  oms-sync cursor rewind pull --own --yes --reason \"records deleted by mistake\"";

#[derive(Debug, ClapArgs)]
#[command(after_help = RESEND_EXAMPLES)]
pub(crate) struct Resend {
    /// The table, as the sync protocol spells it, or all
    #[arg(value_parser = KnownTables, hide_possible_values = true)]
    pub table: String,
    /// One record only
    pub id: Option<String>,
    /// Only records written at this time or later, as 2026-11-23 or 2026-11-23T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = super::values::since)]
    pub since: Option<sync_core::clock::Timestamp>,
    /// Also records of this site's stores that came by sync
    #[arg(long)]
    pub received: bool,
    #[command(flatten)]
    pub confirm: Confirm,
}

const RESEND_EXAMPLES: &str = "\
For records written here that the other end has lost. Run twice, it sends them
once. The reason is kept in the log.

Examples:
  oms-sync resend asset
  oms-sync resend asset_log --since 2026-11-20 --yes --reason \"central restored\"
  oms-sync resend all --received";

#[derive(Debug, ClapArgs)]
#[command(after_help = IDENTITY_EXAMPLES)]
pub(crate) struct Identity {
    /// Ask the legacy server too, and compare; its answer is not taken over
    #[arg(long)]
    pub ask: bool,
}

const IDENTITY_EXAMPLES: &str = "\
Shows no password, and only the beginning of the hardware id. Exit status 3 if
something does not agree.

Examples:
  oms-sync identity
  oms-sync identity --ask --json";

#[derive(Debug, ClapArgs)]
#[command(after_help = super::examples::DOCTOR)]
pub(crate) struct Doctor {
    /// Wait this long for each answer of a server, such as 20s or 2m [default: 2s, longer over a slow line]
    #[arg(long, value_name = "TIME", value_parser = super::values::duration)]
    pub max_time: Option<std::time::Duration>,
    #[command(flatten)]
    pub new_site: NewSite,
}

/// A site whose database is not there yet, or cannot be read.
#[derive(Debug, ClapArgs)]
pub(crate) struct NewSite {
    /// Without a database: the legacy server's address, as for init; signs in as init does
    #[arg(long, value_name = "URL", value_parser = super::values::one_line, requires = "site")]
    pub legacy_url: Option<String>,
    /// The site's name on the legacy server
    #[arg(long, value_name = "NAME", value_parser = super::values::one_line, requires = "legacy_url")]
    pub site: Option<String>,
    #[command(flatten)]
    pub password: super::Password,
    /// An id for this machine in place of its own
    #[arg(long, value_name = "ID", env = "OMS_SYNC_HARDWARE_ID", hide_env_values = true, value_parser = super::values::one_line)]
    pub hardware_id: Option<String>,
    /// Before there is a database: ask the legacy server although its address is http://, as init --allow-http does
    #[arg(long, requires = "legacy_url")]
    pub allow_http: bool,
}

impl NewSite {
    /// The settings of the site, with its password.
    pub(crate) fn settings(&self, legacy_url: &str, site: &str, password: PasswordHash) -> Settings {
        let settings = Settings::new(legacy_url, site, password).hardware_id(self.hardware_id.clone());
        if self.allow_http { settings.https_only(false) } else { settings }
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = super::examples::NET)]
pub(crate) struct Net {
    /// Measure each server for about this time at most, such as 20s or 2m
    #[arg(long, value_name = "TIME", value_parser = super::values::duration, default_value = "20s")]
    pub max_time: std::time::Duration,
    /// Receive about this many bytes of records from each server at most
    #[arg(long, value_name = "N", value_parser = super::values::from_one::<u64>, default_value_t = 2_000_000)]
    pub max_bytes: u64,
    #[command(flatten)]
    pub new_site: NewSite,
}
