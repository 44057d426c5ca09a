//! The sync buffer: received records, their order, and the quarantine.

use std::sync::Arc;

use super::{Make, data, read, write};
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::Action;
use sync_core::record::{Cursor, SiteId, TableName};
use sync_core::storage::{
    Buffered, CHUNK_BYTES, Incoming, Quarantine, QuarantineCause, Source, StagedCounts, StagedKind, Storage,
};

pub(super) fn incoming(source: Source, id: &str, action: Action) -> Incoming {
    Incoming {
        source,
        table: "asset".into(),
        id: id.into(),
        action,
        data: data("{}"),
        cursor: None,
        known: Default::default(),
        quarantine: None,
    }
}

pub(super) fn central(id: &str) -> Incoming {
    incoming(Source::Central, id, Action::Update)
}

fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_700_000_000_123)
}

pub(super) fn because(cause: QuarantineCause) -> Quarantine {
    Quarantine { cause, reason: format!("it is {}", cause.as_str()), waits_for: None }
}

pub(super) fn waiting_for(table: &str, id: &str) -> Quarantine {
    Quarantine { waits_for: Some((table.into(), id.into())), ..because(QuarantineCause::Waiting) }
}

pub(super) fn set_aside(incoming: Incoming, quarantine: Quarantine) -> Incoming {
    Incoming { quarantine: Some(quarantine), ..incoming }
}

pub(super) fn stage(storage: &Arc<dyn Storage>, all: &[Incoming]) {
    write(storage, |txn| all.iter().for_each(|incoming| txn.stage(incoming, now()).unwrap()));
}

fn staged(storage: &Arc<dyn Storage>, source: Source, kind: StagedKind) -> Vec<Buffered> {
    read(storage, |txn| txn.staged(source, &"asset".into(), kind, 0, usize::MAX).unwrap())
}

fn upserts(storage: &Arc<dyn Storage>) -> Vec<String> {
    ids(&staged(storage, Source::Central, StagedKind::Upserts))
}

fn ids(rows: &[Buffered]) -> Vec<String> {
    rows.iter().map(|row| row.incoming.id.to_string()).collect()
}

fn quarantined(storage: &Arc<dyn Storage>) -> Vec<(String, Quarantine)> {
    let rows = read(storage, |txn| txn.quarantined(0, usize::MAX).unwrap());
    rows.into_iter().map(|(row, quarantine)| (row.incoming.id.to_string(), quarantine)).collect()
}

/// A newer version of a record from a source replaces the older one, with any action and in any state, and gets a
/// sequence above all earlier ones.
pub fn a_newer_version_takes_the_place_of_the_older_and_a_new_sequence(make: Make<'_>) {
    let storage = make();
    stage(&storage, &[central("x"), central("y")]);
    let before = staged(&storage, Source::Central, StagedKind::Upserts);
    let newer = Incoming { data: data(r#"{"newer":true}"#), ..central("x") };
    stage(&storage, std::slice::from_ref(&newer));
    let rows = staged(&storage, Source::Central, StagedKind::Upserts);
    assert_eq!(ids(&rows), ["y", "x"]);
    assert_eq!(rows[1].incoming.data, newer.data);
    assert_eq!(rows[1].received_at, now());
    assert!(rows[1].sequence > before[1].sequence);
    stage(&storage, &[set_aside(central("x"), because(QuarantineCause::Refused))]);
    stage(&storage, &[incoming(Source::Central, "x", Action::Delete)]);
    assert_eq!(upserts(&storage), ["y"]);
    assert_eq!(ids(&staged(&storage, Source::Central, StagedKind::Deletes)), ["x"]);
    assert_eq!(quarantined(&storage), [], "a newer version is not set aside because the older one was");
    stage(&storage, &[Incoming { table: "asset_log".into(), ..central("x") }]);
    assert_eq!(ids(&staged(&storage, Source::Central, StagedKind::Deletes)), ["x"], "another table's id");
}

/// Versions of one record from different sources are separate rows.
pub fn sources_do_not_meet(make: Make<'_>) {
    let storage = make();
    let sources =
        [Source::Central, Source::Legacy, Source::Site(SiteId(2)), Source::Site(SiteId(22)), Source::Site(SiteId(-1))];
    for source in sources {
        stage(&storage, &[incoming(source, "x", Action::Update)]);
    }
    for source in sources {
        let rows = staged(&storage, source, StagedKind::Upserts);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].incoming.source, source);
    }
    write(&storage, |txn| txn.discard(Source::Site(SiteId(2)), &"asset".into(), &"x".into()).unwrap());
    assert!(staged(&storage, Source::Site(SiteId(2)), StagedKind::Upserts).is_empty());
    assert_eq!(staged(&storage, Source::Site(SiteId(22)), StagedKind::Upserts).len(), 1);
}

