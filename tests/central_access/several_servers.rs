//! Several central servers on one database: a site may ask another one each time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use sync_core::Replica;
use sync_core::central::Central;
use sync_core::record::{Cursor, SiteId};
use sync_core::storage::{PostgresAddress, PostgresStorage, Storage};
use sync_core::support::CentralAlarm;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_testkit::{PostgresServer, TestDatabase};
use sync_tests::world::{CentralEnd, asset};

use super::{TestClock, credentials, credentials_of, json, pull_request, push_request, refusal, status_request};

const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

/// Two servers on one database, each with memory and connections of its own, and a third that is the administrator's.
struct Pair {
    end: CentralEnd,
    servers: [Arc<Central>; 2],
    storages: [Arc<PostgresStorage>; 2],
    /// That of both servers.
    clock: Arc<TestClock>,
    _database: TestDatabase,
}

impl Pair {
    /// `None` where there is no PostgreSQL.
    fn new() -> Option<Self> {
        let database = PostgresServer::of_this_process()?.new_database();
        let address = PostgresAddress::parse(&database.address()).unwrap();
        let open = || Arc::new(PostgresStorage::open(&address, None).unwrap());
        let end = CentralEnd::over_storage(open());
        end.add_site("a");
        let storages = [open(), open()];
        let clock = Arc::new(TestClock::default());
        let of = |storage: &Arc<PostgresStorage>| Replica::builder().clock(clock.clone()).with_storage(storage.clone());
        let servers = storages.each_ref().map(|storage| Arc::new(of(storage).stand_alone_central()));
        Some(Self { end, servers, storages, clock, _database: database })
    }

    /// Lets a server answer and do what waits then.
    fn ask(&self, server: usize, request: &HttpRequest) -> HttpResponse {
        let answer = self.servers[server].answer_to(request, HERE).response;
        self.servers[server].integrate_waiting().unwrap();
        answer
    }
}

/// Sends each request to the next server.
struct InTurn {
    servers: [Arc<Central>; 2],
    next: AtomicUsize,
}

impl Transport for InTurn {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let next = self.next.fetch_add(1, Relaxed) % 2;
        sync_core::central::InProcess::new(self.servers[next].clone()).send(request)
    }
}

#[test]
fn a_site_synchronises_while_each_request_goes_to_another_server() {
    let Some(pair) = Pair::new() else { return };
    let transport = Arc::new(InTurn { servers: pair.servers.clone(), next: AtomicUsize::new(0) });
    pair.end.add_site("b");
    let sites = ["a", "b"].map(|name| pair.end.set_up_in(name, name, transport.clone()));
    let put = |records: &sync_core::Records, id: &str, store: &str, notes: &str| {
        records.put("asset", vec![asset(id, store, notes)]).unwrap();
    };
    sites.iter().for_each(|site| drop(site.sync()));
    for round in 0..6 {
        for (site, name) in sites.iter().zip(["a", "b"]) {
            put(&site.records, &format!("{name}{round}"), &format!("STORE_{name}"), "new");
            put(&site.records, &format!("{name}0"), &format!("STORE_{name}"), &format!("edited {round}"));
            site.sync();
            // Central writes what the site wrote, and the site reads it at the other server.
            put(&pair.end.records, &format!("{name}{round}"), &format!("STORE_{name}"), &format!("by central {round}"));
            site.sync();
        }
    }
    sites.iter().for_each(|site| drop(site.sync()));
    for (site, name) in sites.iter().zip(["a", "b"]) {
        for round in 0..6 {
            let id = format!("{name}{round}");
            let here = site.get("asset", &id).unwrap();
            assert!(round == 0 || here.contains(&format!("by central {round}")), "{id}: {here}");
            assert_eq!(
                pair.end.records.get("asset", id.as_str()).unwrap().map(|data| data.as_str().to_owned()),
                Some(here)
            );
        }
    }
    assert_eq!(pair.end.causes(), []);
}

/// The second edit has the content of the first, which central replaced: only what the site has read tells that it is new.
#[test]
fn what_a_site_has_read_at_one_server_counts_at_the_other() {
    let Some(pair) = Pair::new() else { return };
    let (site, who) = (SiteId(2), credentials("a"));
    let content = asset("x", "STORE_a", "first").as_str().to_owned();
    let push = |server, cursor: u64| {
        let mut request = push_request(&who, &[("asset", "x", &content)]);
        let body = String::from_utf8(request.body).unwrap();
        request.body = body.replace("\"cursor\":0", &format!("\"cursor\":{cursor}")).into_bytes();
        assert!(json(&pair.ask(server, &request)).get("data").is_some());
    };
    let pull = |server, cursor| json(&pair.ask(server, &pull_request(&who, cursor, 100)))["data"].clone();
    let notes = || {
        let data = pair.end.records.get("asset", "x").unwrap().unwrap();
        serde_json::from_str::<serde_json::Value>(data.as_str()).unwrap()["notes"].clone()
    };
    pull(1, 0);
    pair.servers[1].flush_activity().unwrap();
    push(0, 1);
    pair.end.records.put("asset", vec![asset("x", "STORE_a", "by central")]).unwrap();
    assert_eq!(notes(), "by central");
    let read = pull(0, 0);
    assert_eq!(read["records"].as_array().map(Vec::len), Some(1), "{read}");
    let end = read["end_cursor"].as_u64().unwrap();
    pull(0, end);
    push(1, 2);
    assert_eq!(notes(), "first", "it is a new edit");
    let shared = pair.storages[1].read().unwrap().central().unwrap().shared_positions(site).unwrap().unwrap();
    assert!(shared.read_to > Some(Cursor(end)) && shared.asked_from == Some(Cursor(end)), "{shared:?} {end}");
}

