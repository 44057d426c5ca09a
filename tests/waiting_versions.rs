//! A version of central that waits in a site's quarantine, while the host writes the record that it is of.

use sync_core::clock::Timestamp;
use sync_core::protocol::v6::{Action, WireRecord};
use sync_core::record::RecordData;
use sync_core::site::{ConflictOutcome, ConflictVersions, Resolution};
use sync_core::storage::{Incoming, Quarantine, QuarantineCause, Source};
use sync_core::{NoopObserver, Replica, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, get};

const TABLE: &str = "asset_internal_location";

fn location(asset: &str, place: &str) -> RecordData {
    data(&format!(r#"{{"id":"l","asset_id":"{asset}","location_id":"{place}"}}"#))
}

/// The place of the location, and its asset.
fn place(found: Option<String>) -> (String, String) {
    let found: serde_json::Value = serde_json::from_str(&found.expect("is here")).expect("a document");
    let text = |key: &str| found[key].as_str().expect("a text").to_owned();
    (text("asset_id"), text("location_id"))
}

fn is(asset: &str, place: &str) -> (String, String) {
    (asset.to_owned(), place.to_owned())
}

/// A site with a location, of which a version of central waits for the asset `y`.
fn waiting(kind: Kind) -> (CentralEnd, SiteEnd) {
    let central = CentralEnd::over(kind);
    let site = central.new_site("a");
    site.sync();
    site.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    site.records.put(TABLE, [location("x", "before")]).unwrap();
    site.sync();
    let waits = Quarantine {
        cause: QuarantineCause::Waiting,
        reason: "$.asset_id names asset y, which is not here yet".to_owned(),
        waits_for: Some(("asset".into(), "y".into())),
    };
    let (table_name, record_id, record_data) = (TABLE.into(), "l".into(), location("y", "of central"));
    let record = WireRecord { table_name, record_id, action: Action::Update, record_data };
    let newer = Incoming { quarantine: Some(waits), ..Incoming::new(Source::Central, record) };
    let txn = site.storage.write().unwrap();
    txn.stage(&newer, Timestamp::from_unix_millis(0)).unwrap();
    txn.commit().unwrap();
    (central, site)
}

fn causes(site: &SiteEnd) -> Vec<(QuarantineCause, u64)> {
    site.storage.read().unwrap().quarantine_counts().unwrap()
}

fn asset_comes(central: &CentralEnd) {
    central.records.put("asset", [asset("y", "STORE_a", "")]).unwrap();
}

#[test]
fn a_record_that_is_saved_without_a_change_does_not_undo_the_version_that_waits() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, site) = waiting(kind);
        let before = site.records.position().unwrap();
        assert_eq!(site.records.put(TABLE, [location("x", "before")]).unwrap(), ["l"]);
        assert_eq!(site.records.position().unwrap(), before, "nothing was written");
        assert_eq!(causes(&site), [(QuarantineCause::Waiting, 1)]);
        assert_eq!(site.sync().pushed, 0);
        asset_comes(&central);
        assert_eq!(site.sync().kept_local, 0);
        site.sync();
        assert_eq!(place(site.get(TABLE, "l")), is("y", "of central"));
        assert_eq!(causes(&site), []);
    }
}

#[test]
fn an_edit_meets_the_version_that_waits_as_a_conflict() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        for takes in [None, Some(Resolution::KeepLocal), Some(Resolution::TakeReceived)] {
            let (central, site) = waiting(kind);
            site.records.put(TABLE, [location("x", "of the site")]).unwrap();
            assert_eq!(causes(&site), [(QuarantineCause::Waiting, 1)], "it is not lost");
            let explained = Replica::with_storage(site.storage.clone()).support().explain(TABLE, "l").unwrap();
            assert_eq!(explained.set_aside.len(), 1, "{explained:?}");
            asset_comes(&central);
            let (expected, outcome) = match takes {
                Some(Resolution::TakeReceived) => (is("y", "of central"), ConflictOutcome::TookReceived),
                _ => (is("x", "of the site"), ConflictOutcome::KeptLocal),
            };
            let builder = match takes {
                Some(resolution) => {
                    Replica::builder().resolver(TABLE, move |_: &ConflictVersions<'_>| resolution.clone())
                }
                None => Replica::builder(),
            };
            let replica = builder.with_storage(site.storage.clone());
            let report = replica.site(central.transport()).sync(&SyncOptions::default().pull_only(), &mut NoopObserver);
            let report = report.unwrap().into_result().unwrap();
            let ended: Vec<_> = report.conflicts.iter().map(|conflict| conflict.outcome).collect();
            assert_eq!(ended, [outcome]);
            assert_eq!(place(site.get(TABLE, "l")), expected);
            let kept = replica.conflicts().unwrap();
            assert_eq!(
                (kept.len(), kept[0].local.is_some(), kept[0].received.is_some()),
                match outcome {
                    ConflictOutcome::KeptLocal => (1, false, true),
                    _ => (1, true, false),
                }
            );
            assert_eq!(causes(&site), []);
        }
    }
}

#[test]
fn an_edit_that_is_pushed_before_the_version_that_waits_can_be_read_wins_and_that_version_is_shown() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, site) = waiting(kind);
        site.records.put(TABLE, [location("x", "of the site")]).unwrap();
        assert_eq!(site.sync().pushed, 1);
        asset_comes(&central);
        site.sync();
        site.sync();
        assert_eq!(place(site.get(TABLE, "l")), is("x", "of the site"));
        assert_eq!(place(get(&central.records, TABLE, "l")), is("x", "of the site"));
        assert_eq!(causes(&site), [(QuarantineCause::Superseded, 1)]);
        let newer = central.records.put(TABLE, [location("x", "of central, newer")]);
        newer.unwrap();
        site.sync();
        assert_eq!(place(site.get(TABLE, "l")), is("x", "of central, newer"));
        assert_eq!(causes(&site), [], "a newer version takes its place");
    }
}

/// A draft is nobody's edit until it is written for all.
#[test]
fn a_draft_of_which_a_version_waits_can_be_written_for_all_unchanged() {
    let (_, site) = waiting(Kind::Memory);
    let draft = asset("draft", "STORE_a", "");
    Replica::with_storage(site.storage.clone()).write(|txn| txn.local_only().put("asset", [draft.clone()])).unwrap();
    let record = WireRecord {
        table_name: "asset".into(),
        record_id: "draft".into(),
        action: Action::Update,
        record_data: asset("draft", "STORE_a", "of central"),
    };
    let failed = Quarantine { cause: QuarantineCause::Failed, reason: "failed once".to_owned(), waits_for: None };
    let txn = site.storage.write().unwrap();
    let incoming = Incoming { quarantine: Some(failed), ..Incoming::new(Source::Central, record) };
    txn.stage(&incoming, Timestamp::from_unix_millis(0)).unwrap();
    txn.commit().unwrap();
    site.records.put("asset", [draft]).unwrap();
    assert_eq!(site.sync().pushed, 1);
}
