use super::*;
use crate::storage::MemoryStorage;

const SITE: SiteId = SiteId(2);

struct Judge(MemoryStorage);

fn chain(first: &str, after: &str, number: u64, id: &str) -> PushChain {
    PushChain { after: after.to_owned(), id: id.to_owned(), number, loss_handled: Cursor(0), first: first.to_owned() }
}

impl Judge {
    fn push(&self, after: &str, id: &str, lost: &[ChangelogGap], at: i64) -> PushVerdict {
        self.numbered((after, 0), id, lost, at)
    }

    fn numbered(&self, (after, number): (&str, u64), id: &str, lost: &[ChangelogGap], at: i64) -> PushVerdict {
        let chain = chain("", after, number, id);
        let txn = self.0.write().unwrap();
        let verdict = judge(txn.as_ref(), SITE, Some(&chain), lost, Timestamp::from_unix_millis(at)).unwrap();
        txn.commit().unwrap();
        verdict
    }
}

fn taken(verdict: &PushVerdict) -> bool {
    matches!(verdict, PushVerdict::Taken(_))
}

/// What a pull names is stored, and read with each later request of the site.
#[test]
fn ids_longer_than_any_site_makes_are_not_kept() {
    let judge = Judge(MemoryStorage::new());
    assert!(taken(&judge.push("", "1", &[], 1)));
    let known = of_site(judge.0.read().unwrap().as_ref(), SITE).unwrap();
    let (after, loss_handled) = ("x".repeat(1_000_000), Cursor(0));
    let chain = PushChain { after, id: "2".to_owned(), number: 9, loss_handled, first: String::new() };
    note_went_back(&judge.0, SITE, &chain, Timestamp::from_unix_millis(2)).unwrap();
    assert_eq!(of_site(judge.0.read().unwrap().as_ref(), SITE).unwrap(), known);
    assert!(taken(&judge.push("1", "2", &[], 3)), "its next push is taken");
}

#[test]
fn of_two_copies_the_one_that_was_taken_last_goes_on() {
    let judge = Judge(MemoryStorage::new());
    for (after, id) in [("", "a"), ("a", "b"), ("a", "b"), ("b", "c"), ("a", "b")] {
        assert!(taken(&judge.push(after, id, &[], 1)), "{after} {id}");
    }
    // A copy that was made when "a" was the last one.
    let refused = judge.push("a", "other b", &[], 2);
    assert_eq!(refused, PushVerdict::Refused { goes_on_since: Timestamp::from_unix_millis(1) });
    let told = judge.push("c", "d", &[], 3);
    assert_eq!(
        told,
        PushVerdict::Taken(Some(CopyReport { refused_at: Some(Timestamp::from_unix_millis(2)), number: 4 }))
    );
    // A person decides for it by setting it up again: from then on the other one is refused.
    assert!(taken(&judge.push("", "new", &[], 4)));
    assert!(!taken(&judge.push("d", "e", &[], 5)));
    assert!(taken(&judge.push("new", "newer", &[], 6)));
}

#[test]
fn a_backup_that_was_put_back_goes_on_once() {
    let judge = Judge(MemoryStorage::new());
    for (after, id) in [("", "a"), ("a", "b"), ("b", "c")] {
        assert!(taken(&judge.push(after, id, &[], 1)));
    }
    let lost = [ChangelogGap { after: Cursor(10), before: Cursor(20) }];
    assert!(taken(&judge.push("a", "after the restore", &lost, 2)));
    assert!(!taken(&judge.push("c", "d", &[], 3)), "what it was made of runs on");
    assert!(!taken(&judge.push("a", "a second copy of the backup", &lost, 4)));
    assert!(taken(&judge.push("after the restore", "on", &lost, 5)));
}

#[test]
fn central_that_was_put_back_itself_knows_less() {
    let judge = Judge(MemoryStorage::new());
    assert!(taken(&judge.push("", "a", &[], 1)));
    let txn = judge.0.write().unwrap();
    state::LOST.set(txn.as_ref(), vec![ChangelogGap { after: Cursor(5), before: Cursor(9) }]).unwrap();
    txn.commit().unwrap();
    assert!(taken(&judge.push("z", "on", &[], 2)), "the pushes in between are not known");
    assert!(!taken(&judge.push("a", "b", &[], 3)));
}

