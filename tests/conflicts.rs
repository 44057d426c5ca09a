//! Conflicts that a host decides by a resolver for a type, in worlds of two sites; without one the local edit stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::Digest as _;
use sync_core::central::InProcess;
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::Action;
use sync_core::record::{Asset, NameOmsFields, RECORD_BYTES_MAX, RecordData};
use sync_core::site::{ConflictOutcome, ConflictVersions, Resolution, SkipReason, Step};
use sync_core::storage::{Incoming, Known, Quarantine, QuarantineCause, Source};
use sync_core::support::RetrySelection;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Error, NoopObserver, Replica, SyncConfig, SyncOptions, SyncReport};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, get};

/// Two sites that both may write the properties of a facility, the second one with this resolver, after a conflict in which
/// both changed them.
fn conflict(
    kind: Kind,
    resolver: impl Fn(&ConflictVersions<'_>) -> Resolution + Send + Sync + 'static,
    check: impl Fn(&CentralEnd, &SiteEnd, &SiteEnd, SyncReport),
) {
    let central = CentralEnd::over(kind);
    let (north, south) = (central.new_site("north"), central.new_site("south"));
    north.sync();
    south.sync();
    let replica = Replica::builder().resolver("name_oms_fields", resolver).with_storage(south.storage.clone());
    let decided = replica.site(Arc::new(InProcess::new(central.central.clone())));
    north.records.put("name_oms_fields", [properties("north")]).expect("stored");
    north.sync();
    // South pulls before it pushes, so the two versions meet there.
    south.records.put("name_oms_fields", [properties("south")]).expect("stored");
    let report = decided.sync(&SyncOptions::default().pull_only(), &mut NoopObserver).expect("a cycle");
    assert!(report.error.is_none(), "{report:?}");
    check(&central, &north, &south, report);
}

fn properties(by: &str) -> RecordData {
    data(&format!(r#"{{"id":"facility","properties":"{{\"by\":\"{by}\"}}"}}"#))
}

/// Who wrote the properties that an end has.
fn by(text: Option<String>) -> String {
    let text = text.expect("is here");
    ["north and south", "north", "south"].iter().find(|by| text.contains(*by)).expect("somebody").to_string()
}

/// After both sites have synchronised again, every end has this version.
fn all_have(central: &CentralEnd, north: &SiteEnd, south: &SiteEnd, expected: &str) {
    for site in [south, north, south] {
        site.sync();
    }
    for text in [get(&central.records, "name_oms_fields", "facility"), north.get("name_oms_fields", "facility")] {
        assert_eq!(by(text), expected);
    }
    assert_eq!(by(south.get("name_oms_fields", "facility")), expected);
}

fn outcomes(report: &SyncReport) -> Vec<ConflictOutcome> {
    report.conflicts.iter().map(|conflict| conflict.outcome).collect()
}

/// A line to central that loses the answers to requests of this path, after so many.
struct Loses {
    line: Arc<dyn Transport>,
    path: &'static str,
    after: AtomicUsize,
}

impl Loses {
    fn over(central: &CentralEnd, path: &'static str, after: usize) -> Arc<dyn Transport> {
        Arc::new(Self { line: central.transport(), path, after: AtomicUsize::new(after) })
    }
}

impl Transport for Loses {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer = self.line.send(request);
        let one_less = |left: usize| left.checked_sub(1);
        if request.url.ends_with(self.path)
            && self.after.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err()
        {
            return Err(TransportError::TimedOut("planned".into()));
        }
        answer
    }
}

/// Both sites edited the properties of a facility; central has those of north, and those of south are not pushed. `check` gets
/// south as an app with this resolver.
fn edited_at_both(
    resolver: impl Fn(&ConflictVersions<'_>) -> Resolution + Clone + Send + Sync + 'static,
    check: impl Fn(&CentralEnd, &SiteEnd, &SiteEnd, &Replica),
) {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        let (north, south) = (central.new_site("north"), central.new_site("south"));
        north.sync();
        south.sync();
        north.records.put("name_oms_fields", [properties("north")]).expect("stored");
        north.sync();
        south.records.put("name_oms_fields", [properties("south")]).expect("stored");
        let builder = Replica::builder().resolver("name_oms_fields", resolver.clone());
        check(&central, &north, &south, &builder.with_storage(south.storage.clone()));
    }
}

fn whole_cycle(replica: &Replica, line: Arc<dyn Transport>) -> SyncReport {
    let mut config = SyncConfig::default();
    (config.attempts, config.pull_records, config.pull_records_max) = (1, 1, 1);
    replica.site(line).with_config(config).sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle")
}

fn of_both(_: &ConflictVersions<'_>) -> Resolution {
    Resolution::Replace(properties("north and south"))
}

#[test]
fn a_whole_cycle_asks_the_resolver_before_it_pushes() {
    edited_at_both(of_both, |central, north, south, replica| {
        let report = whole_cycle(replica, central.transport());
        assert!(report.error.is_none() && report.skipped.is_empty(), "{report:?}");
        assert_eq!((report.pushed, outcomes(&report)), (1, vec![ConflictOutcome::Replaced]));
        assert_eq!(by(get(&central.records, "name_oms_fields", "facility")), "north and south");
        all_have(central, north, south, "north and south");
    });
}

#[test]
fn without_a_resolver_a_whole_cycle_pushes_first_and_the_edit_wins() {
    edited_at_both(of_both, |central, north, south, _| {
        let replica = Replica::with_storage(south.storage.clone());
        let report = whole_cycle(&replica, central.transport());
        assert_eq!((report.pushed, report.kept_local, report.resolved), (1, 0, 0));
        assert_eq!((report.conflicts, replica.conflicts().expect("reads").len()), (vec![], 0));
        all_have(central, north, south, "south");
    });
}

#[test]
fn edits_wait_for_a_pull_that_gets_further_and_not_for_one_that_fails_at_once() {
    for gets_further in [true, false] {
        edited_at_both(of_both, |central, north, south, replica| {
            for id in ["c", "d"] {
                central.records.put("asset_class", [data(&format!(r#"{{"id":"{id}","name":"n"}}"#))]).expect("stored");
            }
            let report = whole_cycle(replica, Loses::over(central, "/pull", usize::from(gets_further)));
            assert_eq!(report.error.as_ref().map(sync_core::Error::code), Some("timed_out"));
            assert_eq!((report.pulled, report.pushed), if gets_further { (1, 0) } else { (0, 1) });
            let skipped: Vec<_> = report.skipped.iter().map(|step| (step.name, step.reason)).collect();
            assert_eq!(skipped, Vec::from_iter(gets_further.then_some((Step::PushV6, SkipReason::NotPulled))));
            let report = whole_cycle(replica, central.transport());
            assert!(report.error.is_none(), "{report:?}");
            all_have(central, north, south, if gets_further { "north and south" } else { "south" });
        });
    }
}

#[test]
fn only_the_push_whose_answer_was_lost_is_finished_before_the_pull() {
    edited_at_both(of_both, |central, north, south, replica| {
        let mute = Loses::over(central, "/push", 0);
        south.records.put("asset", [asset("a", "STORE_south", "of the site")]).expect("stored");
        let without_resolver = Replica::with_storage(south.storage.clone());
        assert!(whole_cycle(&without_resolver, mute).error.is_some());
        north.records.put("name_oms_fields", [properties("north again")]).expect("stored");
        north.sync();
        south.records.put("name_oms_fields", [properties("south again")]).expect("stored");
        south.records.put("asset", [asset("b", "STORE_south", "of the site")]).expect("stored");
        for options in [SyncOptions::default().pull_only(), SyncOptions::default()] {
            let is_whole = !options.pull_only;
            let report = replica.site(central.transport()).sync(&options, &mut NoopObserver).expect("a cycle");
            assert!(report.error.is_none(), "{report:?}");
            let resolved = if is_whole { vec![] } else { vec![ConflictOutcome::Replaced] };
            assert_eq!(outcomes(&report), resolved);
            assert_eq!(get(&central.records, "asset", "b").is_some(), is_whole);
        }
        all_have(central, north, south, "north and south");
    });
}

#[test]
fn the_received_version_is_taken_and_the_edit_is_not_pushed() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let take = |versions: &ConflictVersions<'_>| {
            assert!(versions.local.is_some_and(|local| local.as_str().contains("south")));
            assert!(versions.received.is_some_and(|received| received.as_str().contains("north")));
            assert_eq!(versions.from, "central");
            Resolution::TakeReceived
        };
        conflict(kind, take, |central, north, south, report| {
            assert_eq!((report.kept_local, report.resolved), (0, 1));
            assert_eq!(outcomes(&report), [ConflictOutcome::TookReceived]);
            let waiting = Replica::with_storage(south.storage.clone()).status().expect("reads").waiting;
            assert_eq!(waiting.records, 0);
            all_have(central, north, south, "north");
        });
    }
}

#[test]
fn a_conflict_names_the_other_version_and_keeps_what_did_not_stay() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        conflict(
            kind,
            |_| Resolution::KeepLocal,
            |central, _, south, report| {
                let theirs = central.records.get("name_oms_fields", "facility").expect("reads").expect("is there");
                let named = &report.conflicts[0];
                assert_eq!(
                    (named.from, named.is_deletion, &named.differs[..]),
                    ("central", false, &["properties".to_owned()][..])
                );
                // The position is that of the version in central's own changelog.
                let cursor = named.cursor.expect("central has positions");
                let there = &central.records.changes(cursor, 1).expect("reads")[0];
                assert_eq!((there.cursor, there.change.id.as_str()), (cursor, "facility"));
                assert_eq!(named.digest.as_deref(), Some(sha256(theirs.as_str()).as_str()));
                let replica = Replica::with_storage(south.storage.clone());
                let kept = replica.conflicts().expect("reads");
                assert_eq!((kept.len(), &kept[0].conflict, kept[0].local.is_none()), (1, named, true));
                assert_eq!(kept[0].received.as_ref().map(RecordData::as_str), Some(theirs.as_str()));
                let fields = kept[0].received_as::<NameOmsFields>().expect("of its type");
                assert!(fields.properties.is_some_and(|properties| properties.0.contains("north")));
                assert!(kept[0].received_as::<Asset>().is_none(), "another type");
                let explained = replica.support().explain("name_oms_fields", "facility").expect("explained");
                assert_eq!(explained.conflict.as_ref(), Some(named));
                // A report and an explanation go to supporters, so the versions are not in them.
                for text in [serde_json::to_string(&report), serde_json::to_string(&explained)] {
                    let text = text.expect("JSON");
                    assert!(text.contains("properties") && !text.contains("north"), "{text}");
                }
            },
        );
    }
    conflict(
        Kind::Sqlite,
        |_| Resolution::TakeReceived,
        |_, _, south, _| {
            let kept = Replica::with_storage(south.storage.clone()).conflicts().expect("reads");
            assert!(kept[0].received.is_none(), "it is the record now");
            assert!(kept[0].local.as_ref().is_some_and(|local| local.as_str().contains("south")));
        },
    );
}

#[test]
fn kept_conflicts_have_a_bound_and_the_newest_stay() {
    let central = CentralEnd::over(Kind::Sqlite);
    let north = central.new_site("north");
    north.sync();
    let replica = Replica::with_storage(north.storage.clone());
    let clash = |ids: std::ops::Range<usize>, notes: &str| {
        let all =
            |notes: &str| ids.clone().map(|n| asset(&format!("a{n:03}"), "STORE_north", notes)).collect::<Vec<_>>();
        north.records.put("asset", all("of the site")).expect("stored");
        central.records.put("asset", all(notes)).expect("stored");
        let report = north.site.sync(&SyncOptions::default().pull_only(), &mut NoopObserver).expect("a cycle");
        assert!(report.error.is_none(), "{report:?}");
        north.sync();
    };
    clash(0..150, "of central");
    let kept = replica.conflicts().expect("reads");
    assert_eq!(kept.len(), 100);
    // Another conflict of the same record replaces the one before.
    clash(149..150, "of central again");
    let kept = replica.conflicts().expect("reads");
    let newest = kept[0].received.as_ref().expect("kept").as_str();
    assert!(kept.len() == 100 && kept[0].conflict.id == "a149" && newest.contains("of central again"), "{newest}");
    // One that is too large is named without its version, and large ones make the oldest go.
    clash(0..1, &"x".repeat(70_000));
    let kept = replica.conflicts().expect("reads");
    assert!(kept[0].conflict.id == "a000" && kept[0].received.is_none() && kept[0].conflict.digest.is_some());
    clash(0..20, &"x".repeat(60_000));
    let kept = replica.conflicts().expect("reads");
    let bytes: usize = kept.iter().filter_map(|kept| kept.received.as_ref()).map(|data| data.as_str().len()).sum();
    assert!((400_000..=512 * 1024).contains(&bytes), "{bytes} bytes of {}", kept.len());
}

#[test]
fn a_conflict_of_a_dry_run_is_not_kept() {
    let central = CentralEnd::over(Kind::Sqlite);
    let north = central.new_site("north");
    north.sync();
    north.records.put("asset", [asset("a", "STORE_north", "of the site")]).expect("stored");
    central.records.put("asset", [asset("a", "STORE_north", "of central")]).expect("stored");
    let preview = north.site.support().preview_pull(100, &mut NoopObserver);
    assert!(preview.is_ok(), "{preview:?}");
    assert!(Replica::with_storage(north.storage.clone()).conflicts().expect("reads").is_empty());
}

fn sha256(text: &str) -> String {
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_record_that_replaces_both_is_pushed() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        conflict(
            kind,
            |_| Resolution::Replace(properties("north and south")),
            |central, north, south, report| {
                assert_eq!((report.kept_local, outcomes(&report)), (0, vec![ConflictOutcome::Replaced]));
                all_have(central, north, south, "north and south");
            },
        );
    }
}

