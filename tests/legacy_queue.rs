//! The legacy server's queue and the edits of a site, also after a restore from a backup.

use sync_core::site::Step;
use sync_core::storage::Storage as _;
use sync_testkit::legacy_server::{Endpoint, Fault, PlannedFault, rows};
use sync_tests::world::data;

use crate::legacy_half::{Country, transact};

#[test]
fn a_database_put_back_from_a_backup_asks_for_its_queue_again() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    a.records.put("transact", [transact("mine", &own.store_id, "of the backup")]).unwrap();
    let backup = a.storage.backup();
    a.sync();
    a.records.put("transact", [transact("mine", &own.store_id, "later")]).unwrap();
    country.legacy.put_row("transact", "theirs", rows::transact("theirs", &own.store_id, "N", 9));
    a.sync();
    assert!(a.get("transact", "theirs").is_some());
    a.storage.restore(&backup);
    assert_eq!(a.get("transact", "theirs"), None);
    a.sync();
    a.sync();
    assert!(a.get("transact", "theirs").is_some(), "it was acknowledged, and is asked for again");
    assert!(a.get("transact", "mine").unwrap().contains("later"), "the backup undoes nothing");
    assert_eq!(country.legacy.row("transact", "mine").unwrap()["comment"], "later");
}

/// An interrupted push stays with the server until it is told to integrate: otherwise the refilled queue would not have
/// it.
#[test]
fn what_was_sent_and_not_integrated_when_a_backup_was_put_back_comes_back() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    a.records.put("transact", [transact("gone", &own.store_id, "first")]).unwrap();
    a.sync();
    let backup = a.storage.backup();
    a.records.put("transact", [transact("sent", &own.store_id, "sent")]).unwrap();
    a.records.delete("transact", "gone").unwrap();
    country.legacy.fail(Endpoint::PushQueue, Fault::IntegrationNotStarted);
    assert!(a.cycle().error.is_some());
    assert!(country.legacy.row("transact", "sent").is_none() && country.legacy.row("transact", "gone").is_some());
    a.storage.restore(&backup);
    // As long as it does not integrate, the queue is not filled, and the other half continues.
    let report = a.cycle();
    assert_eq!(report.error.clone().unwrap().code(), "peer_error");
    assert!(report.steps.iter().any(|step| step.name == Step::PullV6 && step.error.is_none()), "{:?}", report.steps);
    country.legacy.heal();
    a.sync();
    a.sync();
    assert!(a.get("transact", "sent").unwrap().contains("sent"));
    assert_eq!(country.legacy.row("transact", "sent").unwrap()["comment"], "sent");
    assert!(country.legacy.row("transact", "gone").is_none());
}

/// An edit that a backup had sent, without having read the queue since, is older than the refilled queue.
#[test]
fn what_a_backup_had_sent_undoes_nothing_that_came_later() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    a.records.put("transact", [transact("t", &own.store_id, "of the backup")]).unwrap();
    country.legacy.fail(Endpoint::PullQueue, Fault::Status(503));
    assert!(a.cycle().error.is_some());
    assert_eq!(country.legacy.row("transact", "t").unwrap()["comment"], "of the backup");
    let backup = a.storage.backup();
    country.legacy.heal();
    a.records.put("transact", [transact("t", &own.store_id, "later")]).unwrap();
    a.sync();
    a.storage.restore(&backup);
    a.sync();
    a.sync();
    assert!(a.get("transact", "t").unwrap().contains("later"));
    assert_eq!(country.legacy.row("transact", "t").unwrap()["comment"], "later");
}