#[test]
fn a_late_copy_of_a_push_that_central_lost_is_no_other_database() {
    const MINUTES: i64 = 60_000;
    let judge = Judge(MemoryStorage::new());
    for (after, id) in [("", "of an older database"), ("", "a"), ("a", "b")] {
        assert!(taken(&judge.push(after, id, &[], 0)));
    }
    // Restored to before "a"; the database goes on with a push that names its first one.
    let judge = Judge(MemoryStorage::new());
    assert!(taken(&judge.push("", "of an older database", &[], 0)));
    let goes_on = |judge: &Judge, after: &str, number, id: &str, at| {
        let first = "a".to_owned();
        let chain = PushChain { after: after.to_owned(), id: id.to_owned(), number, loss_handled: Cursor(0), first };
        let txn = judge.0.write().unwrap();
        let verdict = super::judge(txn.as_ref(), SITE, Some(&chain), &[], Timestamp::from_unix_millis(at)).unwrap();
        txn.commit().unwrap();
        verdict
    };
    let refused_at = |verdict: &PushVerdict| match verdict {
        PushVerdict::Taken(Some(told)) => told.refused_at,
        other => panic!("{other:?}"),
    };
    assert!(taken(&goes_on(&judge, "b", 3, "c", MINUTES)));
    for (after, late) in [("", "a"), ("a", "b")] {
        assert!(!taken(&judge.push(after, late, &[], 2 * MINUTES)), "{late}");
    }
    let on = goes_on(&judge, "c", 4, "d", 3 * MINUTES);
    assert_eq!(refused_at(&on), None, "a late request shows no copy");
    // Much later nothing is late any more, so it is a copy of the database.
    assert!(!taken(&judge.push("", "a", &[], 60 * MINUTES)));
    assert!(refused_at(&goes_on(&judge, "d", 5, "e", 61 * MINUTES)).is_some());
    // A new database begins with a push of its own, which no other push has named.
    assert!(taken(&judge.push("", "anew", &[], 62 * MINUTES)));

    // A pull shows it too.
    let judge = Judge(MemoryStorage::new());
    assert!(taken(&judge.push("", "of an older database", &[], 0)));
    let (after, id, first) = ("b".to_owned(), String::new(), "a".to_owned());
    let pulls = PushChain { after, id, number: 3, loss_handled: Cursor(0), first };
    note_went_back(&judge.0, SITE, &pulls, Timestamp::from_unix_millis(MINUTES)).unwrap();
    assert!(!taken(&judge.push("", "a", &[], 2 * MINUTES)));
    assert_eq!(refused_at(&goes_on(&judge, "b", 3, "c", 3 * MINUTES)), None);
}

