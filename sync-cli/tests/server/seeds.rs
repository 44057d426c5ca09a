//! A central server's database with sites in every state.

use std::sync::Arc;

use sync_core::Replica;
use sync_core::clock::{Clock as _, SystemClock, Timestamp};
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::Action;
use sync_core::record::{Cursor, RecordData, SiteId};
use sync_core::storage::{
    Incoming, Quarantine, QuarantineCause, SiteActivity, Source, SqliteStorage, Storage as _, state,
};

use crate::support::{Desk, PASSWORD};

/// A name that is HTML, script and more.
pub(crate) const HOSTILE: &str =
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">&amp;'\"";

/// The newest position of the changelog.
pub(crate) const NEWEST: u32 = 1500;

/// The visits and the state of a site.
struct Seed {
    name: &'static str,
    /// Minutes since it was seen, pulled and pushed.
    minutes: Option<(i64, i64, i64)>,
    read_to: u64,
    refused: u64,
    malformed: u64,
    waits: bool,
}

const fn seed(name: &'static str, minutes: Option<(i64, i64, i64)>, read_to: u64) -> Seed {
    Seed { name, minutes, read_to, refused: 0, malformed: 0, waits: false }
}

/// The sites, numbered from 2 on.
const SEEDS: [Seed; 8] = [
    seed("Amana district store", Some((0, 0, 3)), u64::MAX),
    seed("Banadir hospital", Some((4, 4, 4)), 251),
    Seed { refused: 12, malformed: 1, ..seed("Central medical warehouse", Some((1, 1, 2)), u64::MAX) },
    seed("Daru clinic", Some((60 * 24 * 12, 60 * 24 * 12, 60 * 24 * 13)), 1),
    Seed {
        waits: true,
        ..seed("Eastern regional hospital, cold chain store of the vaccination programme", Some((1, 65, 1)), 2)
    },
    seed("Fresh clinic that never came", None, 0),
    Seed { refused: 1, ..seed(HOSTILE, Some((2, 2, 2)), u64::MAX) },
    seed("مستشفى الأمل", Some((3, 3, 3)), u64::MAX),
];

/// Writes a database named `central.sqlite` with these sites, and further ones up to a count.
pub(crate) fn plant(desk: &Desk, count: usize) {
    plant_these(desk, &SEEDS, count);
}

/// The same with sites as a country has them, for pictures.
pub(crate) fn plant_for_pictures(desk: &Desk) {
    let shown: Vec<Seed> = SEEDS.into_iter().filter(|seed| seed.name != HOSTILE && !seed.waits).collect();
    plant_these(desk, &shown, shown.len());
}

fn plant_these(desk: &Desk, seeds: &[Seed], count: usize) {
    let clock = Arc::new(SystemClock::new());
    let storage = Arc::new(SqliteStorage::open(desk.path("central.sqlite")).expect("a database"));
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let sites = replica.site_registry().expect("a central database");
    let first = sites.add(seeds[0].name, &PasswordHash::of_password(PASSWORD)).expect("a site");
    let txn = storage.write().expect("a transaction");
    let now = clock.now();
    let before = |minutes: i64| Timestamp::from_unix_millis(now.unix_millis() - minutes * 60_000 - 2_000);
    // As if this version had run before: otherwise quarantined records are tried again at the start.
    state::LIBRARY_VERSION.set(txn.as_ref(), env!("CARGO_PKG_VERSION")).expect("a version");
    for (seed, id) in seeds.iter().zip(2..) {
        let mut entry = first.clone();
        (entry.id, entry.name, entry.uuid) = (SiteId(id), seed.name.to_owned(), format!("uuid of {id}"));
        txn.central().expect("central's part").put_site(&entry).expect("a site");
        if let Some((seen, pulled, pushed)) = seed.minutes {
            txn.central()
                .expect("central's part")
                .note_activity(&SiteActivity {
                    site: entry.id,
                    name: seed.name.to_owned(),
                    app_version: "2.19.0".to_owned(),
                    seen_at: before(seen),
                    pulled_at: Some(before(pulled)),
                    pushed_at: Some(before(pushed)),
                    read_to: Some(Cursor(seed.read_to.min(1 << 40))),
                })
                .expect("a visit");
        }
        let causes = [(QuarantineCause::Refused, seed.refused), (QuarantineCause::Malformed, seed.malformed)];
        for (cause, count) in causes {
            for n in 0..count {
                let reason = "planted".to_owned();
                let incoming = Incoming {
                    source: Source::Site(entry.id),
                    table: "asset".into(),
                    id: format!("{cause:?}{n}").as_str().into(),
                    action: Action::Update,
                    data: RecordData::parse("{}").expect("JSON"),
                    cursor: None,
                    known: Default::default(),
                    quarantine: Some(Quarantine { cause, reason, waits_for: None }),
                };
                txn.stage(&incoming, now).expect("staged");
            }
        }
        if seed.waits {
            txn.central().expect("central's part").request_integration(entry.id, now).expect("requested");
        }
    }
    for id in seeds.len()..count {
        let mut entry = first.clone();
        let number = 2 + i32::try_from(id).expect("few");
        (entry.id, entry.name, entry.uuid) = (SiteId(number), format!("Site {id:05}"), format!("uuid of {number}"));
        txn.central().expect("central's part").put_site(&entry).expect("a site");
    }
    txn.commit().expect("committed");
    let class = |n: u32| RecordData::parse(format!(r#"{{"id":"class {n}","name":"n"}}"#)).expect("JSON");
    replica.records().put("asset_class", (1..=NEWEST).map(class)).expect("records");
}
