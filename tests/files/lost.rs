//! Files that central had and lost: sites that have them send them again.

use std::time::Duration;

use sync_core::Error;
use sync_core::storage::FileState;
use sync_tests::world::{CentralEnd, Kind, put_class};

use super::{World, attach};

/// Central was restored, and its folder with it: what it took since goes there again, and what it still has does not.
#[test]
fn what_a_restored_central_lost_of_files_is_sent_again() {
    let world = World::around(CentralEnd::over(Kind::Memory));
    let kept = attach(&world.files, "x", b"kept").unwrap();
    world.site.sync();
    assert_eq!(world.turn().uploaded, 1);
    let storage = world.central.memory("central");
    let backup = storage.backup();
    let lost = attach(&world.files, "x", b"lost").unwrap();
    world.site.sync();
    assert_eq!(world.turn().uploaded, 1);
    assert_eq!((world.turn().uploaded, world.entry(&lost).state), (0, FileState::Done));

    storage.restore(&backup);
    let of_central = world.central.files();
    std::fs::remove_file(of_central.store().path(&lost)).unwrap();
    put_class(storage.as_ref(), "since");
    for _ in 0..3 {
        world.site.sync();
        world.turn();
        world.clock.forward(Duration::from_secs(2 * 60));
    }
    assert_eq!(std::fs::read(of_central.store().path(&lost)).unwrap(), b"lost");
    for id in [&kept, &lost] {
        assert_eq!(world.entry(id).state, FileState::Done);
    }
    assert_eq!((world.turn().uploaded, world.turn().downloaded), (0, 0), "once is enough");
}

/// A person asks for it: of one file, whatever central has of it; of all, those that central lacks.
#[test]
fn what_central_lost_is_sent_again_on_request() {
    let world = World::new();
    let ids = ["kept", "damaged", "lost"].map(|bytes| (attach(&world.files, "x", bytes.as_bytes()).unwrap(), bytes));
    world.site.sync();
    assert_eq!(world.turn().uploaded, 3);
    let of_central = world.central.files();
    let path = |at: usize| of_central.store().path(&ids[at].0);
    std::fs::write(path(1), b"spoilt!").unwrap();
    std::fs::remove_file(path(2)).unwrap();

    world.files.resend_lost().unwrap();
    assert_eq!(world.turn().uploaded, 1, "only what central lacks");
    assert_eq!(std::fs::read(path(2)).unwrap(), b"lost");
    world.files.resend(&ids[0].0).unwrap();
    world.files.resend(&ids[1].0).unwrap();
    assert_eq!(world.turn().uploaded, 2);
    for (at, (id, bytes)) in ids.iter().enumerate() {
        assert_eq!(std::fs::read(path(at)).unwrap(), bytes.as_bytes());
        assert_eq!(world.entry(id).state, FileState::Done);
    }
    assert_eq!((world.turn().uploaded, world.turn().downloaded), (0, 0), "once is enough");
}

/// Only a site that has the bytes can send them.
#[test]
fn what_is_not_here_is_not_sent_again() {
    let world = World::new();
    let id = attach(&world.files, "x", b"photo").unwrap();
    world.site.sync();
    world.turn();
    std::fs::remove_file(world.files.store().path(&id)).unwrap();
    let refused = world.files.resend(&id).unwrap_err();
    assert!(matches!(refused, Error::BadInput { .. }), "{refused:?}");
    assert!(refused.to_string().contains(id.as_str()), "{refused}");
    assert_eq!(world.entry(&id).state, FileState::Done, "nothing changed");
    assert!(matches!(world.files.resend(&"unknown".into()), Err(Error::NotFound { .. })));
    for refused in [world.central.files().resend(&id), world.central.files().resend_lost()] {
        assert!(matches!(refused, Err(Error::WrongRole { .. })), "{refused:?}");
    }
}
