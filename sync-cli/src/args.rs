//! The command line: flags only; nothing is opened and no server is asked.
#![allow(rustdoc::bare_urls, reason = "these texts are the help, where a link has no brackets")]

mod backup;
mod config;
mod database;
mod examples;
mod help;
mod records;
mod sites;
mod support;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use oms_sync_inspect::compat::Release;

pub(crate) use self::backup::{Backup, Migrate, Rekey, Restore};
pub(crate) use self::database::Database;
pub(crate) use self::records::{Changelog, Files, Records};
pub(crate) use self::sites::{Site, SiteImport, Store};
pub(crate) use self::support::{
    Bundle, Cause, Confirm, Conflicts, CursorCommand, Doctor, Explain, Identity, Log, Net, NewSite, Patient, Preview,
    Quarantine, QuarantineList, QuarantineRetry, Resend, Status, WhichCursor,
};
pub(crate) use self::values::Limit;
use self::values::{address, bytes_limit, duration, one_line, path, time_limit, yes_or_no};
use crate::terminal::is_dumb;

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Synchronise a database with Open mSupply: as a remote site, or as the central server.
#[derive(Debug, Parser)]
#[command(name = "oms-sync", version, max_term_width = help::COLUMNS_MAX, after_help = examples::PROGRAM, styles = crate::palette::HELP)]
pub(crate) struct Args {
    /// The site's database; everything about a site is in this one file. A central server's may be on a PostgreSQL server:
    /// postgres://USER@HOST/DATABASE, with its password in PGPASSWORD or PGPASSFILE
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env = "OMS_SYNC_DB",
        hide_env_values = true,
        default_value = "oms-sync.sqlite",
        value_name = "FILE",
        value_parser = Database::parser()
    )]
    pub db: Database,

    /// The folder with the bytes of files [default: the database's path with .files behind it]
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "OMS_SYNC_FILES", value_name = "DIR", value_parser = path())]
    pub files: Option<PathBuf>,

    /// A file with the key of an encrypted database, which nobody but its owner may read: 64 hexadecimal digits, or a passphrase in one
    /// line. OMS_SYNC_DB_KEY holds the key itself. For a program that was built with the feature sqlcipher
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        env = "OMS_SYNC_DB_KEY_FILE",
        hide_env_values = true,
        value_name = "FILE",
        value_parser = path()
    )]
    pub db_key_file: Option<PathBuf>,

    /// A file with settings [default: oms-sync.toml in the current folder, if it is there]; flags and the environment count
    /// before it
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "OMS_SYNC_CONFIG", value_name = "FILE", value_parser = path())]
    pub config: Option<PathBuf>,

    /// Print one JSON document (or JSON lines, where records are listed) on standard output
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,

    /// Print no hints and no progress
    #[arg(short, long, global = true, help_heading = EVERYWHERE, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print the causes of an error
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub verbose: bool,

    /// When to use colour; NO_COLOR is respected too
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,

    /// A JSON file with translated texts; see oms-sync errors --help
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "OMS_SYNC_TEXTS", value_name = "FILE", value_parser = path())]
    pub texts: Option<PathBuf>,

    /// Write records although an app keeps tables of its own in this database; the app has to replay its hook afterwards
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "OMS_SYNC_WITHOUT_HOOK", hide_env_values = true, value_parser = yes_or_no())]
    pub without_hook: bool,

    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// Parses the arguments; `-h` shows less than `--help`. `--color` counts for the help and for messages about wrong usage too.
    pub(crate) fn typed() -> Result<Self, clap::Error> {
        let typed: Vec<_> = std::env::args_os().collect();
        let wants = |value: &str| {
            typed.windows(2).any(|two| two[0] == "--color" && two[1] == value)
                || typed.iter().any(|one| *one == *format!("--color={value}"))
        };
        let color = match () {
            () if wants("never") => clap::ColorChoice::Never,
            () if wants("always") => clap::ColorChoice::Always,
            // The parser takes the variable CI for colours, whatever the terminal.
            () if is_dumb() => clap::ColorChoice::Never,
            () => clap::ColorChoice::Auto,
        };
        let is_short = typed.iter().take_while(|one| *one != "--").any(|one| one == "-h");
        let mut command = help::arranged(Self::command(), is_short).color(color);
        let before_files = || typed.iter().take_while(|one| *one != "--");
        let asks_for_help = before_files()
            .any(|one| ["-h", "--help", "-V", "--version"].iter().any(|help| one == help))
            || typed.get(1).is_some_and(|one| ["help", "completions", "man"].iter().any(|help| one == help));
        // Help is there also where the file is what needs it.
        let config = if asks_for_help { None } else { config::Config::chosen(&typed, &mut command)? };
        let parsed = match config {
            None => {
                let parsed = command.try_get_matches_from_mut(&typed);
                parsed.map_err(|error| config::named_by_variable(error, &mut command, &typed))?
            }
            Some(config) => {
                command = config.applied(command, &typed)?;
                let parsed = command.try_get_matches_from_mut(&typed);
                parsed.map_err(|error| config.named_in(error, &mut command, &typed))?
            }
        };
        Self::from_arg_matches(&parsed)
    }
}