#[test]
fn what_one_server_has_accepted_waits_at_all_of_them() {
    let Some(pair) = Pair::new() else { return };
    let status = |server: usize| {
        let answer = json(&pair.servers[server].handle(&status_request(&credentials("a"))));
        answer["data"]["is_integrating"].as_bool().unwrap()
    };
    status(0);
    // Nobody listens yet, so the first question finds whatever there is.
    let others = |server: usize, wait| pair.storages[server].servers().unwrap().wait_for_work(wait).unwrap();
    assert!(others(1, Duration::ZERO));
    assert!(!others(1, Duration::from_millis(1)));
    // One that integrates nothing at once.
    let mut config = sync_core::central::CentralConfig::default();
    config.push_integrated_max = 0;
    let falls = Replica::with_storage(pair.storages[0].clone() as Arc<dyn Storage>).stand_alone_central();
    let falls = falls.with_config(config);
    let request = push_request(&credentials("a"), &[("asset", "x", asset("x", "STORE_a", "").as_str())]);
    assert!(json(&falls.handle(&request)).get("data").is_some());
    drop(falls);
    assert!(status(0) && status(1), "both say so");
    assert!(others(1, Duration::from_secs(60)), "and the other one is told");
    pair.servers[1].integrate_waiting().unwrap();
    assert!(!status(0) && !status(1));
    assert!(pair.end.records.get("asset", "x").unwrap().is_some());
}

#[test]
fn guesses_at_all_servers_count_together() {
    let Some(pair) = Pair::new() else { return };
    let guess = |server: usize, password: &str| {
        let request = status_request(&credentials_of("a", password, "elsewhere", "2.19.0"));
        refusal(&pair.servers[server].answer_to(&request, HERE).response)
    };
    let site = |server: usize| {
        let answer = json(&pair.servers[server].answer_to(&status_request(&credentials("a")), HERE).response);
        assert!(answer.get("data").is_some(), "{answer}");
    };
    // Its machine is bound by the first server.
    site(0);
    for n in 0..10 {
        assert!(guess(n % 2, &format!("guess {n}")).contains("SiteIncorrectPassword"), "{n}");
    }
    for server in 0..2 {
        assert!(guess(server, "once more").contains("SiteAuthTimeout"), "at {server}");
    }
    site(1);
    assert!(guess(1, "once more").contains("SiteAuthTimeout"));
}

#[test]
fn each_server_tells_of_itself() {
    let Some(pair) = Pair::new() else { return };
    let told = || {
        let replica = Replica::builder().clock(pair.clock.clone()).with_storage(pair.storages[0].clone());
        let status = replica.status().unwrap();
        let is_told = |alarm: &CentralAlarm| matches!(alarm, CentralAlarm::OfServer(_));
        status.alarms.iter().filter(|alarm| is_told(alarm)).map(CentralAlarm::code).collect::<Vec<_>>()
    };
    use sync_core::support::ServerAlarm::{BackupFailed, DiskFull};
    pair.servers[0].tell_of_server(&[DiskFull]).unwrap();
    pair.servers[1].tell_of_server(&[]).unwrap();
    assert_eq!(told(), ["disk_full"]);
    pair.servers[1].tell_of_server(&[DiskFull, BackupFailed]).unwrap();
    let mut both = told();
    both.sort_unstable();
    assert_eq!(both, ["backup_failed", "disk_full"]);
    pair.servers[1].tell_of_server(&[]).unwrap();
    pair.servers[0].tell_of_server(&[]).unwrap();
    assert!(told().is_empty());
}

/// Visits are written from time to time, by each server what it saw: an earlier one that comes later replaces nothing.
#[test]
fn visits_of_all_servers_add_up_whoever_writes_first() {
    let Some(pair) = Pair::new() else { return };
    let seen = |server: usize, release: &str| {
        let request = status_request(&credentials_of("a", sync_tests::world::PASSWORD, "machine-a", release));
        assert!(json(&pair.servers[server].answer_to(&request, HERE).response).get("data").is_some());
    };
    seen(0, "2.18.0");
    pair.clock.pass(Duration::from_secs(1));
    seen(1, "2.19.0");
    pair.servers[1].flush_activity().unwrap();
    pair.servers[0].flush_activity().unwrap();
    let visit = pair.storages[0].read().unwrap().central().unwrap().activity_of(SiteId(2)).unwrap().unwrap();
    assert_eq!(visit.app_version, "2.19.0");
}
