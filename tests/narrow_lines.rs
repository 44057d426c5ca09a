//! Lines that break every body above some size, in both directions: every waiting record still arrives, and more bytes
//! are kept than thrown away.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};

use serde_json::json;
use sync_core::error::Cause;
use sync_core::protocol::v6::Action;
use sync_core::storage::{MemoryStorage, QuarantineCause, Storage as _, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Replica, SyncConfig, SyncOptions};
use sync_testkit::legacy_server::rows;
use sync_tests::world::{CentralEnd, Kind, data, document};

use crate::legacy_half::{Country, End, transact};

/// Whatever is larger breaks.
const EIGHT_KILOBYTES: usize = 8 * 1024;

pub(crate) struct Narrow {
    line: Arc<dyn Transport>,
    most: AtomicUsize,
    /// Larger answers arrive whole, and are more than the transport reads.
    are_too_large: AtomicBool,
    /// The proxy's answer to a larger body; 0 if the line just breaks.
    status: AtomicU16,
    /// Only once.
    once: AtomicBool,
    kept: AtomicU64,
    thrown_away: AtomicU64,
    broken: AtomicU64,
}

impl Narrow {
    pub(crate) fn over(line: Arc<dyn Transport>) -> Arc<Self> {
        let (are_too_large, status, once, kept, thrown_away, broken) = Default::default();
        let most = AtomicUsize::new(usize::MAX);
        Arc::new(Self { line, most, are_too_large, status, once, kept, thrown_away, broken })
    }

    pub(crate) fn carries(&self, most: usize) {
        self.most.store(most, Ordering::SeqCst);
        self.seen();
    }

    /// Bytes kept and thrown away, and broken bodies, since the last call.
    pub(crate) fn seen(&self) -> (u64, u64, u64) {
        let take = |number: &AtomicU64| number.swap(0, Ordering::SeqCst);
        (take(&self.kept), take(&self.thrown_away), take(&self.broken))
    }

    fn breaks(&self, most: usize, how: fn(Cause) -> TransportError) -> Result<HttpResponse, TransportError> {
        self.broken.fetch_add(1, Ordering::SeqCst);
        if self.once.load(Ordering::SeqCst) {
            self.most.store(usize::MAX, Ordering::SeqCst);
        }
        match self.status.load(Ordering::SeqCst) {
            0 => {
                self.thrown_away.fetch_add(most as u64, Ordering::SeqCst);
                Err(how("the line broke".into()))
            }
            status => Ok(HttpResponse::text(status, "<html>upstream sent too big a body</html>")),
        }
    }
}

impl Transport for Narrow {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let most = self.most.load(Ordering::SeqCst);
        if request.body.len() > most {
            return self.breaks(most, TransportError::Broken);
        }
        let response = self.line.send(request)?;
        if response.body.len() > most {
            if self.are_too_large.load(Ordering::SeqCst) {
                self.broken.fetch_add(1, Ordering::SeqCst);
                return Err(TransportError::TooLarge(response.body.len() as u64));
            }
            return self.breaks(most, TransportError::CutOff);
        }
        self.kept.fetch_add((request.body.len() + response.body.len()) as u64, Ordering::SeqCst);
        Ok(response)
    }

    fn is_concurrent(&self) -> bool {
        false
    }
}

/// Text of a length that gzip hardly reduces.
pub(crate) fn noise(seed: usize, length: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((state >> 40) % 26) as u8)
    };
    (0..length).map(|_| next()).collect()
}

fn asset(id: &str, store: &str, notes: &str) -> sync_core::record::RecordData {
    sync_tests::world::asset(id, store, notes)
}

/// A site on a line that is still wide, with its network.
fn over_a_narrow_line() -> (Country, Arc<Narrow>, End, String) {
    let country = Country::new();
    let line = Narrow::over(country.line.clone());
    let own = country.world.sites[0].clone();
    let a = End::over(Arc::new(MemoryStorage::new()), line.clone());
    a.set_up(&own.name).unwrap();
    a.sync();
    (country, line, a, own.store_id)
}

