//! The arguments of `backup`, `restore` and `rekey`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::examples;

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::BACKUP)]
pub(crate) struct Backup {
    /// The folder of the backups, which is created if needed; each backup is a folder in it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Keep this many backups of this database, and remove older ones of it [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::RESTORE)]
pub(crate) struct Restore {
    /// The folder of one backup, or a copied database file
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// Do it; without it nothing changes
    #[arg(long)]
    pub yes: bool,
    /// Also if the database is of another site or of another role than the backup, and goes out of use
    #[arg(long)]
    pub replace_another: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::REKEY)]
pub(crate) struct Rekey {
    /// A file with the new key, as that of --db-key-file
    #[arg(long, value_name = "FILE")]
    pub new_key_file: PathBuf,
}
