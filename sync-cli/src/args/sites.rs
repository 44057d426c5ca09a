//! The arguments of `site` and `store`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::values::{age_limit, one_line};
use super::{Limit, Password, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum Site {
    /// Add a site, bring one back that was removed, or give one a new password
    #[command(after_help = examples::SITE_ADD)]
    Add {
        /// The site's name
        #[arg(value_parser = one_line)]
        name: String,
        /// With --uuid: the number that the site's database has, for a site that a restore lost here
        #[arg(long, value_name = "N", requires = "uuid", value_parser = super::values::number::<i32>)]
        number: Option<i32>,
        /// With --number: the UUID that the site's database has
        #[arg(long, requires = "number", value_parser = one_line)]
        uuid: Option<String>,
        #[command(flatten)]
        password: Password,
    },
    /// Show the sites: when each came, how far it has read, and what of it is in quarantine
    #[command(after_help = examples::SITE_LIST)]
    List {
        /// Only sites that did not come for this time, such as 90m, 12h or 2d, or never; exit status 1 if there is one. `never`
        /// undoes a setting
        #[arg(long, value_name = "TIME", value_parser = age_limit)]
        max_age: Option<Limit<Duration>>,
    },
    /// Add many sites and their stores from a table, and make their passwords
    Import(SiteImport),
    /// Give a site a new password
    #[command(after_help = examples::SITE_SET_PASSWORD)]
    SetPassword {
        /// The site's name
        #[arg(value_parser = one_line)]
        name: String,
        #[command(flatten)]
        password: Password,
    },
    /// Remove a site; its records stay, and adding it again brings it back
    #[command(after_help = examples::SITE_REMOVE)]
    Remove {
        /// The site's name
        name: String,
        /// First move its stores to this site
        #[arg(long, value_name = "SITE")]
        move_stores_to: Option<String>,
    },
    /// Let a site move to another machine
    #[command(after_help = examples::SITE_RESET_HARDWARE)]
    ResetHardware {
        /// The site's name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Add a store with its name record, or move one (--id) to another site
    #[command(after_help = examples::STORE_ADD)]
    Add {
        /// The store's name
        name: String,
        /// The store's code
        #[arg(long)]
        code: String,
        /// The site on which it is active
        #[arg(long)]
        site: String,
        /// The store's id [default: a new one]
        #[arg(long)]
        id: Option<String>,
    },
    /// Remove a store to which no record belongs, such as one that was made by mistake
    #[command(after_help = examples::STORE_REMOVE)]
    Remove {
        /// The store's id
        #[arg(value_parser = one_line)]
        id: String,
    },
    /// List the stores
    #[command(after_help = examples::STORE_LIST)]
    List,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = examples::SITE_IMPORT)]
pub(crate) struct SiteImport {
    /// A table in CSV with the columns site, store_code and store_name; others are not read
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A new file for the passwords, a table with the columns site, password and made_at, for its owner only
    #[arg(long, value_name = "FILE")]
    pub passwords: PathBuf,
}
