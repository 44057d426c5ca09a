//! A host that synchronises in the background: a driver on a thread of its own, with progress, a deadline for each cycle, a user who
//! does not want to wait, and an end. A phone that gives an app half a minute in the background does useful work in it.
//!
//! `cargo run -p sync-core --example background -- clinic.sqlite`, for a database that `embed` has set up; then `s` and Enter for a cycle
//! now, `c` to cancel the one that runs, `q` to quit

use std::io::BufRead as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use sync_core::driver::{CycleEnd, Driver, DriverConfig, DriverObserver};
use sync_core::files::Files;
use sync_core::site::FilesOptions;
use sync_core::transport::HttpTransport;
use sync_core::{Error, Replica, SyncEvent, SyncObserver, SyncOptions};

/// What a user wants. An app has more: `handle.set_metered(true)` on a metered line, `handle.suspend()` in the background and
/// `handle.resume()` later.
pub(crate) enum Wish {
    SyncNow,
    Cancel,
    Quit,
}

/// Shows progress and the end of each cycle.
struct Screen<S> {
    show: S,
}

impl<S: FnMut(String)> SyncObserver for Screen<S> {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        match event {
            SyncEvent::StepStarted { step } => (self.show)(format!("{} …", step.label())),
            SyncEvent::Progress { step, done, total, pace } => {
                let left = pace.left.map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
                (self.show)(format!("{}: {done} of {total}{left}", step.label()));
            }
            _ => {}
        }
        ControlFlow::Continue(()) // Break would end the cycle; what is done stays.
    }
}

impl<S: FnMut(String)> DriverObserver for Screen<S> {
    fn on_cycle(&mut self, end: &CycleEnd) {
        (self.show)(match end.error() {
            Some(Error::Cancelled) => "stopped by the user; the next cycle goes on".to_owned(),
            Some(error) => format!("{}. {}", error, error.advice()),
            None => "done".to_owned(),
        });
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = std::env::args().nth(1).ok_or("usage: background DATABASE")?;
    let (wish, wishes) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let wished = match line.trim() {
                "c" => Wish::Cancel,
                "q" => Wish::Quit,
                _ => Wish::SyncNow,
            };
            if wish.send(wished).is_err() {
                return;
            }
        }
    });
    run(&database, wishes, |line| println!("{line}"))
}

/// Synchronises until the user quits.
pub(crate) fn run(
    database: &str,
    wishes: mpsc::Receiver<Wish>,
    show: impl FnMut(String) + Send + 'static,
) -> Result<(), Box<dyn std::error::Error>> {
    let replica = Replica::open(database)?;
    let site = replica.site(Arc::new(HttpTransport::default()));
    let photos = replica.files(Files::folder_of(Path::new(database)));
    let config = DriverConfig::default().options(SyncOptions::default().max_time(Duration::from_secs(25)));
    let mut driver = Driver::new(site, config).with_files(photos, FilesOptions::default());
    let handle = driver.handle();
    let thread = std::thread::spawn(move || driver.run(&mut Screen { show }));
    for wish in wishes {
        match wish {
            Wish::SyncNow => {
                handle.trigger();
            }
            Wish::Cancel => {
                handle.cancel(); // A request that is on its way ends within two seconds.
            }
            Wish::Quit => break,
        }
    }
    handle.join();
    thread.join().map_err(|_| "the driver panicked")?;
    Ok(())
}
