//! The arguments of `records`, `files` and `changelog`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::examples;
use super::values::KnownTables;

#[derive(Debug, Subcommand)]
pub(crate) enum Records {
    /// Print the table of record types
    #[command(after_help = examples::RECORDS_TYPES)]
    Types,
    /// List the records of a table
    #[command(after_help = examples::RECORDS_LIST)]
    List {
        /// The table, as the sync protocol spells it
        #[arg(value_parser = KnownTables, hide_possible_values = true)]
        table: String,
    },
    /// Print one record
    #[command(after_help = examples::RECORDS_GET)]
    Get {
        /// The table, as the sync protocol spells it
        #[arg(value_parser = KnownTables, hide_possible_values = true)]
        table: String,
        /// The record's id
        id: String,
    },
    /// Write records: one JSON object, or JSON lines; all of them or none
    #[command(after_help = examples::RECORDS_PUT)]
    Put {
        /// The table, as the sync protocol spells it
        #[arg(value_parser = KnownTables, hide_possible_values = true)]
        table: String,
        /// A file, or - for standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Check everything, write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete one record, or mark it as deleted, as its type requires
    #[command(after_help = examples::RECORDS_DELETE)]
    Delete {
        /// The table, as the sync protocol spells it
        #[arg(value_parser = KnownTables, hide_possible_values = true)]
        table: String,
        /// The record's id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Files {
    /// List the files with their states, reasons and next tries
    #[command(after_help = examples::FILES_LIST)]
    List,
    /// Attach a file to a record
    #[command(after_help = examples::FILES_ATTACH)]
    Attach {
        /// The record's table, as the sync protocol spells it
        #[arg(value_parser = KnownTables, hide_possible_values = true)]
        table: String,
        /// The record's id
        id: String,
        /// The file, which is copied
        file: PathBuf,
    },
    /// Send and fetch the files that are due
    #[command(after_help = examples::FILES_SYNC)]
    Sync,
    /// Try a file next, even if its record is not here
    #[command(after_help = examples::FILES_FETCH)]
    Fetch {
        /// The file's id
        id: String,
    },
    /// Send files again that the central server has lost
    #[command(after_help = examples::FILES_RESEND)]
    Resend {
        /// The file's id, or all: ask for each file that is here, and send those that central lacks
        #[arg(value_name = "ID|all")]
        id: String,
    },
    /// Read all files and report what is missing, changed or surplus
    #[command(after_help = examples::FILES_VERIFY)]
    Verify,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::CHANGELOG)]
pub(crate) struct Changelog {
    /// The first position to show
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = super::values::number::<u64>)]
    pub from: u64,
    /// The most rows to show
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = super::values::number::<usize>)]
    pub limit: usize,
}