/// The commands that do not use the database of `--db`.
pub(crate) const WITHOUT_DATABASE: [&str; 9] =
    ["check", "migrate", "inspect", "decode", "errors", "compat", "demo", "completions", "man"];

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set this database up as a site: ask the legacy server who it is
    Init(Init),
    /// Ask the legacy server again who this site is and where central is, and probe central
    Discover(Discover),
    /// Run one cycle: push, pull and integrate; resumes where the last one was cut off
    Sync(Sync),
    /// Run cycles at an interval until it is stopped; one line a cycle
    Run(Run),
    /// Show the state of this database
    Status(Status),
    /// Find out what is wrong, who must act, and what to do
    Doctor(Doctor),
    /// Measure the connection to both servers, and estimate the time for a first sync
    Net(Net),
    /// Show which site this database is, and what does not match
    Identity(Identity),
    /// Show the history of a record: written, waiting, sent, taken, received, in quarantine, and why
    Explain(Explain),
    /// Show what the next push or pull would do, without doing it
    #[command(subcommand)]
    Preview(Preview),
    /// Compare all that central has for this site with what is here
    #[command(after_help = examples::AUDIT)]
    Audit,
    /// Write a small archive for support, without secrets and without patients' data
    Bundle(Bundle),
    /// Fetch what central has of one patient, now
    #[command(subcommand)]
    Patient(Patient),
    /// Show the cursors, and read again from further back
    #[command(subcommand)]
    Cursor(CursorCommand),
    /// Send again what the other end has lost
    Resend(Resend),
    /// Show the cycles and repairs of this database
    #[command(subcommand)]
    Log(Log),
    /// Show records edited here while another version of them came
    #[command(subcommand)]
    Conflicts(Conflicts),
    /// Read and write records as this site
    #[command(subcommand)]
    Records(Records),
    /// Photos and documents of records: attach, send and fetch, list, verify
    #[command(subcommand)]
    Files(Files),
    /// Show what changed here, in order
    Changelog(Changelog),
    /// Run the Open mSupply central server, over HTTP
    Serve(Serve),
    /// Pause a central server for maintenance: sites come again later
    #[command(after_help = examples::PAUSE)]
    Pause,
    /// End the pause of a central server
    #[command(after_help = examples::RESUME)]
    Resume,
    /// Manage the local list of sites of a central server
    #[command(subcommand)]
    Site(Site),
    /// Manage the local list of stores of a central server
    #[command(subcommand)]
    Store(Store),
    /// Show the records that could not be integrated or were refused, and try them again
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Copy the database and its files, also while they are in use
    Backup(Backup),
    /// Check a backup: whether it is whole and sound
    #[command(after_help = examples::CHECK)]
    Check {
        /// The folder of one backup, or a copied database file
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
    },
    /// Show what a restore would do; with --yes put a backup in the place of the database
    Restore(Restore),
    /// Encrypt this database for the first time, or with another key
    Rekey(Rekey),
    /// Move a central server's database from a file to PostgreSQL, or back
    Migrate(Box<Migrate>),
    /// Read the database of a real Open mSupply server, and report on its synchronisation
    Inspect(Inspect),
    /// Explain a message of V5 or V6, and what is wrong with it
    Decode(Decode),
    /// Explain error codes: the usual cause, and what to do
    #[command(after_help = examples::ERRORS)]
    Errors {
        /// A code of this program or of Open mSupply [default: all]
        code: Option<String>,
        /// Print all texts as a file for --texts; those without a translation are in English
        #[arg(long, conflicts_with = "code")]
        template: bool,
    },
    /// Check whether releases work together, and what to upgrade first
    Compat(Compat),
    /// See it work: a central server and two sites on this machine, in a temporary folder
    Demo(Demo),
    /// Print completions for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a manual page, or write those of all commands
    #[command(after_help = examples::MAN)]
    Man(Man),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::INIT)]