/// Each merge is kept: it replaces neither another merge nor other versions of the record.
pub fn merges_are_kept_each(make: Make<'_>) {
    let storage = make();
    let merge = incoming(Source::Central, "x", Action::Merge);
    stage(&storage, &[central("x"), merge.clone(), merge, central("x")]);
    assert_eq!(ids(&staged(&storage, Source::Central, StagedKind::Merges)), ["x", "x"]);
    assert_eq!(upserts(&storage), ["x"]);
    let counts = read(&storage, |txn| txn.staged_tables(Source::Central).unwrap());
    assert_eq!(counts, [(TableName::from("asset"), StagedCounts { upserts: 1, deletes: 0, merges: 2 })]);
}

/// Staged records come in order of arrival, by source, table and kind, after a sequence and up to a limit; their tables
/// are counted by kind. Inserts and updates are both upserts.
pub fn staged_records_come_in_order_of_arrival_by_kind(make: Make<'_>) {
    let storage = make();
    let from_central = |id, action| incoming(Source::Central, id, action);
    stage(
        &storage,
        &[
            from_central("c", Action::Insert),
            from_central("d", Action::Delete),
            Incoming { table: "asset_log".into(), ..from_central("l", Action::Delete) },
            from_central("a", Action::Update),
            set_aside(from_central("w", Action::Update), because(QuarantineCause::Refused)),
            from_central("b", Action::Insert),
        ],
    );
    let rows = staged(&storage, Source::Central, StagedKind::Upserts);
    assert_eq!(ids(&rows), ["c", "a", "b"]);
    assert!(rows.windows(2).all(|pair| pair[0].sequence < pair[1].sequence) && rows[0].sequence > 0);
    assert!(rows.iter().all(|row| matches!(row.incoming.action, Action::Insert | Action::Update)));
    let deletes = staged(&storage, Source::Central, StagedKind::Deletes);
    assert!(ids(&deletes) == ["d"] && deletes[0].incoming.action == Action::Delete);
    read(&storage, |txn| {
        let page = |after, limit| txn.staged(Source::Central, &"asset".into(), StagedKind::Upserts, after, limit);
        assert_eq!(ids(&page(0, 2).unwrap()), ["c", "a"]);
        assert_eq!(ids(&page(rows[1].sequence, 2).unwrap()), ["b"]);
        assert!(page(u64::MAX, 2).unwrap().is_empty() && page(0, 0).unwrap().is_empty());
        let count = |upserts, deletes| StagedCounts { upserts, deletes, merges: 0 };
        let tables = [("asset", count(3, 1)), ("asset_log", count(0, 1))];
        assert_eq!(txn.staged_tables(Source::Central).unwrap(), tables.map(|(table, c)| (TableName::from(table), c)));
        assert!(txn.staged_tables(Source::Legacy).unwrap().is_empty());
    });
}

