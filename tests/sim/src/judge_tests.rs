//! Tests that the judge finds each kind of fault.

use super::*;
use crate::ledger::Ledger;
use crate::wire::pulled;

fn key(table: &str, id: &str) -> Key {
    (table.to_owned(), id.to_owned())
}

fn asset(text: &str, store: &str) -> String {
    format!(r#"{{"id":"a","notes":"{text}","store_id":"{store}"}}"#)
}

/// Central and two sites with a store each, and an asset of the first site in several versions, each on top of the one before.
struct JudgedWorld {
    ledger: Ledger,
    ends: Vec<Held>,
}

impl JudgedWorld {
    fn new() -> Self {
        let mut ledger = Ledger::default();
        ledger.store_is_on("s1", 1);
        ledger.store_is_on("s2", 2);
        Self { ledger, ends: vec![Held::default(), Held::default(), Held::default()] }
    }

    /// An end writes over what it holds.
    fn write(&mut self, end: usize, key: &Key, content: Option<&str>) -> usize {
        let held = self.ends[end].records.get(key).cloned();
        match content {
            Some(content) => self.ends[end].records.insert(key.clone(), content.to_owned()),
            None => self.ends[end].records.remove(key),
        };
        self.ledger.wrote(end, key.clone(), held.as_deref(), content.map(str::to_owned))
    }

    /// An end has what another has.
    fn copy(&mut self, from: usize, to: usize, key: &Key) {
        match self.ends[from].records.get(key).cloned() {
            Some(content) => self.ends[to].records.insert(key.clone(), content),
            None => self.ends[to].records.remove(key),
        };
    }

    fn set_aside(&mut self, site: usize, key: &Key, content: &str, cause: &'static str, waits_for: Option<Key>) {
        let (key, content) = (key.clone(), Some(content.to_owned()));
        self.ends[0].aside.push(Aside { from: From::Site(site), key, content, cause, waits_for, of_backup: false });
    }

    fn broken(&self) -> Vec<Promise> {
        let mut broken: Vec<Promise> = judge(&self.ledger, &self.ends).into_iter().map(|found| found.promise).collect();
        broken.dedup();
        broken
    }
}

#[test]
fn a_world_in_order() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    world.write(1, &key, Some(&asset("v1", "s1")));
    world.copy(1, 0, &key);
    assert_eq!(world.broken(), []);
    world.write(0, &key, Some(&asset("v2", "s1")));
    world.copy(0, 1, &key);
    assert_eq!(world.broken(), []);
}

#[test]
fn a_lost_version_is_found() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    world.write(1, &key, Some(&asset("v1", "s1")));
    assert_eq!(world.broken(), [Promise::NothingIsLost], "it never came to central");
    world.copy(1, 0, &key);
    world.write(0, &key, Some(&asset("v2", "s1")));
    world.copy(1, 0, &key);
    assert_eq!(world.broken(), [Promise::NothingIsLost], "the older one came back over the newer");
}

#[test]
fn a_lost_deletion_and_a_record_that_comes_back_are_found() {
    let mut world = JudgedWorld::new();
    let key = key("preference", "p");
    let content = r#"{"id":"p","store_id":null,"value":"v1"}"#;
    world.write(0, &key, Some(content));
    world.copy(0, 1, &key);
    world.copy(0, 2, &key);
    world.write(0, &key, None);
    assert_eq!(world.broken(), [Promise::QuietMeansEqual], "the sites were not told");
    world.copy(0, 1, &key);
    world.copy(0, 2, &key);
    assert_eq!(world.broken(), []);
    world.ends[0].records.insert(key.clone(), content.to_owned());
    assert!(world.broken().contains(&Promise::NothingIsLost), "the deletion is lost");
}

