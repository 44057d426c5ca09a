//! A host that synchronises in the background: a driver on a thread of its own, with progress, a deadline for each cycle,
//! and an end. A phone that gives an app half a minute in the background does useful work in it.
//!
//! `cargo run -p sync-core --example background -- clinic.sqlite`, for a database that `embed` has set up

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use sync_core::driver::{CycleEnd, Driver, DriverConfig, DriverObserver};
use sync_core::files::Files;
use sync_core::site::FilesOptions;
use sync_core::transport::HttpTransport;
use sync_core::{Error, Replica, SyncEvent, SyncObserver, SyncOptions};

/// Shows progress, and passes the end of each cycle on.
struct Screen {
    ends: mpsc::Sender<String>,
}

impl SyncObserver for Screen {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        if let SyncEvent::Progress { step, done, total, pace } = event {
            let left = pace.left.map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
            println!("{}: {done} of {total}{left}", step.label());
        }
        ControlFlow::Continue(()) // Break would end the cycle; what is done stays.
    }
}

impl DriverObserver for Screen {
    fn on_cycle(&mut self, end: &CycleEnd) {
        let outcome = match end.error() {
            Some(Error::Cancelled) => "stopped by the user; the next cycle goes on".to_owned(),
            Some(error) => format!("{}. {}", error, error.advice()),
            None => "done".to_owned(),
        };
        let _ = self.ends.send(outcome); // The host may be gone.
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run(&std::env::args().nth(1).ok_or("usage: background DATABASE")?)?);
    Ok(())
}

/// Runs until the first cycle has ended, and returns how it ended.
pub(crate) fn run(database: &str) -> Result<String, Box<dyn std::error::Error>> {
    let replica = Replica::open(database)?;
    let site = replica.site(Arc::new(HttpTransport::default()));
    let photos = replica.files(Files::folder_of(Path::new(database)));
    let config = DriverConfig::default().options(SyncOptions::default().max_time(Duration::from_secs(25)));
    let mut driver = Driver::new(site, config).with_files(photos, FilesOptions::default());
    let handle = driver.handle();
    let (ends, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || driver.run(&mut Screen { ends }));
    // A user who wants to sync now: handle.trigger(); who does not want to wait: handle.cancel(); a metered line: handle.set_metered(true); an app in the background:
    // handle.suspend(), and later handle.resume(); a closed app: handle.join().
    let outcome = ended.recv()?;
    handle.join();
    thread.join().map_err(|_| "the driver panicked")?;
    Ok(outcome)
}
