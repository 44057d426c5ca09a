//! The front as futures: the same results, a runtime that goes on meanwhile, and cancellation by drop.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sync_core::asynchronous::{AsyncReplica, AsyncSite};
use sync_core::record::{AssetClass, Query};
use sync_core::storage::MemoryStorage;
use sync_core::transport::{HttpRequest, HttpResponse, Stop, Transport, TransportError};
use sync_core::{Error, RecordWrite, Replica, SyncEvent, SyncOptions, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, asset, data};

/// A runtime with one thread, so that a call that blocks it is noticed.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn central() -> AsyncReplica {
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    replica.site_registry().expect("a central database");
    replica.asynchronous()
}

fn class(id: &str) -> AssetClass {
    AssetClass { id: id.into(), name: id.into(), ..AssetClass::default() }
}

#[test]
fn records_are_read_and_written_as_by_the_blocking_front() {
    runtime().block_on(async {
        let replica = central();
        replica.put(class("a")).await.expect("stored");
        replica.write(|txn| txn.of().put(&class("b"))).await.expect("stored");
        let rename = |class: &mut AssetClass| {
            class.name.push('!');
            Ok(())
        };
        replica.update("a", rename).await.expect("changed");
        assert_eq!(replica.get::<AssetClass>("a").await.expect("reads").expect("is here").name, "a!");
        let found: Vec<AssetClass> = replica.find(Query::new().is("name", "b")).await.expect("found");
        let count = replica.count::<AssetClass>(Query::new()).await.expect("counted");
        assert_eq!((found.len(), count), (1, 2));
        let refused = replica.delete::<AssetClass>("none").await.expect_err("it is not here");
        assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
        let names = replica.run(|replica| Ok(replica.stores()?.len())).await.expect("any call");
        assert_eq!(names, 0);
        assert_eq!(replica.status().await.expect("reads").quarantined, 0);
    });
}

#[test]
fn a_site_synchronises_and_its_observer_is_called() {
    let world = CentralEnd::over(Kind::Memory);
    let north = world.new_site("north");
    north.sync();
    north.records.put("asset", [asset("a", "STORE_north", "")]).expect("stored");
    runtime().block_on(async {
        let site = AsyncSite::from(north.site.clone());
        let (tell, told) = mpsc::channel();
        let observer = move |event: &SyncEvent| {
            let _ = tell.send(matches!(event, SyncEvent::Progress { .. }));
            ControlFlow::Continue(())
        };
        let report = site.sync_observed(SyncOptions::default(), observer).await.expect("a cycle");
        assert_eq!((report.outcome, report.pushed), (SyncOutcome::Done, 1));
        assert!(told.try_iter().any(|is_progress| is_progress));
        let stops = |_: &SyncEvent| ControlFlow::Break(());
        let report = site.sync_observed(SyncOptions::default(), stops).await.expect("a cycle");
        assert_eq!(report.outcome, SyncOutcome::Cancelled);
    });
}