/// The refilled queue has no documents of a store that is elsewhere now, so nothing says that the edit of the backup was sent.
#[test]
fn an_edit_of_a_backup_undoes_nothing_in_a_store_that_has_moved_since() {
    let country = Country::new();
    let [own, other] = [0, 1].map(|n| country.world.sites[n].clone());
    let (a, b) = (country.site("district_a"), country.site("district_b"));
    let line = |comment: &str| data(&format!(r#"{{"ID":"l","transaction_ID":"t","comment":"{comment}"}}"#));
    a.records.put("transact", [transact("t", &own.store_id, "of the backup")]).unwrap();
    a.records.put("trans_line", [line("of the backup")]).unwrap();
    let backup = a.storage.backup();
    a.sync();
    country.legacy.move_store(&own.store_id, other.site_id);
    country.legacy.queue_store(&own.store_id);
    b.sync();
    b.records.put("transact", [transact("t", &own.store_id, "later")]).unwrap();
    b.records.put("trans_line", [line("later")]).unwrap();
    b.sync();
    a.storage.restore(&backup);
    a.sync();
    a.sync();
    for (table, id) in [("transact", "t"), ("trans_line", "l")] {
        assert_eq!(country.legacy.row(table, id).unwrap()["comment"], "later", "{table}");
    }
    let aside = a.storage.read().unwrap().quarantined(0, 9).unwrap();
    assert!(aside.iter().all(|(_, why)| why.reason.contains("on another site now")), "{aside:?}");
    assert_eq!(aside.len(), 2, "nothing is lost if it was not sent: a person can try it again");
}

#[test]
fn a_record_that_comes_again_because_its_acknowledgement_was_lost_undoes_no_edit() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    country.legacy.put_row("transact", "t", rows::transact("t", &own.store_id, "N", 1));
    country.legacy.plan(PlannedFault::new(Endpoint::Acknowledge, Fault::Unheard).times(6));
    assert!(a.cycle().error.is_some());
    country.legacy.heal();
    a.records.put("transact", [transact("t", &own.store_id, "edited")]).unwrap();
    a.sync();
    a.sync();
    assert!(a.get("transact", "t").unwrap().contains("edited"));
    assert_eq!(country.legacy.row("transact", "t").unwrap()["comment"], "edited");
}

/// The server reads queued records when it sends them: the same entry brings another version.
#[test]
fn a_newer_version_under_an_entry_that_was_not_acknowledged_is_taken() {
    for deleted in [false, true] {
        let country = Country::new();
        let own = country.world.sites[0].clone();
        let a = country.site("district_a");
        country.legacy.put_row("transact", "t", transact_row(&own.store_id, "first"));
        country.legacy.plan(PlannedFault::new(Endpoint::Acknowledge, Fault::Unheard).times(6));
        assert!(a.cycle().error.is_some());
        assert!(a.get("transact", "t").unwrap().contains("first"));
        let entry = country.legacy.queued("district_a")[0].sync_out_id.clone();
        country.legacy.heal();
        match deleted {
            true => country.legacy.delete_row("transact", "t"),
            false => country.legacy.put_row("transact", "t", transact_row(&own.store_id, "second")),
        }
        assert_eq!(country.legacy.queued("district_a")[0].sync_out_id, entry);
        a.sync();
        assert_eq!(a.get("transact", "t").map(|held| held.contains("second")), (!deleted).then_some(true));
        assert_eq!(country.legacy.queued("district_a"), []);
    }
}

/// An edit of the staff on top of a site's push is newer, even if the site has not read its queue since.
#[test]
fn what_was_written_at_the_server_on_top_of_an_edit_is_not_undone_by_it() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    a.records.put("transact", [transact("t", &own.store_id, "of the site")]).unwrap();
    country.legacy.fail(Endpoint::PullQueue, Fault::Status(503));
    assert!(a.cycle().error.is_some());
    assert_eq!(country.legacy.row("transact", "t").unwrap()["comment"], "of the site");
    country.legacy.heal();
    country.legacy.put_row("transact", "t", transact_row(&own.store_id, "of the staff"));
    for _ in 0..2 {
        assert_eq!(a.sync().pushed, 0, "nobody edited anything here");
    }
    assert!(a.get("transact", "t").unwrap().contains("of the staff"));
    assert_eq!(country.legacy.row("transact", "t").unwrap()["comment"], "of the staff");
}

fn transact_row(store: &str, comment: &str) -> serde_json::Value {
    serde_json::json!({"ID": "t", "store_ID": store, "comment": comment})
}

