//! The smallest host: sets a site up, writes a record for each of its stores, and synchronises.
//!
//! `cargo run -p sync-core --example embed -- clinic.sqlite http://127.0.0.1:8000 clinic PASSWORD`

use std::sync::Arc;

use sync_core::protocol::PasswordHash;
use sync_core::record::{Asset, DateTime};
use sync_core::transport::HttpTransport;
use sync_core::{Error, NoopObserver, Replica, Settings, SyncOptions};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        eprintln!("{error}");
        if let Some(error) = error.downcast_ref::<Error>() {
            eprintln!("{}", error.advice()); // What a person can do about it.
        }
        std::process::exit(1);
    }
}

pub(crate) fn run(arguments: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let &[database, legacy_url, site_name, password] = arguments else {
        return Err("usage: embed DATABASE ADDRESS SITE PASSWORD".into());
    };
    let replica = Replica::open(database)?;
    let site = replica.site(Arc::new(HttpTransport::default()));
    if replica.settings()?.is_none() {
        let settings = Settings::new(legacy_url, site_name, PasswordHash::of_password(password));
        site.set_up(&settings, &mut NoopObserver)?;
    }
    // The first cycle brings the stores of this site.
    site.sync(&SyncOptions::default(), &mut NoopObserver)?.into_result()?;

    let records = replica.records();
    let now = DateTime::from(replica.clock().now());
    let stores = records.active_stores()?;
    if stores.is_empty() {
        return Err("the servers gave this site no store: add one there, and synchronise again".into());
    }
    for store in stores {
        let fridge = Asset {
            id: format!("fridge of {store}").into(),
            store_id: Some(store),
            notes: Some("vaccine fridge".to_owned()),
            created_datetime: now,
            modified_datetime: now,
            ..Asset::default()
        };
        records.of().put(&fridge)?;
    }

    let report = site.sync(&SyncOptions::default(), &mut NoopObserver)?.into_result()?;
    println!("{:?}: {} up, {} down", report.outcome, report.pushed, report.pulled);
    Ok(())
}
