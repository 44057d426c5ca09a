//! Sites that only look, without a delivery: `preview pull` and `audit`.

use sync_core::record::{Cursor, SiteId};
use sync_core::storage::{MemoryStorage, state};
use sync_core::{Error, NoopObserver};
use sync_tests::world::{CentralEnd, Kind, PASSWORD, asset, data};

use super::{PULL, credentials, credentials_of, json, post};

fn put_class(end: &CentralEnd, id: &str) {
    end.records.put("asset_class", [data(&format!(r#"{{"id":"{id}","name":"n"}}"#))]).unwrap();
}

/// What central keeps of its sites, but for when they were seen.
fn kept(end: &CentralEnd) -> String {
    let view = end.central.view().unwrap();
    let sites =
        view.sites.iter().map(|site| (site.id, site.pulled_at, site.pushed_at, site.behind, site.is_integrating));
    let sites: Vec<_> = sites.collect();
    let txn = end.storage.read().unwrap();
    let firsts: Vec<_> =
        txn.central().unwrap().sites().unwrap().into_iter().map(|site| (site.id, site.last_pull_at)).collect();
    let state: Vec<_> = ["held_back_of_site_", "open_push_of_site_", "last_push_of_site_"]
        .map(|name| txn.state(&format!("{name}2")).unwrap())
        .into();
    format!("{sites:?} {firsts:?} {state:?} {:?}", txn.last_cursor().unwrap())
}

#[test]
fn a_look_leaves_no_trace_but_the_visit() {
    let end = CentralEnd::over(Kind::Memory);
    put_class(&end, "old");
    let site = end.new_site("a");
    let before = kept(&end);
    site.site.support().preview_pull(100, &mut NoopObserver).unwrap();
    let audit = site.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap();
    assert_eq!((audit.lost_records, audit.explained_records), (0, 1), "{audit:?}");
    assert_eq!(kept(&end), before, "nothing was given to a site that has never pulled");
    assert!(end.central.view().unwrap().sites[0].seen_at.is_some(), "it was seen");

    site.sync();
    put_class(&end, "new");
    let before = kept(&end);
    let preview = site.site.support().preview_pull(100, &mut NoopObserver).unwrap();
    assert_eq!(preview.integrated, 1);
    let audit = site.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap();
    assert_eq!((audit.same, audit.lost_records, audit.explained_records), (1, 0, 1), "{audit:?}");
    assert_eq!(kept(&end), before);
    assert_eq!(site.sync().integrated, 1, "it comes all the same");
}

/// Pulls as a site of this release; gives the ids.
fn pull(end: &CentralEnd, release: &str, cursor: u64, more: &str) -> Vec<String> {
    let credentials = credentials_of("a", PASSWORD, "machine-a", release);
    let body = format!(
        r#"{{"cursor":{cursor},"batchSize":1,"syncV5Settings":{credentials},"isInitialised":true,"syncV6Version":5{more}}}"#
    );
    let answer = json(&end.central.handle(&post(PULL, body)));
    let records = answer["data"]["records"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
    records.map(|element| element["record"]["recordId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_held_back_from_a_release_is_not_given_away_by_a_look() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    let dated = r#"{"id":"dated","name":"n","key":"k","value_type":"DATE","allowed_values":null}"#;
    end.records.put("property", [data(dated)]).unwrap();
    put_class(&end, "later");
    let newest = end.storage.read().unwrap().last_cursor().unwrap().0;
    for cursor in newest - 1..=newest {
        pull(&end, "2.16.3", cursor, "");
    }
    assert_eq!(end.sites.withheld(SiteId(2)).unwrap(), 1);
    let looks = r#","looksOnly":true"#;
    for cursor in [0, newest - 1, newest, newest + 1] {
        pull(&end, "2.19.0", cursor, looks);
    }
    assert_eq!(pull(&end, "2.19.0", newest + 1, ""), ["dated"], "the upgraded site gets it with its next pull");
    // Anybody else's meaning of the key is none.
    assert_eq!(pull(&end, "2.19.0", newest, r#","looksOnly":"yes""#), ["later"]);
}

#[test]
fn an_open_push_is_not_ended_by_a_look() {
    let end = CentralEnd::over(Kind::Memory);
    let site = end.new_site("a");
    site.sync();
    let asset = asset("x", "STORE_a", "");
    let batch = format!(
        r#"{{"end_cursor":9,"total_records":2,"is_last_batch":false,"records":[{{"cursor":9,"record":{{"tableName":"asset","recordId":"x","action":"Update","recordData":{asset:?}}}}}]}}"#
    );
    let push = |credentials: &str| format!(r#"{{"batch":{batch},"syncV5Settings":{credentials},"syncV6Version":5}}"#);
    json(&end.central.handle(&post(super::PUSH, push(&credentials("a")))));
    let before = kept(&end);
    site.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap();
    assert_eq!(kept(&end), before);
    assert_eq!(end.storage.read().unwrap().central().unwrap().integrations().unwrap(), []);
}

#[test]
fn an_audit_tells_that_central_went_back_and_keeps_cycles_out() {
    let end = CentralEnd::over(Kind::Memory);
    put_class(&end, "old");
    let site = end.new_site("a");
    site.sync();
    let txn = site.storage.write().unwrap();
    state::PULL_CURSOR_V6.set(txn.as_ref(), Cursor(1000)).unwrap();
    txn.commit().unwrap();
    assert!(site.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap().central_went_back);
    let _lock = site.storage.lock_cycle().unwrap();
    let busy = site.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap_err();
    assert!(matches!(busy, Error::CycleRunning { .. }), "{busy:?}");
}
