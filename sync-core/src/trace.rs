//! Spans and events for `tracing`, with the feature of that name; without it, these calls do nothing. They name steps,
//! servers, codes, counts and times; never a record, a password or an address.

use std::time::Duration;

/// What a cycle did.
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "read by tracing alone"))]
pub(crate) struct CycleFigures {
    pub outcome: &'static str,
    pub error: Option<&'static str>,
    pub pushed: u64,
    pub pulled: u64,
    pub requests: u64,
}

/// What came of a request.
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "read by tracing alone"))]
pub(crate) struct RequestFigures {
    pub server: &'static str,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub status: Option<u16>,
    pub took: Duration,
}

/// A span that ends when it is dropped.
pub(crate) struct Span(
    #[cfg(feature = "tracing")]
    #[allow(dead_code, reason = "held for its drop")]
    tracing::span::EnteredSpan,
);

#[cfg(feature = "tracing")]
mod emit {
    use crate::trace::{CycleFigures, Duration, RequestFigures, Span};

    pub(crate) fn cycle() -> Span {
        Span(tracing::info_span!(target: "oms_sync", "cycle").entered())
    }

    pub(crate) fn step(name: &'static str) -> Span {
        Span(tracing::info_span!(target: "oms_sync", "step", name).entered())
    }

    pub(crate) fn cycle_ended(end: &CycleFigures) {
        let CycleFigures { outcome, error, pushed, pulled, requests } = end;
        tracing::info!(target: "oms_sync", outcome, error, pushed, pulled, requests, "cycle ended");
    }

    pub(crate) fn step_ended(error: Option<&'static str>, done: u64, total: u64) {
        tracing::info!(target: "oms_sync", error, done, total, "step ended");
    }

    pub(crate) fn batch(done: u64, total: u64) {
        tracing::debug!(target: "oms_sync", done, total, "batch");
    }

    pub(crate) fn request(end: &RequestFigures) {
        let RequestFigures { server, bytes_sent, bytes_received, status, took } = end;
        let millis = took.as_millis();
        tracing::debug!(target: "oms_sync", server, bytes_sent, bytes_received, status, millis, "request");
    }

    pub(crate) fn retry(error: &'static str, wait: Duration) {
        let millis = wait.as_millis();
        tracing::warn!(target: "oms_sync", error, millis, "retrying");
    }
}

#[cfg(not(feature = "tracing"))]
mod emit {
    use crate::trace::{CycleFigures, Duration, RequestFigures, Span};

    pub(crate) fn cycle() -> Span {
        Span()
    }

    pub(crate) fn step(_: &'static str) -> Span {
        Span()
    }

    pub(crate) fn cycle_ended(_: &CycleFigures) {}

    pub(crate) fn step_ended(_: Option<&'static str>, _: u64, _: u64) {}

    pub(crate) fn batch(_: u64, _: u64) {}

    pub(crate) fn request(_: &RequestFigures) {}

    pub(crate) fn retry(_: &'static str, _: Duration) {}
}

pub(crate) use emit::{batch, cycle, cycle_ended, request, retry, step, step_ended};

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use crate::central::InProcess;
    use crate::files::{Attach, FileStore};
    use crate::protocol::PasswordHash;
    use crate::record::RecordData;
    use crate::site::FilesOptions;
    use crate::storage::MemoryStorage;
    use crate::{NoopObserver, Replica, Settings, SyncOptions};

    /// Keeps what is emitted, as text.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<String>>);

    impl Visit for Kept {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.lock().unwrap().push_str(&format!("{field}={value:?} "));
        }
    }

    impl Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "oms_sync"
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            self.0.lock().unwrap().push_str(&format!("span {} ", span.metadata().name()));
            span.record(&mut self.clone());
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_cycle_emits_its_steps_requests_and_batches_and_neither_content_nor_a_secret() {
        let central = Replica::with_storage(Arc::new(MemoryStorage::new()));
        let (list, password) = (central.site_registry().unwrap(), PasswordHash::of_password("hidden"));
        list.add("clinic", &password).unwrap();
        let store = list.add_store("Ward of the hill", "HILL", "clinic", None).unwrap();
        let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
        let folder = tempfile::tempdir().unwrap();
        let kept_at_central = FileStore::new(folder.path().join("central"));
        let server = central.stand_alone_central().with_files(kept_at_central);
        let site = replica.site(Arc::new(InProcess::new(Arc::new(server))));
        let files = replica.files(folder.path().join("site"));
        let settings = Settings::new("https://central.example.org", "clinic", password);
        site.set_up(&settings.hardware_id("this machine".to_owned()), &mut NoopObserver).unwrap();
        let kept = Kept::default();
        tracing::subscriber::with_default(kept.clone(), || {
            site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap().into_result().unwrap();
            let at = "2026-11-23T08:00:00";
            let fridge = format!(
                r#"{{"id":"fridge1","store_id":"{store}","notes":"leaks","created_datetime":"{at}","modified_datetime":"{at}"}}"#
            );
            replica.records().put("asset", [RecordData::parse(fridge).unwrap()]).unwrap();
            let class = r#"{"id":"class1","name":"vans"}"#.to_owned();
            central.records().put("asset_class", [RecordData::parse(class).unwrap()]).unwrap();
            let mut photo = &b"of a child"[..];
            files.attach_bytes(&Attach::new("asset", "fridge1", "door.jpg"), &mut photo).unwrap();
            site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap().into_result().unwrap();
            kept.0.lock().unwrap().push_str("then files: ");
            site.sync_files(&files, &FilesOptions::default(), &mut NoopObserver).unwrap().into_result().unwrap();
        });
        assert!(central.records().get("asset", "fridge1").unwrap().is_some(), "the record has moved");
        assert!(replica.records().get("asset_class", "class1").unwrap().is_some(), "the record has moved");
        let text = kept.0.lock().unwrap().clone();
        let of_files = text.split("then files: ").nth(1).unwrap();
        for expected in ["span step name=\"Files\"", "status=200", "message=request", "done=1 total=1"] {
            assert!(of_files.contains(expected), "{expected}: {of_files}");
        }
        for expected in [
            "span cycle",
            "span step name=\"Prepare\"",
            "server=\"central\"",
            "outcome=\"done\"",
            "status=200",
            "message=batch done=1 total=1",
            "pushed=2",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let secrets =
            ["example.org", "this machine", "hidden", PasswordHash::of_password("hidden").expose()].map(str::to_owned);
        let content =
            ["leaks", "vans", "fridge1", "class1", "Ward of the hill", "HILL", "door", "of a child", store.as_str()]
                .map(str::to_owned);
        for unwanted in secrets.iter().chain(&content) {
            assert!(!text.contains(unwanted.as_str()), "{unwanted}: {text}");
        }
    }
}