#[test]
fn a_database_that_was_set_up_replaces_the_former_one_with_its_first_pull() {
    let judge = Judge(MemoryStorage::new());
    let at = Timestamp::from_unix_millis;
    let pulls_in = |stage, first: &str, now| {
        note_set_up(&judge.0, SITE, &chain(first, "", 0, ""), stage, at(now)).unwrap();
    };
    let pulls = |first: &str, now| {
        pulls_in(PullStage::Begins, first, now);
        pulls_in(PullStage::Continues, first, now);
    };
    let pull_verdict =
        |chain: &PushChain, now| judge_pull(judge.0.read().unwrap().as_ref(), SITE, chain, at(now)).unwrap();
    let pushes = |chain: PushChain, now| {
        let txn = judge.0.write().unwrap();
        let verdict = super::judge(txn.as_ref(), SITE, Some(&chain), &[], at(now)).unwrap();
        txn.commit().unwrap();
        verdict
    };
    pulls("former", 0);
    assert!(taken(&pushes(chain("former", "", 0, "a"), 1)));
    assert!(taken(&pushes(chain("former", "a", 1, "b"), 2)));
    let copied_before_its_first_push = pushes(chain("former", "", 0, "other a"), 3);
    assert_eq!(copied_before_its_first_push, PushVerdict::Refused { goes_on_since: at(2) });

    pulls("new", 4);
    pulls("former", 5);
    let elsewhere = pull_verdict(&chain("new", "y", 0, ""), 5);
    assert_eq!(elsewhere, PullVerdict::Continues, "its push went to a server that only looked like central");
    assert_eq!(pull_verdict(&chain("former", "", 0, ""), 5), PullVerdict::Refused { goes_on_since: at(4) });
    for (after, number, id) in [("b", 2, "c"), ("z", 30, "c"), ("", 0, "a")] {
        let verdict = pushes(chain("former", after, number, id), 6);
        assert_eq!(verdict, PushVerdict::Refused { goes_on_since: at(4) }, "{after} {id}");
    }
    let first = pushes(chain("new", "", 0, "d"), 7);
    assert_eq!(first, PushVerdict::Taken(Some(CopyReport { refused_at: Some(at(6)), number: 3 })));
    assert!(taken(&pushes(chain("new", "", 0, "d"), 8)), "it was sent once more");
    assert!(taken(&pushes(chain("new", "d", 3, "e"), 9)));
    assert!(!taken(&pushes(chain("new", "", 0, "other d"), 10)));
    let copied_before_its_first_push = pull_verdict(&chain("new", "", 0, "other d"), 10);
    assert_eq!(copied_before_its_first_push, PullVerdict::Refused { goes_on_since: at(9) });
    assert_eq!(
        pull_verdict(&chain("new", "", 0, "d"), 10),
        PullVerdict::Continues,
        "it had no answer to its first push"
    );

    // After a restore of central the former one does not come before the new one.
    let txn = judge.0.write().unwrap();
    state::LOST.set(txn.as_ref(), vec![ChangelogGap { after: Cursor(5), before: Cursor(9) }]).unwrap();
    txn.commit().unwrap();
    assert!(!taken(&pushes(chain("former", "b", 2, "f"), 11)));
    assert!(taken(&pushes(chain("new", "e", 4, "f"), 12)));

    // A first pull that was held up on its way, of a database that was given up.
    const MINUTES: i64 = 60_000;
    pulls_in(PullStage::Begins, "given up", 13);
    assert_eq!(pushes(chain("new", "f", 5, "g"), 14), PushVerdict::Undecided { set_up_at: at(13) });
    assert_eq!(pull_verdict(&chain("new", "f", 5, ""), 14), PullVerdict::Undecided { set_up_at: at(13) });
    assert_eq!(pull_verdict(&chain("new", "f", 5, ""), 16 * MINUTES), PullVerdict::Continues);
    assert!(taken(&pushes(chain("new", "f", 5, "g"), 16 * MINUTES)));
    assert!(taken(&pushes(chain("new", "g", 6, "h"), 17 * MINUTES)));
    assert!(!taken(&pushes(chain("given up", "", 0, "late"), 18 * MINUTES)));

    // Central forgot a database that has read everything long ago.
    pulls_in(PullStage::Initialised, "forgotten", 19 * MINUTES);
    assert!(!taken(&pushes(chain("new", "h", 7, "i"), 20 * MINUTES)));
    let told = lost_history(judge.0.read().unwrap().as_ref(), SITE).unwrap();
    assert_eq!(told.last().map(|gap| gap.after), Some(Cursor(0)), "it reads everything again");
}

#[test]
fn a_central_server_that_was_put_back_from_a_snapshot_refuses_no_site() {
    let judge = Judge(MemoryStorage::new());
    for (n, (after, id)) in [("", "a"), ("a", "b"), ("b", "c")].into_iter().enumerate() {
        assert!(taken(&judge.numbered((after, n as u64), id, &[], 1)));
    }
    // Five pushes of the site were accepted, of which this server knows three.
    let pulls = |after: &str, number| {
        let chain = PushChain {
            after: after.to_owned(),
            id: String::new(),
            number,
            loss_handled: Cursor(0),
            first: String::new(),
        };
        let verdict = judge_pull(judge.0.read().unwrap().as_ref(), SITE, &chain, Timestamp::from_unix_millis(2));
        verdict.unwrap() == PullVerdict::Continues
    };
    assert!(pulls("e", 5) && !pulls("e", 3));
    let on = judge.numbered(("e", 5), "f", &[], 2);
    assert_eq!(on, PushVerdict::Taken(Some(CopyReport { refused_at: None, number: 6 })));
    // Copies are told apart as before: one that was made in between, and one that is set up again.
    assert!(!taken(&judge.numbered(("e", 5), "other f", &[], 3)) && !pulls("d", 4));
    assert!(taken(&judge.numbered(("", 0), "new", &[], 4)));
    assert!(!taken(&judge.numbered(("f", 6), "g", &[], 5)));
}