#[test]
fn of_versions_that_did_not_know_each_other_any_may_win() {
    let mut world = JudgedWorld::new();
    let key = key("name_oms_fields", "n");
    let content = |text: &str| format!(r#"{{"id":"n","properties":"{text}"}}"#);
    world.write(1, &key, Some(&content("v1")));
    world.write(2, &key, Some(&content("v2")));
    for winner in [1, 2] {
        world.copy(winner, 0, &key);
        let loser = 3 - winner;
        assert_eq!(world.broken(), [Promise::QuietMeansEqual]);
        let other = world.ends[loser].records[&key].clone();
        world.copy(0, loser, &key);
        assert_eq!(world.broken(), [], "site {winner} wins");
        world.ends[loser].records.insert(key.clone(), other);
    }
}

#[test]
fn only_a_true_reason_excuses_what_is_set_aside() {
    let mut world = JudgedWorld::new();
    let log = key("asset_log", "l");
    let content = r#"{"id":"l","asset_id":"a","comment":"v1"}"#;
    world.write(1, &log, Some(content));
    world.set_aside(1, &log, content, "waiting", Some(key("asset", "a")));
    assert_eq!(world.broken(), [], "its asset is not there");
    world.write(0, &key("asset", "a"), Some(&asset("v2", "s2")));
    world.copy(0, 2, &key("asset", "a"));
    assert_eq!(world.broken(), [Promise::NothingIsLost, Promise::ItEnds], "its asset is there");

    let mut world = JudgedWorld::new();
    let form = key("rnr_form", "r");
    let content = r#"{"id":"r","store_id":"s1","comment":"v1"}"#;
    world.write(1, &form, Some(content));
    world.set_aside(1, &form, content, "refused", None);
    let all = [Promise::NothingIsLost, Promise::QuietMeansEqual, Promise::ItEnds];
    assert_eq!(world.broken(), all, "its store never moved");
    world.ledger.store_is_on("s1", 2);
    assert_eq!(world.broken(), [], "its store had moved");
}

#[test]
fn what_two_ends_wrote_to_the_letter_is_of_both() {
    let mut world = JudgedWorld::new();
    let file = key("sync_file_reference", "f");
    let (first, gone, edited) = (
        r#"{"id":"f","file_name":"v1"}"#,
        r#"{"id":"f","file_name":"v1","deleted_datetime":"2026-01-01T00:00:00"}"#,
        r#"{"id":"f","file_name":"v2","deleted_datetime":"2026-01-01T00:00:00"}"#,
    );
    world.write(1, &file, Some(first));
    world.copy(1, 0, &file);
    world.write(1, &file, Some(gone));
    world.copy(1, 0, &file);
    world.write(1, &file, Some(edited));
    world.set_aside(1, &file, edited, "refused", None);
    assert!(world.broken().contains(&Promise::ItEnds), "only its writer wrote it");
    world.ends[0].records.insert(file.clone(), first.to_owned());
    world.write(0, &file, Some(gone));
    assert!(!world.broken().contains(&Promise::ItEnds), "central deleted it in the same moment");
}

#[test]
fn another_spelling_of_a_key_is_no_difference() {
    let (today, former) =
        (r#"{"id":"i","manufacturer_id":"m"}"#, r#"{"id":"i","manufacturer_link_id":"m"}"#.to_owned());
    assert!(says_the_same("item_variant", Some(&former), today));
    assert!(!says_the_same("item_variant", Some(&former), r#"{"id":"i","manufacturer_id":"n"}"#));
}

#[test]
fn forged_records_are_found_wherever_they_are_but_in_quarantine() {
    let mut world = JudgedWorld::new();
    let key = key("campaign", "c");
    let forged = format!(r#"{{"id":"c","name":"{FORGED}"}}"#);
    world.ledger.was_forged(2, key.clone());
    world.set_aside(2, &key, &forged, "refused", None);
    assert_eq!(world.broken(), []);
    for end in 0..3 {
        world.ends[end].records.insert(key.clone(), forged.clone());
        assert!(world.broken().contains(&Promise::OnlyWhoMayChanges), "at {end}");
        world.ends[end].records.clear();
    }
}

#[test]
fn what_a_rogue_pushes_of_its_own_sites_records_is_no_forgery() {
    let mut world = JudgedWorld::new();
    let (record, file) = (key("asset", "a"), key("sync_file_reference", "f"));
    world.write(0, &record, Some(&asset("v1", "s2")));
    world.copy(0, 2, &record);
    let reference = |name: &str| format!(r#"{{"file_name":"{name}","id":"f","record_id":"a","table_name":"asset"}}"#);
    world.write(0, &file, Some(&reference("v2")));
    for end in 0..3 {
        world.ends[end].records.insert(file.clone(), reference(FORGED));
    }
    for (site, is_own) in [(1, false), (2, true)] {
        world.ledger.was_forged(site, file.clone());
        assert_eq!(world.broken().is_empty(), is_own, "{site}");
    }
}

#[test]
fn two_spellings_of_a_key_are_one() {
    let mut world = JudgedWorld::new();
    let form = key("rnr_form", "r");
    world.write(1, &form, Some(r#"{"id":"r","name_id":"n","store_id":"s1","comment":"v1"}"#));
    let older = r#"{"id":"r","name_link_id":"n","store_id":"s1","comment":"v1"}"#;
    world.ends[0].records.insert(form.clone(), older.to_owned());
    assert_eq!(world.broken(), []);
    world.ends[0].records.insert(form, older.replace("v1", "v2"));
    assert!(!world.broken().is_empty(), "the content counts");
}

#[test]
fn a_leak_is_found_on_the_wire_and_at_the_site() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    let content = asset("v1", "s1");
    world.write(1, &key, Some(&content));
    world.copy(1, 0, &key);
    let body = |content: &str| {
        let record = format!(r#"{{"tableName":"asset","recordId":"a","action":"Update","recordData":{content}}}"#);
        format!(
            r#"{{"data":{{"end_cursor":1,"total_records":1,"is_last_batch":true,"records":[{{"cursor":1,"record":{record}}}]}}}}"#
        )
    };
    let promises = |world: &JudgedWorld, site: usize, body: &str| -> Vec<Promise> {
        pulled(&world.ledger, site, false, body.as_bytes()).into_iter().map(|found| found.promise).collect()
    };
    assert_eq!(promises(&world, 1, &body(&content)), []);
    assert_eq!(promises(&world, 2, &body(&content)), [Promise::OnlyOnesOwnArrives]);
    assert_eq!(promises(&world, 1, &body(&asset("v1", "s2"))), [Promise::OnlyWhoMayChanges], "nobody wrote that");
    world.copy(0, 2, &key);
    assert_eq!(world.broken(), [Promise::QuietMeansEqual]);
    world.ledger.store_is_on("s1", 2);
    assert_eq!(promises(&world, 2, &body(&content)), [], "its store moved there");
}

#[test]
fn vaccinations_belong_where_their_patient_is_seen() {
    let mut world = JudgedWorld::new();
    let key = key("vaccination", "v");
    world.write(0, &key, Some(r#"{"id":"v","patient_id":"p","comment":"v1"}"#));
    assert_eq!(world.broken(), []);
    let join = ("name_store_join".to_owned(), "j".to_owned());
    world.write(2, &join, Some(r#"{"ID":"j","name_ID":"p","store_ID":"s2"}"#));
    world.copy(2, 0, &join);
    assert_eq!(world.broken(), [Promise::QuietMeansEqual], "site 2 sees the patient");
    world.copy(0, 2, &key);
    assert_eq!(world.broken(), []);
    world.copy(0, 1, &key);
    assert_eq!(world.broken(), [Promise::QuietMeansEqual], "site 1 does not");
}

#[test]
fn a_site_that_is_initialised_is_given_the_patients_whom_its_stores_see() {
    let mut world = JudgedWorld::new();
    let name = key("name", "p");
    world.write(0, &name, Some(r#"{"ID":"p","type":"patient","name":"v1"}"#));
    world.ledger.is_initialised(2);
    world.write(2, &key("name_store_join", "j"), Some(r#"{"ID":"j","name_ID":"p","store_ID":"s2"}"#));
    world.copy(2, 0, &key("name_store_join", "j"));
    world.copy(0, 2, &name);
    assert_eq!(world.broken(), [Promise::QuietMeansEqual], "it was initialised before anybody joined the patient");
    world.ledger.is_initialised(2);
    assert_eq!(world.broken(), []);
    world.copy(0, 1, &name);
    world.ledger.is_initialised(1);
    assert_eq!(world.broken(), [Promise::QuietMeansEqual], "no store of site 1 sees the patient");
}

#[test]
fn a_restore_makes_void_what_nobody_holds() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    let first = world.write(1, &key, Some(&asset("v1", "s1")));
    world.copy(1, 0, &key);
    let second = world.write(0, &key, Some(&asset("v2", "s1")));
    let third = world.write(0, &key, Some(&asset("v3", "s1")));
    world.copy(1, 0, &key);
    assert_eq!(world.broken(), [Promise::NothingIsLost]);
    world.ledger.only_these_count(&key, &[first].into(), Some(first));
    assert!(world.ledger.versions[second].is_void && world.ledger.versions[third].is_void);
    assert_eq!(world.broken(), []);
}

#[test]
fn what_was_staged_and_never_looked_at_is_found() {
    let mut world = JudgedWorld::new();
    let key = key("system_log", "l");
    let staged = Aside { from: From::Site(1), key, content: None, cause: "staged", waits_for: None, of_backup: false };
    world.ends[0].staged.push(staged);
    assert_eq!(world.broken(), [Promise::ItEnds]);
}

#[test]
fn a_cursor_that_falls_is_found() {
    let none = [false; 3];
    assert_eq!(cursors(1, [5, 6, 7], [5, 6, 7], none), None);
    assert_eq!(cursors(1, [5, 6, 7], [8, 9, 9], none), None);
    for cursor in 0..3 {
        let mut after = [5, 6, 7];
        after[cursor] = 0;
        let found = cursors(1, [5, 6, 7], after, none).map(|found| found.promise);
        assert_eq!(found, Some(Promise::CursorsNeverGoBack));
        let mut may = none;
        may[cursor] = true;
        assert_eq!(cursors(1, [5, 6, 7], after, may), None, "it may");
    }
}

#[test]
fn a_site_that_takes_for_its_own_what_is_not_is_found() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    world.write(0, &key, Some(&asset("v1", "s1")));
    world.copy(0, 1, &key);
    world.write(0, &key, Some(&asset("v2", "s2")));
    world.copy(0, 2, &key);
    assert_eq!(world.broken(), [Promise::QuietMeansEqual], "site 1 was not told");
    world.copy(0, 1, &key);
    assert_eq!(world.broken(), [], "it was");
    world.write(0, &key, Some(&asset("v3", "s2")));
    world.copy(0, 2, &key);
    assert_eq!(world.broken(), [], "what comes later is nothing to site 1");
}

#[test]
fn an_edit_of_a_backup_is_kept_at_its_site() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    world.write(1, &key, Some(&asset("v1", "s1")));
    world.copy(1, 0, &key);
    let edit = asset("v2", "s1");
    world.write(1, &key, Some(&edit));
    world.copy(0, 1, &key);
    let content = Some(edit);
    let aside = Aside { from: From::Here, key, content, cause: "refused", waits_for: None, of_backup: true };
    world.ends[1].aside.push(aside);
    assert!(world.broken().contains(&Promise::NothingIsLost), "nothing was restored");
    world.ledger.was_restored(1);
    assert_eq!(world.broken(), []);
}

#[test]
fn what_a_restore_makes_a_site_send_again_may_replace_what_others_wrote_on_top() {
    let log = |text: &str| format!(r#"{{"id":"l","message":"{text}"}}"#);
    let play = |by: usize| {
        let mut world = JudgedWorld::new();
        let key = key("system_log", "l");
        world.write(1, &key, Some(&log("v1")));
        world.copy(1, 0, &key);
        world.copy(0, by, &key);
        world.write(by, &key, Some(&log("v2")));
        world.copy(1, 0, &key);
        world
    };
    for by in [0, 2] {
        let mut world = play(by);
        assert_eq!(world.broken(), [Promise::NothingIsLost]);
        world.ledger.was_restored(1);
        assert_eq!(world.broken(), [], "written by {by} on top of what a restored site sends again");
        let mut world = play(by);
        world.ledger.was_restored(0);
        assert_eq!(world.broken(), [], "written by {by} on top of what a restored central may have lost");
    }
    let mut world = JudgedWorld::new();
    let key = key("system_log", "l");
    world.write(1, &key, Some(&log("v1")));
    world.copy(1, 0, &key);
    world.write(1, &key, Some(&log("v2")));
    world.ledger.was_restored(1);
    assert_eq!(world.broken(), [Promise::NothingIsLost], "its own later edit");
    let mut world = play(0);
    world.ledger.was_restored(2);
    assert_eq!(world.broken(), [Promise::NothingIsLost], "another site's restore");
}

#[test]
fn only_what_is_in_a_sites_scope_is_to_stay_when_it_reads_again() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    world.write(0, &key, Some(&asset("v1", "s1")));
    world.copy(0, 1, &key);
    assert!(is_to_stay(&world.ledger, &world.ends, 1, &key));
    world.write(0, &key, Some(&asset("v2", "s2")));
    assert!(!is_to_stay(&world.ledger, &world.ends, 1, &key));
}

#[test]
fn an_older_version_over_one_that_came_later_is_found() {
    let play = |order: [usize; 2], winner: usize| {
        let mut world = JudgedWorld::new();
        world.ledger.judges_order = true;
        let key = key("name_oms_fields", "n");
        let content = |by: usize| format!(r#"{{"id":"n","properties":"v{by}"}}"#);
        let versions = [1, 2].map(|by| world.write(by, &key, Some(&content(by))));
        for by in order {
            world.ledger.came(versions[by - 1], true);
        }
        for end in 0..3 {
            world.copy(winner, end, &key);
        }
        world
    };
    assert_eq!(play([1, 2], 2).broken(), []);
    assert_eq!(play([1, 2], 1).broken(), [Promise::NothingIsLost], "what came last is nowhere");
    assert_eq!(play([2, 1], 1).broken(), []);
    let mut world = play([1, 2], 1);
    world.ledger.was_restored(1);
    assert_eq!(world.broken(), [], "after a restore nobody can tell what came last");
    let mut world = play([1, 2], 1);
    world.ledger.came(1, false);
    assert_eq!(world.broken(), [], "it may have come before, in a push that nobody answered");
}

#[test]
fn a_record_that_was_added_unknowing_must_be_taken() {
    let play = |is_told: bool, table: &str, made_twice: bool| {
        let mut world = JudgedWorld::new();
        world.ledger.judges_order = true;
        let asset_key = key("asset", "a");
        world.write(1, &asset_key, Some(&asset("v1", "s1")));
        if !made_twice {
            world.copy(1, 0, &asset_key);
        }
        let log = key(table, "l");
        let content = r#"{"id":"l","asset_id":"a","comment":"v2"}"#;
        let version = world.write(1, &log, Some(content));
        world.write(0, &asset_key, Some(&asset("v3", "s2")));
        world.copy(0, 1, &asset_key);
        world.copy(0, 2, &asset_key);
        if is_told {
            world.ledger.was_answered(1);
        }
        world.ledger.came(version, true);
        world.set_aside(1, &log, content, "refused", None);
        world.broken()
    };
    assert_eq!(play(true, "asset_log", false), [], "it may have known");
    assert_eq!(play(false, "asset_log", false), [Promise::NothingIsLost, Promise::ItEnds]);
    assert_eq!(play(false, "asset_internal_location", false), [], "an edit gives way to the move");
    let lost = play(false, "asset_log", true);
    assert!(!lost.contains(&Promise::ItEnds), "central made another asset with that id: {lost:?}");
}

#[test]
fn what_became_of_a_record_after_it_left_is_not_for_the_site_that_lost_it() {
    let mut world = JudgedWorld::new();
    world.ledger.judges_order = true;
    let key = key("asset", "a");
    world.write(0, &key, Some(&asset("v1", "s1")));
    world.write(0, &key, Some(&asset("v2", "s2")));
    world.write(0, &key, Some(&asset("v3", "s2")));
    let found = |world: &JudgedWorld, site: usize, content: &str| -> Vec<Promise> {
        let record = format!(r#"{{"tableName":"asset","recordId":"a","action":"Update","recordData":{content}}}"#);
        let body = format!(r#"{{"data":{{"records":[{{"cursor":1,"record":{record}}}]}}}}"#);
        pulled(&world.ledger, site, false, body.as_bytes()).into_iter().map(|found| found.promise).collect()
    };
    for text in ["v1", "v2"] {
        let store = if text == "v1" { "s1" } else { "s2" };
        assert_eq!(found(&world, 1, &asset(text, store)), [], "{text}");
    }
    assert_eq!(found(&world, 1, &asset("v3", "s2")), [Promise::OnlyOnesOwnArrives]);
    assert_eq!(found(&world, 2, &asset("v3", "s2")), []);
    world.ledger.store_is_on("s2", 1);
    assert_eq!(found(&world, 1, &asset("v3", "s2")), [], "its store came there too");
}

#[test]
fn a_poisoned_record_is_set_aside_with_reason() {
    let mut world = JudgedWorld::new();
    let key = key("asset", "a");
    let content = asset(crate::harsh::POISON, "s1");
    world.write(1, &key, Some(&content));
    world.set_aside(1, &key, &content, "failed", None);
    assert_eq!(world.broken(), []);
}