/// A chunk of staged or quarantined records ends before its data exceed [`CHUNK_BYTES`], but holds at least one.
pub fn a_chunk_ends_at_its_bytes_but_holds_one_record(make: Make<'_>) {
    let storage = make();
    let sized = |id: &str, bytes: usize| {
        // Two of them are the quotes.
        Incoming { data: data(&format!("\"{}\"", "x".repeat(bytes - 2))), ..central(id) }
    };
    let half = CHUNK_BYTES / 2;
    let all = [sized("1", half), sized("2", half), sized("3", CHUNK_BYTES + 1), sized("4", half), sized("5", half + 1)];
    stage(&storage, &all);
    let chunks = |next: &dyn Fn(u64) -> Vec<Buffered>| {
        let (mut chunks, mut after) = (Vec::new(), 0);
        loop {
            let chunk = next(after);
            let Some(last) = chunk.last() else { return chunks };
            after = last.sequence;
            chunks.push(ids(&chunk).concat());
        }
    };
    let staged = chunks(&|after| {
        read(&storage, |txn| {
            txn.staged(Source::Central, &"asset".into(), StagedKind::Upserts, after, usize::MAX).unwrap()
        })
    });
    assert_eq!(staged, ["12", "3", "4", "5"]);
    stage(&storage, &all.map(|incoming| set_aside(incoming, because(QuarantineCause::Refused))));
    let set_aside = chunks(&|after| {
        let rows = read(&storage, |txn| txn.quarantined(after, 100).unwrap());
        rows.into_iter().map(|(row, _)| row).collect()
    });
    assert_eq!(set_aside, ["12", "3", "4", "5"]);
}

/// Settling removes only the versions that were read: one that arrived meanwhile stays.
pub fn settle_takes_only_the_versions_that_were_read(make: Make<'_>) {
    let storage = make();
    stage(&storage, &[central("x"), central("y"), central("z")]);
    let read_before: Vec<u64> =
        staged(&storage, Source::Central, StagedKind::Upserts)[..2].iter().map(|row| row.sequence).collect();
    stage(&storage, &[central("x")]);
    write(&storage, |txn| txn.settle(&read_before).unwrap());
    assert_eq!(upserts(&storage), ["z", "x"]);
    write(&storage, |txn| {
        txn.settle(&read_before).unwrap();
        txn.settle(&[u64::MAX]).unwrap();
        txn.settle(&[]).unwrap();
    });
    assert_eq!(upserts(&storage), ["z", "x"], "settled twice");
    let newest = staged(&storage, Source::Central, StagedKind::Upserts)[1].sequence;
    write(&storage, |txn| txn.settle(&[newest]).unwrap());
    stage(&storage, &[central("later")]);
    let later = &staged(&storage, Source::Central, StagedKind::Upserts)[1];
    assert!(later.sequence > newest, "a sequence is not used again when its row went");
}

/// A quarantined record is not staged, and keeps its place, its data and its reason; an unknown sequence changes
/// nothing.
pub fn what_is_set_aside_is_no_longer_staged(make: Make<'_>) {
    let storage = make();
    stage(&storage, &[central("x"), central("y")]);
    let row = staged(&storage, Source::Central, StagedKind::Upserts).remove(0);
    let why = waiting_for("store", "S");
    write(&storage, |txn| txn.quarantine(row.sequence, &why).unwrap());
    assert_eq!(upserts(&storage), ["y"]);
    let (found, reason) = read(&storage, |txn| txn.quarantined(0, 10).unwrap()).remove(0);
    assert_eq!((found.sequence, found.received_at, &reason), (row.sequence, row.received_at, &why));
    assert_eq!(found.incoming.quarantine, Some(why));
    let other = because(QuarantineCause::Refused);
    write(&storage, |txn| {
        txn.quarantine(row.sequence, &other).unwrap();
        txn.quarantine(u64::MAX, &other).unwrap();
    });
    assert_eq!(quarantined(&storage), [("x".to_owned(), other)], "the newest reason counts");
}

/// A record may go into quarantine at its arrival; it is then never staged.
pub fn a_record_may_arrive_set_aside(make: Make<'_>) {
    let storage = make();
    let unreadable = because(QuarantineCause::Malformed);
    stage(&storage, &[set_aside(central("x"), unreadable.clone())]);
    assert!(upserts(&storage).is_empty());
    assert!(read(&storage, |txn| txn.staged_tables(Source::Central).unwrap()).is_empty());
    assert_eq!(quarantined(&storage), [("x".to_owned(), unreadable)]);
}