#[test]
fn a_loss_that_the_site_has_handled_explains_a_number_that_nobody_knows_here() {
    for (handled, is_told_more) in [(0, true), (8, true), (9, false)] {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let known = vec![ChangelogGap { after: Cursor(5), before: Cursor(9) }];
        state::LOST.set(txn.as_ref(), known.clone()).unwrap();
        let (after, id) = ("c".to_owned(), "d".to_owned());
        let chain = PushChain { after, id, number: 3, loss_handled: Cursor(handled), first: String::new() };
        let verdict = judge(txn.as_ref(), SITE, Some(&chain), &[], Timestamp::from_unix_millis(1)).unwrap();
        assert!(taken(&verdict));
        assert_eq!(lost_history(txn.as_ref(), SITE).unwrap() != known, is_told_more, "{handled}");
    }
}

#[test]
fn who_tells_nothing_is_asked_nothing() {
    let storage = MemoryStorage::new();
    let txn = storage.write().unwrap();
    for chain in [
        None,
        Some(PushChain {
            after: String::new(),
            id: "x".repeat(65),
            number: 0,
            loss_handled: Cursor(0),
            first: String::new(),
        }),
    ] {
        let verdict = judge(txn.as_ref(), SITE, chain.as_ref(), &[], Timestamp::from_unix_millis(1)).unwrap();
        assert_eq!(verdict, PushVerdict::Taken(None));
    }
    assert_eq!(of_site(txn.as_ref(), SITE).unwrap(), None);
}

/// A site handles only losses that end behind those it knows: the next restore of central must not end where this one did.
#[test]
fn a_loss_that_is_told_to_one_site_ends_at_a_position_that_is_used() {
    let judge = Judge(MemoryStorage::new());
    let (now, table, id) = (Timestamp::from_unix_millis(0), "asset_class".into(), "c".into());
    let txn = judge.0.write().unwrap();
    let class = crate::record::RecordData::of(&serde_json::json!({ "id": "c", "name": "n" }));
    write::upsert(txn.as_ref(), &table, &id, &class, write::Origin::Local, now).unwrap();
    state::LOST.set(txn.as_ref(), vec![ChangelogGap { after: Cursor(0), before: Cursor(1) }]).unwrap();
    txn.commit().unwrap();
    // Central was restored to before the first push of this database.
    assert!(taken(&judge.numbered(("z", 4), "on", &[], 1)));
    let txn = judge.0.read().unwrap();
    let told = lost_history(txn.as_ref(), SITE).unwrap();
    let ends = told.iter().map(|lost| lost.before).max().unwrap();
    assert_eq!((ends, txn.last_cursor().unwrap()), (Cursor(2), Cursor(2)));
    assert_eq!(txn.record(&table, &id).unwrap(), Some(class));
}

#[test]
fn a_copy_that_counts_as_restored_is_refused_once_another_was_set_up() {
    let judge = Judge(MemoryStorage::new());
    let at = Timestamp::from_unix_millis;
    let pushes = |chain: PushChain, lost: &[ChangelogGap], now| {
        let txn = judge.0.write().unwrap();
        let verdict = super::judge(txn.as_ref(), SITE, Some(&chain), lost, at(now)).unwrap();
        txn.commit().unwrap();
        verdict
    };
    let lost = [ChangelogGap { after: Cursor(10), before: Cursor(20) }];
    for stage in [PullStage::Begins, PullStage::Continues] {
        note_set_up(&judge.0, SITE, &chain("former", "", 0, ""), stage, at(0)).unwrap();
    }
    assert!(taken(&pushes(chain("former", "", 0, "a"), &[], 1)));
    // Without another set-up a restored backup goes on.
    assert!(taken(&pushes(chain("former", "a", 1, "b"), &lost, 2)));
    for stage in [PullStage::Begins, PullStage::Continues] {
        note_set_up(&judge.0, SITE, &chain("new", "", 0, ""), stage, at(3)).unwrap();
    }
    assert!(taken(&pushes(chain("new", "", 0, "c"), &[], 4)));
    let newer = [ChangelogGap { after: Cursor(30), before: Cursor(40) }];
    assert!(
        !taken(&pushes(chain("former", "b", 2, "d"), &newer, 5)),
        "a copy of the former one, without its watermark"
    );
    assert!(taken(&pushes(chain("new", "c", 3, "e"), &[], 6)));
    // A backup of the newest one that was put back goes on.
    assert!(taken(&pushes(chain("new", "c", 3, "f"), &newer, 7)));
}