#[test]
fn what_a_resolver_cannot_decide_keeps_the_local_edit() {
    let another_id = |_: &ConflictVersions<'_>| Resolution::Replace(data(r#"{"id":"other","properties":null}"#));
    let invalid = |_: &ConflictVersions<'_>| Resolution::Replace(data(r#"{"id":"facility","properties":5}"#));
    let no_object = |_: &ConflictVersions<'_>| Resolution::Replace(data("[1,2]"));
    let large = format!(r#"{{"id":"facility","properties":"{}"}}"#, "x".repeat(RECORD_BYTES_MAX));
    let too_large = move |_: &ConflictVersions<'_>| Resolution::Replace(data(&large));
    let panics = |_: &ConflictVersions<'_>| -> Resolution { std::panic::resume_unwind(Box::new("the host's own")) };
    let keeps = |_: &ConflictVersions<'_>| Resolution::KeepLocal;
    let failed = |why: &'static str| {
        move |central: &CentralEnd, north: &SiteEnd, south: &SiteEnd, report: SyncReport| {
            assert_eq!((report.kept_local, outcomes(&report)), (1, vec![ConflictOutcome::ResolverFailed]));
            let told = report.warnings.iter().map(ToString::to_string).find(|told| told.contains("resolver"));
            let told = told.unwrap_or_default();
            assert!(told.contains("name_oms_fields facility") && told.contains(why), "{told}");
            assert!(!told.contains("host's own") && !told.contains("xx"), "no content: {told}");
            assert!(south.get("name_oms_fields", "other").is_none());
            all_have(central, north, south, "south");
        }
    };
    conflict(Kind::Memory, another_id, failed("id"));
    conflict(Kind::Sqlite, invalid, failed("properties"));
    conflict(Kind::Sqlite, no_object, failed("not valid"));
    conflict(Kind::Sqlite, too_large, failed("bytes"));
    conflict(Kind::Memory, panics, failed("panicked"));
    conflict(Kind::Sqlite, keeps, |central, north, south, report| {
        assert_eq!(outcomes(&report), [ConflictOutcome::KeptLocal]);
        all_have(central, north, south, "south");
    });
}