/// The arrival of a record stages the records that wait for it again, from every source, and no others.
pub fn the_parent_wakes_what_waits_for_it_and_nothing_else(make: Make<'_>) {
    let storage = make();
    let refused = Quarantine { waits_for: Some(("store".into(), "S".into())), ..because(QuarantineCause::Refused) };
    stage(
        &storage,
        &[
            set_aside(central("child"), waiting_for("store", "S")),
            set_aside(incoming(Source::Legacy, "child", Action::Update), waiting_for("store", "S")),
            set_aside(central("of another"), waiting_for("store", "T")),
            set_aside(central("of another table"), waiting_for("item", "S")),
            set_aside(central("refused"), refused),
        ],
    );
    let wake = |table: &str, id: &str| write(&storage, |txn| txn.wake_waiting(&table.into(), &id.into()).unwrap());
    assert_eq!(wake("store", "nobody waits"), 0);
    assert_eq!(wake("store", "S"), 2);
    assert_eq!(upserts(&storage), ["child"]);
    assert_eq!(staged(&storage, Source::Legacy, StagedKind::Upserts).len(), 1);
    assert_eq!(staged(&storage, Source::Central, StagedKind::Upserts)[0].incoming.quarantine, None);
    assert_eq!(quarantined(&storage).len(), 3);
    assert_eq!(wake("store", "S"), 0, "woken once");
}

/// Requeueing stages all records of a cause again, or those from one source, except those written here and refused
/// elsewhere.
pub fn requeue_stages_a_cause_again_but_not_what_is_from_here(make: Make<'_>) {
    let storage = make();
    let refused = || because(QuarantineCause::Refused);
    stage(
        &storage,
        &[
            set_aside(central("x"), refused()),
            set_aside(central("y"), because(QuarantineCause::Unsupported)),
            set_aside(incoming(Source::Site(SiteId(7)), "pushed", Action::Update), refused()),
            set_aside(incoming(Source::Local, "mine", Action::Update), refused()),
            central("staged"),
        ],
    );
    assert_eq!(write(&storage, |txn| txn.requeue(QuarantineCause::Malformed, None).unwrap()), 0);
    let from = |source| write(&storage, |txn| txn.requeue(QuarantineCause::Refused, Some(source)).unwrap());
    assert_eq!((from(Source::Legacy), from(Source::Site(SiteId(8))), from(Source::Local)), (0, 0, 0));
    assert_eq!(from(Source::Site(SiteId(7))), 1);
    assert_eq!(write(&storage, |txn| txn.requeue(QuarantineCause::Refused, None).unwrap()), 1);
    assert_eq!(upserts(&storage), ["x", "staged"], "in its old place");
    let left = quarantined(&storage);
    assert_eq!(left.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["y", "mine"]);
}

/// Requeueing one record stages it in its old place, marked as quarantined before, and no other; one written here stays.
pub fn requeue_one_stages_it_again_in_its_old_place(make: Make<'_>) {
    let storage = make();
    let refused = || because(QuarantineCause::Refused);
    let pushed = |id: &str| incoming(Source::Site(SiteId(7)), id, Action::Update);
    stage(
        &storage,
        &[
            set_aside(pushed("first"), refused()),
            set_aside(pushed("second"), refused()),
            pushed("staged"),
            set_aside(incoming(Source::Local, "mine", Action::Update), refused()),
        ],
    );
    let aside = read(&storage, |txn| txn.quarantined(0, 9).unwrap());
    let numbers: Vec<u64> = aside.iter().map(|(row, _)| row.sequence).collect();
    let again = |sequence| write(&storage, |txn| txn.requeue_one(sequence).unwrap());
    assert_eq!((again(numbers[0]), again(numbers[0]), again(numbers[2]), again(99)), (1, 0, 0, 0));
    let rows = staged(&storage, Source::Site(SiteId(7)), StagedKind::Upserts);
    let seen: Vec<_> =
        rows.iter().map(|row| (row.incoming.id.as_str(), row.sequence == numbers[0], row.was_set_aside)).collect();
    assert_eq!(seen, [("first", true, true), ("staged", false, false)]);
    let left = quarantined(&storage);
    assert_eq!(left.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["second", "mine"]);
}