pub(crate) struct Init {
    /// The legacy server's address, as https://msupply.example.org:2048; a database that is set up keeps its own without it
    #[arg(long, value_name = "URL", value_parser = one_line)]
    pub legacy_url: Option<String>,
    /// The site's name on the legacy server; capital letters matter; a database that is set up keeps its own without it
    #[arg(long, value_name = "NAME", value_parser = one_line)]
    pub site: Option<String>,
    #[command(flatten)]
    pub password: Password,
    /// An id for this machine in place of its own
    #[arg(long, value_name = "ID", env = "OMS_SYNC_HARDWARE_ID", hide_env_values = true, value_parser = one_line)]
    pub hardware_id: Option<String>,
    /// Send credentials and records to other machines over https alone; central's address too. A new site does so without this
    /// flag
    #[arg(long)]
    pub https_only: bool,
    /// Allow http:// too: everybody on the way can then read the hash of the password, and the records. Kept by a later init
    #[arg(long, conflicts_with = "https_only")]
    pub allow_http: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::DISCOVER)]
pub(crate) struct Discover {
    /// Confirm the address of central that the legacy server gives, where it is under another host than before. With URL only if
    /// it is this one; a script has to name it
    #[arg(long, value_name = "URL", num_args = 0..=1, value_parser = one_line)]
    pub accept: Option<Option<String>>,
}

/// Where a password comes from: never from the command line, where everybody on the machine could read it.
#[derive(Debug, ClapArgs)]
pub(crate) struct Password {
    /// Read the password from a file of one line
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::SYNC)]
pub(crate) struct Sync {
    /// Push only
    #[arg(long, conflicts_with = "pull_only")]
    pub push_only: bool,
    /// Pull and integrate only
    #[arg(long)]
    pub pull_only: bool,
    /// Begin no further batch after this time, such as 90s, 10m or 1h; `none` undoes a setting
    #[arg(long, value_name = "TIME", value_parser = time_limit)]
    pub max_time: Option<Limit<Duration>>,
    /// Begin no further batch after this many bytes in both directions; those received count unpacked.
    /// `none` undoes a setting
    #[arg(long, value_name = "N", value_parser = bytes_limit)]
    pub max_bytes: Option<Limit<u64>>,
    /// Also send and fetch files, after the records
    #[arg(long)]
    pub with_files: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::RUN)]