#[test]
fn what_the_server_queued_before_an_edit_arrived_there_does_not_undo_it() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    a.records.put("transact", [transact("t", &own.store_id, "first")]).unwrap();
    a.sync();
    country.legacy.put_row("transact", "t", rows::transact("t", &own.store_id, "N", 1));
    a.records.put("transact", [transact("t", &own.store_id, "of the site")]).unwrap();
    a.sync();
    a.sync();
    assert!(a.get("transact", "t").unwrap().contains("of the site"));
    assert_eq!(country.legacy.row("transact", "t").unwrap()["comment"], "of the site", "both ends agree");
    // Once the queue was read to its end, later entries are newer.
    country.legacy.put_row("transact", "t", rows::transact("t", &own.store_id, "N", 2));
    a.sync();
    assert!(!a.get("transact", "t").unwrap().contains("of the site"));
}

/// Lines have no store: theirs is that of their parent, even if that was deleted here.
#[test]
fn a_stale_line_in_the_queue_is_as_stale_as_the_record_whose_line_it_is() {
    let line = |comment: &str| serde_json::json!({"ID": "l", "transaction_ID": "t", "comment": comment});
    for deleted in [false, true] {
        let country = Country::new();
        let own = country.world.sites[0].clone();
        let a = country.site("district_a");
        a.records.put("transact", [transact("t", &own.store_id, "first")]).unwrap();
        a.records.put("trans_line", [data(&line("first").to_string())]).unwrap();
        a.sync();
        country.legacy.put_row("trans_line", "l", line("queued before the edit arrived"));
        if deleted {
            a.records.delete("trans_line", "l").unwrap();
            a.records.delete("transact", "t").unwrap();
        } else {
            a.records.put("trans_line", [data(&line("of the site").to_string())]).unwrap();
        }
        a.sync();
        a.sync();
        let here = a.get("trans_line", "l").map(|line| line.contains("of the site"));
        let there = country.legacy.row("trans_line", "l").map(|line| line["comment"] == "of the site");
        assert_eq!((here, there), if deleted { (None, None) } else { (Some(true), Some(true)) }, "both ends agree");
        // Once the queue was read to its end, later entries are newer.
        country.legacy.put_row("transact", "t", rows::transact("t", &own.store_id, "N", 2));
        country.legacy.put_row("trans_line", "l", line("of the server"));
        a.sync();
        assert!(a.get("trans_line", "l").unwrap().contains("of the server"));
    }
}

/// An entry whose data changed and changed back, each time after a lost acknowledgement: the first data have to be
/// stored again.
#[test]
fn a_version_that_is_there_again_under_an_entry_that_was_not_acknowledged_is_taken() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    country.legacy.put_row("transact", "beside", rows::transact("beside", &own.store_id, "N", 1));
    for comment in ["first", "second"] {
        country.legacy.put_row("transact", "t", transact_row(&own.store_id, comment));
        country.legacy.plan(PlannedFault::new(Endpoint::Acknowledge, Fault::Unheard).times(6));
        assert!(a.cycle().error.is_some());
        assert!(a.get("transact", "t").unwrap().contains(comment));
        country.legacy.heal();
    }
    country.legacy.put_row("transact", "t", transact_row(&own.store_id, "first"));
    a.sync();
    assert!(a.get("transact", "t").unwrap().contains("first"));
    assert!(country.legacy.queued("district_a").is_empty());
}

#[test]
fn after_an_acknowledgement_that_may_not_have_been_heard_the_queue_is_read_again_first() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    a.sync();
    country.legacy.put_row("transact", "t", transact_row(&own.store_id, "first"));
    country.legacy.forget_requests();
    country.legacy.plan(PlannedFault::new(Endpoint::Acknowledge, Fault::Unheard).times(2));
    a.sync();
    assert_eq!(country.legacy.count(Endpoint::Acknowledge), 3);
    assert_eq!(country.legacy.count(Endpoint::PullQueue), 4, "before each of them, and at the end");
    assert!(country.legacy.queued("district_a").is_empty());
}