#[test]
fn a_resolver_of_no_table_is_refused_or_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let builder = || Replica::builder().resolver("name_oms_field", |_: &ConflictVersions<'_>| Resolution::KeepLocal);
    let refused = builder().open(folder.path().join("a.sqlite")).expect_err("a misspelled table");
    assert!(
        matches!(&refused, Error::UnknownTable { table, meant: Some("name_oms_fields") } if table == "name_oms_field"),
        "{refused}"
    );
    assert!(!folder.path().join("a.sqlite").exists(), "nothing was made");
    // A storage of the host's own gives no error.
    let central = CentralEnd::over(Kind::Memory);
    let north = central.new_site("north");
    let report = whole_cycle(&builder().with_storage(north.storage.clone()), central.transport());
    let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.contains("name_oms_field")), "{told:?}");
}

#[test]
fn a_record_that_is_tried_again_out_of_quarantine_asks_the_resolver_too() {
    let central = CentralEnd::over(Kind::Memory);
    let south = central.new_site("south");
    south.sync();
    let waiting = set_aside_facility();
    for (resolution, expected, resolved) in
        [(Resolution::TakeReceived, "north", 1), (Resolution::KeepLocal, "south", 0)]
    {
        // The edit was here when the other version came, and that could not be integrated at once.
        south.records.put("name_oms_fields", [properties("south")]).expect("stored");
        let txn = south.storage.write().expect("writes");
        txn.stage(&waiting, Timestamp::from_unix_millis(0)).expect("staged");
        txn.commit().expect("committed");
        let replica = Replica::builder()
            .resolver("name_oms_fields", move |_: &ConflictVersions<'_>| resolution.clone())
            .with_storage(south.storage.clone());
        let retried = replica.support().retry(RetrySelection::All).expect("tried");
        assert_eq!((retried.staged, retried.resolved, retried.kept_local), (1, resolved, 1 - resolved));
        assert_eq!(by(south.get("name_oms_fields", "facility")), expected);
    }
}

/// Outside a cycle there is no report, so the outcome of the call names the reason.
#[test]
fn a_resolver_that_fails_in_a_retry_or_a_preview_is_named_there() {
    let central = CentralEnd::over(Kind::Memory);
    let (north, south) = (central.new_site("north"), central.new_site("south"));
    [&north, &south].iter().for_each(|site| drop(site.sync()));
    let panics = |_: &ConflictVersions<'_>| -> Resolution { std::panic::resume_unwind(Box::new("the host's own")) };
    let invalid = |_: &ConflictVersions<'_>| Resolution::Replace(data(r#"{"id":"facility","properties":5}"#));
    let with = |builder: sync_core::ReplicaBuilder| builder.with_storage(south.storage.clone());
    for (replica, why) in [
        (with(Replica::builder().resolver("name_oms_fields", panics)), "panicked"),
        (with(Replica::builder().resolver("name_oms_fields", invalid)), "properties"),
    ] {
        let is_told = |warnings: &[sync_core::Message]| {
            let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            assert!(
                told.len() == 1 && told[0].contains("name_oms_fields facility") && told[0].contains(why),
                "{told:?}"
            );
            assert!(!told[0].contains("host's own"), "no content: {told:?}");
        };
        south.records.put("name_oms_fields", [properties("south")]).expect("stored");
        let txn = south.storage.write().expect("writes");
        txn.stage(&set_aside_facility(), Timestamp::from_unix_millis(0)).expect("staged");
        txn.commit().expect("committed");
        let retried = replica.support().retry(RetrySelection::All).expect("tried");
        assert_eq!((retried.staged, retried.kept_local), (1, 1));
        is_told(&retried.warnings);

        central.records.put("name_oms_fields", [properties("north")]).expect("stored");
        let site = replica.site(Arc::new(InProcess::new(central.central.clone())));
        let preview = site.support().preview_pull(100, &mut NoopObserver).expect("central answers");
        assert_eq!(preview.kept_local, 1);
        is_told(&preview.warnings);
    }
}

/// A version of central's that could not be integrated at once.
fn set_aside_facility() -> Incoming {
    let quarantine = Quarantine { cause: QuarantineCause::Failed, reason: "failed once".to_owned(), waits_for: None };
    Incoming {
        source: Source::Central,
        table: "name_oms_fields".into(),
        id: "facility".into(),
        action: Action::Update,
        data: properties("north"),
        cursor: None,
        known: Known::default(),
        quarantine: Some(quarantine),
    }
}

#[test]
fn only_conflicts_of_its_table_are_asked_about_and_an_edit_that_is_on_its_way_is_not() {
    let central = CentralEnd::over(Kind::Memory);
    let north = central.new_site("north");
    north.sync();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = move |versions: &ConflictVersions<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        let ours = versions.local_as::<Asset>().expect("an asset");
        assert!(versions.received_as::<sync_core::record::AssetClass>().is_none(), "another type");
        Resolution::replace_with(&ours)
    };
    let replica = Replica::builder().resolver("asset", resolver).with_storage(north.storage.clone());
    let site = replica.site(Arc::new(InProcess::new(central.central.clone())));
    let pull = || site.sync(&SyncOptions::default().pull_only(), &mut NoopObserver).expect("a cycle");
    central.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).expect("stored");
    central.records.put("asset", [asset("a", "STORE_north", "of central")]).expect("stored");
    let _ = pull();
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nothing was edited here");
    // The same edit at both ends is no conflict.
    north.records.put("asset", [asset("a", "STORE_north", "the same")]).expect("stored");
    central.records.put("asset", [asset("a", "STORE_north", "the same")]).expect("stored");
    let _ = pull();
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    north.records.put("asset", [asset("a", "STORE_north", "of the site")]).expect("stored");
    central.records.put("asset", [asset("a", "STORE_north", "of central again")]).expect("stored");
    let report = pull();
    assert_eq!((asked.load(Ordering::SeqCst), report.resolved), (1, 1));
}