#[test]
fn everything_arrives_over_a_line_that_carries_eight_kilobytes() {
    let (country, line, a, store) = over_a_narrow_line();
    let site = country.world.sites[0].name.clone();
    line.carries(EIGHT_KILOBYTES);
    let class = |n: usize| data(&format!(r#"{{"id":"c{n}","name":"{}"}}"#, noise(n, 900)));
    country.central.records.put("asset_class", (0..300).map(class)).unwrap();
    for n in 0..150 {
        let mut row = rows::transact(&format!("q{n}"), &store, "", n);
        row["comment"] = json!(noise(n as usize, 700));
        country.legacy.queue(&site, Action::Update, "transact", &format!("q{n}"), Some(row));
        let unit = rows::unit(&format!("u{n}"), &noise(n as usize, 700));
        country.legacy.put_central("unit", &format!("u{n}"), unit);
    }
    a.records.put("asset", (0..200).map(|n| asset(&format!("a{n}"), &store, &noise(n, 600)))).unwrap();
    a.records.put("transact", (0..200).map(|n| transact(&format!("t{n}"), &store, &noise(n, 600)))).unwrap();

    a.sync();
    for n in 0..300 {
        assert!(a.get("asset_class", &format!("c{n}")).is_some(), "from central: {n}");
    }
    for n in 0..200 {
        assert!(country.central.get("asset", &format!("a{n}")).is_some(), "to central: {n}");
        assert!(country.legacy.row("transact", &format!("t{n}")).is_some(), "to the legacy server: {n}");
    }
    for n in 0..150 {
        assert!(a.get("transact", &format!("q{n}")).is_some(), "from the legacy server's queue: {n}");
        assert!(a.get("unit", &format!("u{n}")).is_some(), "of the legacy server's central data: {n}");
    }
    assert!(country.legacy.queued(&site).is_empty(), "and all of it is acknowledged");
    let (kept, thrown_away, _) = line.seen();
    assert!(thrown_away < kept, "{thrown_away} thrown away, {kept} kept");

    // The next cycle knows what the line carries.
    country.central.records.put("asset_class", (300..400).map(class)).unwrap();
    a.records.put("asset", (200..300).map(|n| asset(&format!("a{n}"), &store, &noise(n, 600)))).unwrap();
    a.records.put("transact", (200..300).map(|n| transact(&format!("t{n}"), &store, &noise(n, 600)))).unwrap();
    a.sync();
    assert!(a.get("asset_class", "c399").is_some() && country.central.get("asset", "a299").is_some());
    let (kept, thrown_away, broken) = line.seen();
    assert!(broken <= 6, "{broken} bodies broke");
    assert!(3 * thrown_away < kept, "{thrown_away} thrown away, {kept} kept");
}

/// A proxy answers too long bodies with its own status.
#[test]
fn everything_arrives_through_a_proxy_that_answers_for_what_is_too_long() {
    for status in [502, 503, 500, 524] {
        let (country, line, a, store) = over_a_narrow_line();
        let site = country.world.sites[0].name.clone();
        line.status.store(status, Ordering::SeqCst);
        line.carries(EIGHT_KILOBYTES);
        let class = |n: usize| data(&format!(r#"{{"id":"c{n}","name":"{}"}}"#, noise(n, 900)));
        country.central.records.put("asset_class", (0..60).map(class)).unwrap();
        for n in 0..40 {
            let mut row = rows::transact(&format!("q{n}"), &store, "", n);
            row["comment"] = json!(noise(n as usize, 700));
            country.legacy.queue(&site, Action::Update, "transact", &format!("q{n}"), Some(row));
            let unit = rows::unit(&format!("u{n}"), &noise(n as usize, 700));
            country.legacy.put_central("unit", &format!("u{n}"), unit);
        }
        a.records.put("asset", (0..50).map(|n| asset(&format!("a{n}"), &store, &noise(n, 600)))).unwrap();
        a.records.put("transact", (0..50).map(|n| transact(&format!("t{n}"), &store, &noise(n, 600)))).unwrap();
        a.sync();
        assert!(a.get("asset_class", "c59").is_some() && a.get("transact", "q39").is_some(), "{status}");
        assert!(a.get("unit", "u39").is_some(), "{status}");
        assert!(country.central.get("asset", "a49").is_some(), "{status}");
        assert!(country.legacy.row("transact", "t49").is_some() && country.legacy.queued(&site).is_empty(), "{status}");
        let audit = a.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap();
        assert!(audit.lost.is_empty(), "{audit:?}");
        let (_, _, broken) = line.seen();
        assert!(broken < 50, "{broken}");
    }
}

/// A server that is briefly down gets the same requests again: its batches stay as they were.
#[test]
fn a_status_that_comes_once_makes_no_batch_smaller() {
    let (country, line, a, _) = over_a_narrow_line();
    let class = |n: usize| data(&format!(r#"{{"id":"c{n}","name":"{}"}}"#, noise(n, 900)));
    country.central.records.put("asset_class", (0..100).map(class)).unwrap();
    line.status.store(502, Ordering::SeqCst);
    line.once.store(true, Ordering::SeqCst);
    line.carries(EIGHT_KILOBYTES);
    a.sync();
    assert!(a.get("asset_class", "c99").is_some());
    assert_eq!(line.seen().2, 1);
    assert!(
        !state::named("lines")
            .find(a.storage.read().unwrap().as_ref())
            .unwrap()
            .unwrap_or_default()
            .contains("central_pull")
    );
}

#[test]
fn an_audit_comes_over_a_narrow_line_too() {
    let (country, line, a, _) = over_a_narrow_line();
    let class = |n: usize| data(&format!(r#"{{"id":"c{n}","name":"{}"}}"#, noise(n, 900)));
    country.central.records.put("asset_class", (0..100).map(class)).unwrap();
    a.sync();
    line.carries(EIGHT_KILOBYTES);
    let scratch = MemoryStorage::new();
    let audit = a.site.support().audit(&scratch, &mut NoopObserver).unwrap();
    assert!(audit.lost.is_empty(), "{audit:?}");
    let (_, _, broken) = line.seen();
    assert!((3..20).contains(&broken), "{broken}");
}

/// The transport reads no answer without end: one that is larger is asked for in smaller parts, whoever gives it.
#[test]
fn an_answer_larger_than_is_read_stops_no_pull() {
    let (country, line, a, store) = over_a_narrow_line();
    let site = country.world.sites[0].name.clone();
    for n in 0..60_usize {
        let class = data(&format!(r#"{{"id":"c{n}","name":"{}"}}"#, noise(n, 900)));
        country.central.records.put("asset_class", [class]).unwrap();
        let mut row = rows::transact(&format!("q{n}"), &store, "", n as u64);
        row["comment"] = json!(noise(n, 700));
        country.legacy.queue(&site, Action::Update, "transact", &format!("q{n}"), Some(row));
        country.legacy.put_central("unit", &format!("u{n}"), rows::unit(&format!("u{n}"), &noise(n, 700)));
    }
    line.are_too_large.store(true, Ordering::SeqCst);
    line.carries(EIGHT_KILOBYTES);
    a.sync();
    assert!(
        a.get("asset_class", "c59").is_some() && a.get("transact", "q59").is_some() && a.get("unit", "u59").is_some()
    );
    assert!(country.legacy.queued(&site).is_empty(), "and all of it is acknowledged");
    let audit = a.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap();
    assert!(audit.lost.is_empty(), "{audit:?}");
    let (_, _, broken) = line.seen();
    assert!((3..40).contains(&broken), "{broken}");
}

#[test]
fn a_record_that_breaks_the_line_stays_to_be_pushed_and_holds_up_no_other() {
    let (country, line, a, store) = over_a_narrow_line();
    line.carries(100_000);
    a.records
        .put(
            "asset",
            [
                asset("before", &store, ""),
                asset("huge", &store, &noise(1, 1_500_000)),
                asset("large", &store, &noise(2, 900_000)),
                asset("after", &store, ""),
            ],
        )
        .unwrap();
    let huge = transact("huge", &store, &noise(3, 1_500_000));
    a.records.put("transact", [transact("before", &store, ""), huge, transact("after", &store, "")]).unwrap();
    country.central.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    for _ in 0..2 {
        let report = a.cycle();
        assert_eq!(report.error.as_ref().map(sync_core::Error::code), Some("cut_off"), "{:?}", report.error);
        assert_eq!(report.refused, 0, "nothing is too large");
        assert!(country.central.get("asset", "before").is_some() && country.central.get("asset", "after").is_some());
        assert!(country.central.get("asset", "huge").is_none() && country.central.get("asset", "large").is_none());
        assert!(country.legacy.row("transact", "after").is_some() && country.legacy.row("transact", "huge").is_none());
        assert!(a.get("asset_class", "c").is_some(), "and what comes, comes");
        let refused = |(cause, _): &(QuarantineCause, String)| *cause == QuarantineCause::Refused;
        assert!(!a.causes().iter().any(refused), "{:?}", a.causes());
        assert_eq!(Replica::with_storage(a.storage.clone()).status().unwrap().waiting.records, 3);
    }
    line.carries(usize::MAX);
    a.sync();
    assert!(country.central.get("asset", "huge").is_some() && country.central.get("asset", "large").is_some());
    assert!(country.legacy.row("transact", "huge").is_some());
}

/// A line that carries no large body to the legacy server, and to central only where it is wide.
struct NarrowToLegacy {
    line: Arc<dyn Transport>,
    is_wide_to_central: AtomicBool,
}

impl Transport for NarrowToLegacy {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let is_wide = !request.url.contains("/sync/v5/") && self.is_wide_to_central.load(Ordering::SeqCst);
        if request.body.len() > 20_000 && !is_wide {
            return Err(TransportError::Broken("the line broke".into()));
        }
        self.line.send(request)
    }
}

/// A patient goes to both servers. Central has it, a smaller record passes it on its way to the legacy server, and it gets a
/// new position. It is no new edit for central, whatever the site has read meanwhile.
#[test]
fn what_breaks_the_line_to_the_legacy_server_does_not_undo_what_central_wrote_since() {
    let country = Country::new();
    let wide = AtomicBool::new(true);
    let line = Arc::new(NarrowToLegacy { line: country.line.clone(), is_wide_to_central: wide });
    let own = country.world.sites[0].clone();
    let a = End::over(Arc::new(MemoryStorage::new()), line.clone());
    a.set_up(&own.name).unwrap();
    a.sync();
    let patient = |name: &str| document("name", &[("ID", "p"), ("type", "patient"), ("name", name)]);
    let join = document("name_store_join", &[("ID", "j"), ("name_ID", "p"), ("store_ID", &own.store_id)]);
    a.records.put("name", [patient(&noise(1, 60_000))]).unwrap();
    a.records.put("name_store_join", [join]).unwrap();
    let report = a.cycle();
    assert_eq!(report.error.as_ref().map(sync_core::Error::code), Some("cut_off"), "{:?}", report.error);
    assert!(country.legacy.row("name_store_join", "j").is_some() && country.legacy.row("name", "p").is_none());
    assert_eq!(country.central.get("name", "p"), a.get("name", "p"));

    country.central.records.put("name", [patient("of central, who had read it")]).unwrap();
    // The site reads, and the patient does not arrive.
    line.is_wide_to_central.store(false, Ordering::SeqCst);
    a.cycle();
    a.cycle();
    line.is_wide_to_central.store(true, Ordering::SeqCst);
    a.cycle();
    let held = country.central.get("name", "p").unwrap();
    assert!(held.contains("of central, who had read it"), "{:?}", &held[..held.len().min(300)]);
}

/// A line with a proxy that refuses large bodies; even larger ones break the line.
struct Guarded {
    line: Arc<dyn Transport>,
    is_guarded: AtomicBool,
}

impl Transport for Guarded {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        match request.body.len() {
            100_000.. if self.is_guarded.load(Ordering::SeqCst) => Err(TransportError::Broken("the line broke".into())),
            20_000.. if self.is_guarded.load(Ordering::SeqCst) => Ok(HttpResponse::text(413, "<html>too large</html>")),
            _ => self.line.send(request),
        }
    }
}

#[test]
fn a_record_that_is_too_large_takes_none_with_it_that_broke_the_line() {
    let country = Country::new();
    let line = Arc::new(Guarded { line: country.line.clone(), is_guarded: AtomicBool::new(false) });
    let own = country.world.sites[0].clone();
    let a = End::over(Arc::new(MemoryStorage::new()), line.clone());
    a.set_up(&own.name).unwrap();
    a.sync();
    line.is_guarded.store(true, Ordering::SeqCst);
    let sizes = [("breaks", 1_500_000), ("is too large", 60_000), ("after", 0)];
    let notes = |length| noise(length, length);
    a.records.put("asset", sizes.map(|(id, length)| asset(id, &own.store_id, &notes(length)))).unwrap();
    a.records.put("transact", sizes.map(|(id, length)| transact(id, &own.store_id, &notes(length)))).unwrap();
    let at_central = |id: &str| country.central.get("asset", id).is_some();
    let at_legacy = |id: &str| country.legacy.row("transact", id).is_some();
    let report = a.cycle();
    assert_eq!((report.error.is_some(), report.refused), (true, 2), "{:?}", report.error);
    assert!(at_central("after") && !at_central("breaks") && at_legacy("after") && !at_legacy("breaks"));
    assert_eq!(
        Replica::with_storage(a.storage.clone()).status().unwrap().waiting.records,
        2,
        "what broke the line stays to be pushed"
    );
    line.is_guarded.store(false, Ordering::SeqCst);
    a.sync();
    assert!(at_central("breaks") && at_legacy("breaks"));
}

/// A legacy server that reads gzipped requests, or takes them as empty.
struct Gzip {
    line: Arc<dyn Transport>,
    reads: bool,
    gzipped: AtomicU64,
}

impl Transport for Gzip {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if !request.url.contains("/sync/v5/") || request.header("content-encoding") != Some("gzip") {
            return self.line.send(request);
        }
        self.gzipped.fetch_add(1, Ordering::SeqCst);
        if !self.reads {
            return Ok(HttpResponse::text(204, ""));
        }
        let mut plain = request.clone();
        plain.headers.retain(|(name, _)| name != "content-encoding");
        let mut body = Vec::new();
        flate2::read::GzDecoder::new(request.body.as_slice()).read_to_end(&mut body).unwrap();
        plain.body = body;
        self.line.send(&plain)
    }
}

#[test]
fn the_legacy_server_gets_gzip_once_it_has_shown_that_it_reads_it() {
    for (reads, refuses) in [(true, false), (false, false), (false, true)] {
        let country = Country::new();
        let own = country.world.sites[0].clone();
        let gzip = Arc::new(Gzip { line: country.line.clone(), reads, gzipped: AtomicU64::new(0) });
        let line: Arc<dyn Transport> = if refuses { country.line.clone() } else { gzip.clone() };
        let mut a = End::over(Arc::new(MemoryStorage::new()), line);
        let mut config = SyncConfig::default();
        config.integration_poll = std::time::Duration::from_millis(1);
        config.gzip_from = 200;
        a.site = a.site.with_config(config);
        a.set_up(&own.name).unwrap();
        a.sync();
        for n in 0..40 {
            let row = rows::transact(&format!("q{n}"), &own.store_id, "", n);
            country.legacy.queue(&own.name, Action::Update, "transact", &format!("q{n}"), Some(row));
        }
        a.sync();
        assert!(country.legacy.queued(&own.name).is_empty(), "{reads} {refuses}: everything is acknowledged");
        assert!(a.get("transact", "q39").is_some());
        let told = gzip.gzipped.load(Ordering::SeqCst);
        a.records.put("transact", [transact("t", &own.store_id, &"comment ".repeat(100))]).unwrap();
        a.sync();
        assert!(country.legacy.row("transact", "t").is_some(), "{reads} {refuses}");
        let after = gzip.gzipped.load(Ordering::SeqCst);
        assert_eq!(after > told, reads, "gzip is sent where it is read, and nowhere else");
        let lines = state::named("lines").find(a.storage.read().unwrap().as_ref()).unwrap().unwrap();
        assert!(lines.contains(&format!("\"takes\":{reads}")), "{lines}");
    }
}

/// A central server without a legacy server answers V5 requests itself, and reads gzip there too.
#[test]
fn our_own_central_reads_gzip_of_v5_too() {
    let central = CentralEnd::over(Kind::Memory);
    let a = central.new_site("a");
    a.sync();
    a.records.put("transact", (0..60).map(|n| transact(&format!("t{n}"), "STORE_a", "kept"))).unwrap();
    a.sync();
    let storage = Arc::new(MemoryStorage::new());
    let anew = central.set_up_over(storage.clone(), "a", central.transport());
    let mut config = SyncConfig::default();
    config.integration_poll = std::time::Duration::from_millis(1);
    config.gzip_from = 200;
    let report = anew.site.clone().with_config(config).sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert!(report.error.is_none(), "{:?}", report.error);
    assert!(anew.get("transact", "t59").is_some());
    let lines = state::named("lines").find(storage.read().unwrap().as_ref()).unwrap().unwrap();
    assert!(lines.contains("\"takes\":true"), "{lines}");
}