#[test]
fn lists_of_writes_documents_and_conflicts_have_futures_too() {
    runtime().block_on(async {
        let replica = central();
        let start = replica.blocking().records().position().expect("reads");
        let both = vec![
            RecordWrite::put_value(&class("a")),
            RecordWrite::put("asset_class", data(r#"{"id":"b","name":"b"}"#)),
        ];
        replica.apply(both).await.expect("stored");
        let listed = replica.list::<AssetClass>(Some("a".into()), 9).await.expect("reads");
        assert_eq!(listed.iter().map(|class| class.id.as_str()).collect::<Vec<_>>(), ["b"]);
        let late = vec![RecordWrite::put_value(&class("a")).unchanged_since(start)];
        assert_eq!(replica.apply(late).await.expect_err("it was changed").code(), "changed_meanwhile");
        assert!(replica.conflicts().await.expect("reads").is_empty());
        let mut of_assets = replica.watch_from(start).only(["asset"]).every(Duration::from_millis(5));
        assert!(tokio::time::timeout(Duration::from_millis(50), of_assets.changes()).await.is_err());
        assert_eq!(replica.watch_from(start).changes().await.expect("changes").records.len(), 2);
        let by_name = Query::new().is("name", "b");
        let mut documents = replica.watch_documents("asset_class", by_name).await.expect("reads");
        assert_eq!(documents.changes().await.expect("the first answer")[0].0.as_str(), "b");
    });
}

#[test]
fn any_call_of_a_site_has_a_future_that_ends_it_when_it_is_dropped() {
    let world = CentralEnd::over(Kind::Memory);
    let north = world.new_site("north");
    north.sync();
    let replica = Replica::with_storage(north.storage.clone());
    let (runtime, asked) = (runtime(), Arc::new(AtomicBool::new(false)));
    runtime.block_on(async {
        let site = AsyncSite::from(north.site.clone());
        let found = site.run(|site, observer| site.discover(observer)).await.expect("the servers answer");
        assert!(!found.central_url.is_empty(), "{found:?}");
        let silent = replica.asynchronous().site(Arc::new(Silent(asked.clone())));
        let (tell, told) = mpsc::channel();
        let call = silent.run(move |site, observer| {
            let done = site.discover(observer);
            let _ = tell.send(done.as_ref().err().map(Error::code));
            done
        });
        assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err(), "the line is silent");
        assert!(asked.load(Ordering::SeqCst));
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(Some("cancelled")), "the drop ended it");
    });
    drop(runtime);
}

/// A line on which nothing comes back until the exchange is stopped.
struct Silent(Arc<AtomicBool>);

struct Stoppable(Stop);

impl Transport for Silent {
    fn send(&self, _: &HttpRequest) -> Result<HttpResponse, TransportError> {
        Err(TransportError::TimedOut("it is never asked so".into()))
    }

    fn stoppable(&self, stop: &Stop) -> Option<Box<dyn Transport + '_>> {
        self.0.store(true, Ordering::SeqCst);
        Some(Box::new(Stoppable(stop.clone())))
    }
}

impl Transport for Stoppable {
    fn send(&self, _: &HttpRequest) -> Result<HttpResponse, TransportError> {
        while !self.0.is_asked() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(TransportError::Stopped)
    }
}