/// A record staged from the quarantine is marked as such, whoever requested it; a newer version is not.
pub fn what_was_set_aside_is_known_once_it_is_staged_again(make: Make<'_>) {
    let storage = make();
    stage(
        &storage,
        &[
            central("in its turn"),
            central("found to wait"),
            set_aside(central("refused"), because(QuarantineCause::Refused)),
            set_aside(central("waiting"), waiting_for("store", "S")),
        ],
    );
    let found = || {
        let rows = staged(&storage, Source::Central, StagedKind::Upserts);
        rows.iter().map(|row| (row.incoming.id.to_string(), row.was_set_aside)).collect::<Vec<_>>()
    };
    let row = |id: &str, was_set_aside| (id.to_owned(), was_set_aside);
    assert_eq!(found(), [row("in its turn", false), row("found to wait", false)]);
    let sequence = staged(&storage, Source::Central, StagedKind::Upserts)[1].sequence;
    write(&storage, |txn| {
        txn.quarantine(sequence, &waiting_for("store", "S")).unwrap();
        txn.wake_waiting(&"store".into(), &"S".into()).unwrap();
        txn.requeue(QuarantineCause::Refused, None).unwrap();
    });
    let all = ["in its turn", "found to wait", "refused", "waiting"];
    assert_eq!(found(), all.map(|id| row(id, id != "in its turn")));
    stage(&storage, &[central("refused")]);
    assert_eq!(found()[3], row("refused", false));
}

/// Discarding removes a record of one source, staged or in quarantine; merges stay.
pub fn discard_takes_a_record_whatever_its_state(make: Make<'_>) {
    let storage = make();
    let discard = |id: &str| write(&storage, |txn| txn.discard(Source::Central, &"asset".into(), &id.into()).unwrap());
    stage(
        &storage,
        &[
            central("staged"),
            set_aside(central("set aside"), waiting_for("store", "S")),
            incoming(Source::Central, "staged", Action::Merge),
            incoming(Source::Legacy, "staged", Action::Update),
            Incoming { table: "asset_log".into(), ..central("staged") },
        ],
    );
    for id in ["staged", "set aside", "never here"] {
        discard(id);
    }
    assert!(upserts(&storage).is_empty() && quarantined(&storage).is_empty());
    assert_eq!(staged(&storage, Source::Central, StagedKind::Merges).len(), 1);
    assert_eq!(staged(&storage, Source::Legacy, StagedKind::Upserts).len(), 1);
    assert_eq!(read(&storage, |txn| txn.staged_tables(Source::Central).unwrap()).len(), 2);
}

/// The quarantine is counted by cause, without empty causes, and paged in order of arrival.
pub fn quarantine_is_counted_by_cause_and_paged(make: Make<'_>) {
    let storage = make();
    assert!(read(&storage, |txn| txn.quarantine_counts().unwrap()).is_empty());
    stage(&storage, &[central("staged")]);
    assert!(!read(&storage, |txn| txn.any_quarantined().unwrap()));
    assert_eq!(read(&storage, |txn| txn.newest_quarantined(Source::Central).unwrap()), 0);
    for (n, cause) in QuarantineCause::ALL.into_iter().enumerate() {
        for m in 0..n {
            stage(&storage, &[set_aside(central(&format!("{n}{m}")), because(cause))]);
        }
    }
    read(&storage, |txn| {
        let counts = [
            (QuarantineCause::Refused, 1),
            (QuarantineCause::Unsupported, 2),
            (QuarantineCause::Malformed, 3),
            (QuarantineCause::Failed, 4),
            (QuarantineCause::Superseded, 5),
            (QuarantineCause::Ignored, 6),
        ];
        assert_eq!(txn.quarantine_counts().unwrap(), counts);
        assert!(txn.any_quarantined().unwrap());
        let mut paged: Vec<Buffered> = Vec::new();
        loop {
            let page = txn.quarantined(paged.last().map_or(0, |row| row.sequence), 4).unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page.into_iter().map(|(row, _)| row));
        }
        let newest = |source| txn.newest_quarantined(source).unwrap();
        assert_eq!((Some(newest(Source::Central)), newest(Source::Legacy)), (paged.last().map(|row| row.sequence), 0));
        let all: Vec<String> = (0..7).flat_map(|n| (0..n).map(move |m| format!("{n}{m}"))).collect();
        assert_eq!(ids(&paged), all);
    });
}