pub(crate) struct Run {
    /// The wait after a cycle that succeeded, such as 90s, 10m or 1h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub interval: Duration,
    /// Begin no further batch of a cycle after this time; `none` undoes a setting
    #[arg(long, value_name = "TIME", value_parser = time_limit)]
    pub max_time: Option<Limit<Duration>>,
    /// Begin no further batch of a cycle after this many bytes in both directions; those received
    /// count unpacked. `none` undoes a setting
    #[arg(long, value_name = "N", value_parser = bytes_limit)]
    pub max_bytes: Option<Limit<u64>>,
    /// Send and fetch files after each cycle, as it does anyway
    #[arg(long, conflicts_with = "no_files")]
    pub with_files: bool,
    /// Leave files alone
    #[arg(long)]
    pub no_files: bool,
    /// Write figures for Prometheus into this file after each cycle; its age is a heartbeat
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub metrics_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::SERVE)]
pub(crate) struct Serve {
    /// Where to listen, as 0.0.0.0:8000; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub listen: SocketAddr,
    /// Who checks sites: the local list of this database, or the legacy server it was set up with [default: the legacy server
    /// if the database was set up with one, else the local list]
    #[arg(long)]
    pub auth: Option<Authentication>,
    /// With the local list: the address that sites are given for this server, if it differs from the one they ask
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Use TLS with this chain of certificates in PEM, this server's first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the first certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// This server is behind your own proxy: trust its X-Forwarded-For and X-Forwarded-Proto
    #[arg(long)]
    pub behind_proxy: bool,
    /// An address for the status page and /metrics, open to everybody who can reach it; by default they are at the
    /// listening address, for this machine only
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub admin_listen: Option<SocketAddr>,
    /// A host name allowed at that address, beside IP addresses and localhost; may be given more than once
    #[arg(long, value_name = "NAME", requires = "admin_listen")]
    pub admin_host: Vec<String>,
    /// Add a line for each request to this file; - is standard error
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<PathBuf>,
    /// Make the database if there is none
    #[arg(long)]
    pub create: bool,
    /// Also back up the database and its files into this folder, as `oms-sync backup` does
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub backup_to: Option<PathBuf>,
    /// The time between two of these backups
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "24h", requires = "backup_to")]
    pub backup_every: Duration,
    /// Keep this many of them, and remove older ones [default: all]
    #[arg(long, value_name = "N", value_parser = self::values::from_one::<u32>, requires = "backup_to")]
    pub backup_keep: Option<u32>,
    /// The most connections at once; more wait [default: 4096, or what open files allow]
    #[arg(long, value_name = "N", value_parser = self::values::from_one::<u32>)]
    pub max_connections: Option<u32>,
    /// Only check whether the server could start with these settings, and end
    #[arg(long)]
    pub check: bool,
    /// Begin paused for maintenance, until `oms-sync resume`
    #[arg(long)]
    pub paused: bool,
    /// Close a connection that is silent for this time
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub patience: Duration,
}

/// Who checks sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Authentication {
    /// The local list of sites; no legacy server is needed
    Local,
    /// The legacy server, asked with each site's own credentials; run `oms-sync init` first
    Legacy,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::INSPECT)]
pub(crate) struct Inspect {
    /// The SQLite file of an Open mSupply site or central server; nothing in it is changed
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How many of the last cycles to show
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = self::values::number::<usize>)]
    pub cycles: usize,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::DECODE)]
pub(crate) struct Decode {
    /// A file with the body of a request or an answer, or - for standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// One line a record, without its fields
    #[arg(long)]
    pub brief: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::COMPAT)]
pub(crate) struct Compat {
    /// The release of the legacy mSupply server, as 8.06.00
    #[arg(long, value_name = "V", value_parser = Release::parse)]
    pub legacy: Option<Release>,
    /// The release of the Open mSupply central server, as 2.19.0
    #[arg(long, value_name = "V", value_parser = Release::parse)]
    pub central: Option<Release>,
    /// The release of the Open mSupply site [default: that of this program]
    #[arg(long, value_name = "V", value_parser = Release::parse)]
    pub site: Option<Release>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::DEMO)]
pub(crate) struct Demo {
    /// Keep the databases in this folder
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The command, such as quarantine retry [default: the page of the program]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands into this folder, which is created if needed
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}