#[test]
fn a_dropped_cycle_ends_while_the_runtime_goes_on() {
    let world = CentralEnd::over(Kind::Memory);
    let north = world.new_site("north");
    north.sync();
    let asked = Arc::new(AtomicBool::new(false));
    let replica = Replica::with_storage(north.storage.clone());
    let site = replica.asynchronous().site(Arc::new(Silent(asked.clone())));
    let runtime = runtime();
    let began = Instant::now();
    runtime.block_on(async {
        let cycle = tokio::time::timeout(Duration::from_millis(300), site.sync(SyncOptions::default()));
        assert!(cycle.await.is_err(), "the line is silent");
        assert!(asked.load(Ordering::SeqCst));
        // The cycle ends by itself now, and gives its lock back.
        while matches!(
            north.site.sync(&SyncOptions::default(), &mut sync_core::NoopObserver),
            Err(Error::CycleRunning { .. })
        ) {
            assert!(began.elapsed() < Duration::from_secs(20), "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    // Otherwise the end of the runtime would wait for the thread.
    drop(runtime);
}

/// The line is silent for the first cycle only. The dropped one holds the lock for a moment, of which the next ones hear nothing.
#[test]
fn the_next_cycle_waits_for_the_end_of_a_dropped_one() {
    let world = CentralEnd::over(Kind::Memory);
    let north = world.new_site("north");
    north.sync();
    let replica = Replica::with_storage(north.storage.clone()).asynchronous();
    let begun = Arc::new(AtomicBool::new(false));
    let runtime = runtime();
    runtime.block_on(async {
        for _ in 0..3 {
            let silent = replica.site(Arc::new(Silent(begun.clone())));
            let cycle = tokio::time::timeout(Duration::from_millis(100), silent.sync(SyncOptions::default()));
            assert!(cycle.await.is_err(), "the line is silent");
            // This one waits, and is dropped too.
            let site = AsyncSite::from(north.site.clone());
            let also = tokio::time::timeout(Duration::from_micros(10), site.sync(SyncOptions::default())).await;
            assert!(!matches!(also, Ok(Err(_))), "{also:?}");
            let report = site.sync(SyncOptions::default()).await.expect("it begins");
            assert_eq!(report.outcome, SyncOutcome::Done);
        }
        // The cycle of another program, or of another call that is awaited, is an error as before.
        let lock = north.storage.lock_cycle().expect("nothing runs");
        let refused = AsyncSite::from(north.site.clone()).sync(SyncOptions::default()).await;
        assert_eq!(refused.expect_err("a cycle runs").code(), "cycle_running");
        drop(lock);
    });
    drop(runtime);
}

/// Whichever way it is called: who awaits a dropped cycle is nobody.
#[test]
fn calls_that_block_and_other_replicas_wait_for_a_dropped_cycle_too() {
    let world = CentralEnd::over(Kind::Memory);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("north.sqlite");
    let first = Replica::open(&path).expect("a database");
    world.add_site("north");
    let north = world.set_up_over(first.storage().clone(), "north", world.transport());
    north.sync();
    let begun = Arc::new(AtomicBool::new(false));
    let silent = first.asynchronous().site(Arc::new(Silent(begun.clone())));
    let second = Replica::open(&path).expect("the same database");
    let runtime = runtime();
    let drop_one = || {
        begun.store(false, Ordering::SeqCst);
        let cycle =
            async { tokio::time::timeout(Duration::from_millis(150), silent.sync(SyncOptions::default())).await };
        assert!(runtime.block_on(cycle).is_err() && begun.load(Ordering::SeqCst), "the line is silent");
    };
    for copy in ["1", "2", "3"] {
        drop_one();
        let of_second = AsyncSite::from(second.site(world.transport()));
        let report = runtime.block_on(of_second.sync(SyncOptions::default())).expect("it waits");
        assert_eq!(report.outcome, SyncOutcome::Done);
        drop_one();
        let report = of_second.blocking().sync(&SyncOptions::default(), &mut sync_core::NoopObserver);
        assert_eq!(report.expect("it waits").outcome, SyncOutcome::Done);
        drop_one();
        second.back_up(&folder.path().join(copy)).expect("it waits");
    }
    drop(runtime);
}

#[test]
fn the_transaction_of_a_future_fails_with_an_error_of_the_app() {
    #[derive(Debug, PartialEq)]
    enum Own {
        Full,
        Sync(&'static str),
    }
    impl From<Error> for Own {
        fn from(error: Error) -> Self {
            Self::Sync(error.code())
        }
    }
    runtime().block_on(async {
        let replica = central();
        let full = replica.write_with(|txn| {
            txn.of().put(&class("a"))?;
            Err::<(), _>(Own::Full)
        });
        assert_eq!(full.await, Err(Own::Full));
        let refused = replica.write_with::<_, Own>(|txn| Ok(txn.delete("asset_class", "none")?));
        assert_eq!(refused.await, Err(Own::Sync("not_found")));
        assert_eq!(replica.count::<AssetClass>(Query::new()).await.expect("counted"), 0);
        assert_eq!(replica.write_with::<_, Own>(|txn| Ok(txn.of().put(&class("a"))?)).await, Ok(()));
    });
}

#[test]
fn a_watch_that_is_dropped_while_it_waits_loses_nothing() {
    runtime().block_on(async {
        let replica = central();
        let mut watch = replica.watch().await.expect("reads");
        let waiting = tokio::time::timeout(Duration::from_millis(50), watch.changes());
        assert!(waiting.await.is_err(), "nothing changed");
        let before = watch.position();
        replica.put(class("a")).await.expect("stored");
        let batch = watch.changes().await.expect("a change");
        assert_eq!((batch.records.len(), batch.records[0].id.as_str()), (1, "a"));
        assert!(watch.position() > before);
    });
}

#[test]
fn a_query_is_watched_and_a_dropped_wait_loses_no_answer() {
    runtime().block_on(async {
        let replica = central();
        let by_name = Query::new().order_by("name");
        let mut classes = replica.watch_query::<AssetClass>(by_name.clone()).await.expect("reads");
        let names = |classes: Vec<AssetClass>| classes.into_iter().map(|class| class.name).collect::<Vec<_>>();
        assert!(classes.changes().await.expect("the first answer").is_empty());
        let waiting = tokio::time::timeout(Duration::from_millis(50), classes.changes());
        assert!(waiting.await.is_err(), "nothing changed");
        replica.put(class("b")).await.expect("stored");
        // This call begins and is dropped. Its thread sees the change, which the next call reports all the same.
        let begun = tokio::time::timeout(Duration::ZERO, classes.changes()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = match begun {
            Ok(answer) => answer,
            Err(_) => classes.changes().await,
        };
        assert_eq!(names(answer.expect("an answer")), ["b"]);
        replica.run(|replica| replica.records().of().put(&class("a"))).await.expect("stored");
        assert_eq!(names(classes.changes().await.expect("an answer")), ["a", "b"]);
        // A record of another type is no change.
        replica.run(|replica| replica.records().put("asset", [asset("x", "S", "")])).await.expect("stored");
        let waiting = tokio::time::timeout(Duration::from_millis(300), classes.changes());
        assert!(waiting.await.is_err(), "the answer is the same");
        let mut wrong = replica.watch_query::<AssetClass>(by_name.is("nam", "a")).await.expect("reads");
        for _ in 0..2 {
            assert_eq!(wrong.changes().await.expect_err("no such field").code(), "bad_input");
        }
    });
}

#[test]
fn a_dropped_wait_for_an_answer_ends_its_thread() {
    let replica = central();
    let began = Instant::now();
    let runtime = runtime();
    runtime.block_on(async {
        let mut classes = replica.watch_query::<AssetClass>(Query::new()).await.expect("reads");
        classes.changes().await.expect("the first answer");
        let waiting = tokio::time::timeout(Duration::from_millis(20), classes.changes());
        assert!(waiting.await.is_err(), "nothing changes");
    });
    // The end of a runtime waits for its threads.
    drop(runtime);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// A runtime with one thread for blocking work, and more waiters than that.
#[test]
fn waiters_leave_the_threads_of_a_runtime_to_other_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_time().build();
    let runtime = runtime.expect("a runtime");
    let replica = central();
    let waits = Duration::from_secs(20);
    runtime.block_on(async {
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let (of_changes, of_classes) = (replica.watch(), replica.watch_query::<AssetClass>(Query::new()));
            let (mut of_changes, mut of_classes) = (of_changes.await.expect("reads"), of_classes.await.expect("reads"));
            assert!(of_classes.changes().await.expect("the first answer").is_empty());
            waiting.push(tokio::spawn(async move { of_changes.changes().await.map(|batch| batch.records.len()) }));
            waiting.push(tokio::spawn(async move { of_classes.changes().await.map(|classes| classes.len()) }));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let stored = tokio::time::timeout(waits, replica.put(class("a"))).await;
        let told = match stored {
            Ok(stored) => {
                stored.expect("stored");
                tokio::time::timeout(waits, async {
                    for one in waiting.drain(..) {
                        assert_eq!(one.await.expect("no panic").expect("told"), 1);
                    }
                })
                .await
            }
            Err(late) => Err(late),
        };
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        told.expect("a call is made while others wait, and each waiter is told");
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}

#[test]
fn a_panic_comes_to_who_awaits_it() {
    let replica = central();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime().block_on(
            replica.run(|_| -> sync_core::Result<()> { std::panic::resume_unwind(Box::new("the host's own")) }),
        )
    }));
    assert!(panicked.is_err());
}
