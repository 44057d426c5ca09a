//! Files that are cut, wrong, gone or refused: only complete files get a name, no file delays another, and each
//! continues once the cause is gone.

mod central;
mod down;
mod names;
mod up;

use std::time::Duration;

use sync_core::files::{Files, FilesConfig};
use sync_core::record::RecordId;
use sync_core::site::{FilesOptions, FilesReport};
use sync_core::storage::{FileEntry, FileState, Storage as _};
use sync_core::{NoopObserver, Records, Replica, SyncObserver};
use sync_tests::world::{SeenReport, asset, data};

use super::Bench;

const UPLOAD: &str = "/central/sync/upload_file";
const DOWNLOAD: &str = "/central/sync/download_file";

/// Bytes in which each place differs from its neighbours.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 17) as u8).collect()
}

/// A bench with the files of both ends, and an asset to attach them to.
struct FileBench {
    bench: Bench,
    files: Files,
    of_central: Files,
}

impl FileBench {
    fn new() -> Self {
        Self::over(Bench::new())
    }

    fn over(bench: Bench) -> Self {
        bench.records.put("asset", [asset("x", "STORE_a", "")]).expect("an asset");
        bench.sync_well();
        let folder = Files::folder_of(&bench.path());
        let files = Replica::with_storage(bench.storage.clone()).files(folder);
        let of_central = bench.central.files();
        Self { files: files.with_config(at_once()), bench, of_central }
    }

    /// Attaches bytes at the site.
    fn attach(&self, bytes: &[u8]) -> RecordId {
        attach(&self.files, bytes)
    }

    /// Attaches bytes at central and lets the site know of them.
    fn attach_at_central(&self, bytes: &[u8]) -> RecordId {
        let id = attach(&self.of_central, bytes);
        self.bench.sync_well();
        id
    }

    /// Works on the queue once.
    fn turn(&self) -> SeenReport<FilesReport> {
        self.turn_watched(&mut NoopObserver)
    }

    fn turn_watched(&self, observer: &mut dyn SyncObserver) -> SeenReport<FilesReport> {
        self.bench.site.sync_files(&self.files, &FilesOptions::default(), observer).expect("it begins").into()
    }

    /// Works on the queue once, and all must go well.
    #[track_caller]
    fn turn_well(&self) -> SeenReport<FilesReport> {
        let report = self.turn();
        assert!(report.error.is_none() && report.failed == 0, "{report:?} {:?}", self.files.list(None, 99));
        report
    }

    /// What the site knows of a file.
    fn entry(&self, id: &RecordId) -> FileEntry {
        self.bench.storage.read().and_then(|txn| txn.file(id)).expect("a database").expect("a file")
    }

    /// The bytes of a file at the site.
    fn here(&self, id: &RecordId) -> Option<Vec<u8>> {
        self.files.path(id).expect("a folder").map(|path| std::fs::read(path).expect("a file"))
    }

    /// The bytes of a file at central.
    fn at_central(&self, id: &RecordId) -> Option<Vec<u8>> {
        self.of_central.path(id).expect("a folder").map(|path| std::fs::read(path).expect("a file"))
    }

    /// Asserts that a file failed for a reason with these words, and is tried again.
    #[track_caller]
    fn assert_failed(&self, id: &RecordId, words: &str) {
        let entry = self.entry(id);
        assert_eq!(entry.state, FileState::Failed, "{entry:?}");
        assert!(entry.reason.as_ref().is_some_and(|reason| reason.contains(words)), "{entry:?}");
        assert!(entry.next_at.is_some() && entry.attempts > 0, "{entry:?}");
    }
}

/// Only refused files have a wait.
fn at_once() -> FilesConfig {
    let mut config = FilesConfig::default();
    config.retry_wait = Duration::ZERO;
    config
}

fn attach(files: &Files, bytes: &[u8]) -> RecordId {
    let attach = sync_core::files::Attach::new("asset", "x", "photo.jpg");
    files.attach_bytes(&attach, &mut &*bytes).expect("attached")
}

/// Writes a reference to a file of `x` as somebody else made it.
fn reference(records: &Records, id: &str, name: &str, extra: &str) {
    let (id, name) = (serde_json::json!(id), serde_json::json!(name));
    let text = format!(
        r#"{{"id":{id},"table_name":"asset","record_id":"x","file_name":{name},"created_datetime":"2026-11-23T08:00:00"{extra}}}"#
    );
    records.put("sync_file_reference", [data(&text)]).expect("a reference");
}