/// The sender's cursor is returned for records that are staged or wait for another, and not for others in quarantine.
pub fn the_cursor_of_what_may_still_be_integrated_is_known(make: Make<'_>) {
    let storage = make();
    let site = Source::Site(SiteId(2));
    let sent = |quarantine| Incoming { cursor: Some(Cursor(7)), quarantine, ..incoming(site, "x", Action::Update) };
    let known = |source| read(&storage, |txn| txn.buffered_cursor(source, &"asset".into(), &"x".into()).unwrap());
    assert_eq!(known(site), None);
    for (quarantine, expected) in [
        (None, Some(Cursor(7))),
        (Some(because(QuarantineCause::Refused)), None),
        (Some(waiting_for("asset", "parent")), Some(Cursor(7))),
        (Some(because(QuarantineCause::Malformed)), None),
        (Some(because(QuarantineCause::Unsupported)), None),
    ] {
        stage(&storage, &[sent(quarantine.clone())]);
        assert_eq!((known(site), known(Source::Central)), (expected, None), "{quarantine:?}");
    }
}

/// From any sender and in any state, in order of arrival; a merge is no version.
pub fn all_versions_of_a_record_in_the_buffer_are_known(make: Make<'_>) {
    let storage = make();
    let site = |number| Source::Site(SiteId(number));
    let aside = |cause, row| Incoming { quarantine: Some(because(cause)), ..row };
    stage(
        &storage,
        &[
            incoming(site(2), "x", Action::Update),
            aside(QuarantineCause::Malformed, incoming(site(3), "x", Action::Insert)),
            aside(QuarantineCause::Ignored, incoming(site(4), "x", Action::Delete)),
            incoming(Source::Central, "x", Action::Update),
            incoming(Source::Legacy, "x", Action::Merge),
            incoming(site(6), "y", Action::Update),
            incoming(site(2), "x", Action::Update),
        ],
    );
    let of = |id: &str| read(&storage, |txn| txn.buffered_versions(&"asset".into(), &id.into()).unwrap());
    let versions = |id: &str| {
        let version = |row: Buffered| (row.incoming.source, row.incoming.quarantine.map(|aside| aside.cause));
        of(id).into_iter().map(version).collect::<Vec<_>>()
    };
    let (malformed, ignored) = (Some(QuarantineCause::Malformed), Some(QuarantineCause::Ignored));
    let expected = [(site(3), malformed), (site(4), ignored), (Source::Central, None), (site(2), None)];
    assert_eq!(versions("x"), expected);
    assert_eq!((versions("y"), versions("z")), (vec![(site(6), None)], vec![]));
    assert!(of("x").is_sorted_by_key(|row| row.sequence));
    let elsewhere = |source, id: &str| {
        read(&storage, |txn| txn.is_buffered_elsewhere(source, &"asset".into(), &id.into()).unwrap())
    };
    assert!(elsewhere(site(3), "x") && elsewhere(site(5), "x") && elsewhere(Source::Central, "y"));
    assert!(!elsewhere(site(6), "y") && !elsewhere(site(6), "z"));
}
