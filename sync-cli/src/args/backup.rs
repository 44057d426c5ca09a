//! The arguments of `backup`, `restore`, `rekey` and `migrate`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Database, examples};

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::BACKUP)]
pub(crate) struct Backup {
    /// The folder of the backups, which is created if needed; each backup is a folder in it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Keep this many backups of this database, and remove older ones of it [default: all]
    #[arg(long, value_name = "N", value_parser = super::values::from_one::<u32>)]
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
    /// At a central server without a legacy server: keep the sites, passwords and stores as they are in the database that is replaced
    #[arg(long)]
    pub keep_sites: bool,
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

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::MIGRATE)]
pub(crate) struct Migrate {
    /// The central server's database: a file, or postgres://USER@HOST/DATABASE
    #[arg(value_name = "FROM", value_parser = Database::parser())]
    pub from: Database,
    /// The place where it goes on: an empty database on a PostgreSQL server, or the path of a new file
    #[arg(value_name = "TO", value_parser = Database::parser(), required_unless_present = "undo")]
    pub to: Option<Database>,
    /// Take FROM into use again, if nobody has used TO since. Without TO the copy is given up: FROM counts as restored from a backup
    #[arg(long)]
    pub undo: bool,
}
