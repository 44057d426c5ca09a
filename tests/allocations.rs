//! The number of memory allocations that a record costs, from one end to the other: a count that is the same on every machine.
//!
//! Both ends run on the thread that is measured, so what is counted is the sum of a site and of central. What SQLite allocates is its own,
//! and not counted.

use std::sync::Arc;

use sync_core::record::RecordData;
use sync_core::transport::{HttpRequest, HttpResponse, StreamedBody, StreamedResponse, Transport, TransportError};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, document};

/// Tenths of an allocation. A change that saves some lowers its number here; one that costs some has a reason that outweighs it.
const PULLED: u64 = 271;
const PUSHED: u64 = 363;
const WRITTEN: u64 = 180;

/// Records of the smaller of two runs; what they cost beside their number drops out.
const FEW: u32 = 2_000;
const MANY: u32 = 3 * FEW;

/// Assets of some 500 bytes, which are in the store of the site.
fn assets(count: u32) -> Vec<RecordData> {
    let notes = "measured each month ".repeat(8);
    let asset = |n: u32| document("asset", &[("id", &format!("{n:036}")), ("store_id", "STORE_a"), ("notes", &notes)]);
    (0..count).map(asset).collect()
}

/// Answers on the thread that asks.
struct OneThread(Arc<dyn Transport>);

impl Transport for OneThread {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.0.send(request)
    }

    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        self.0.stream(request, body)
    }

    fn is_concurrent(&self) -> bool {
        false
    }
}

/// How many allocations each further record costs, in tenths.
fn tenths_each(measured: impl Fn(u32) -> u64) -> u64 {
    (measured(MANY) - measured(FEW)) * 10 / u64::from(MANY - FEW)
}

/// A site and central, each over a file.
fn world() -> (CentralEnd, SiteEnd) {
    let central = CentralEnd::over(Kind::Sqlite);
    central.add_site("a");
    let a = central.set_up_in("a", "a", Arc::new(OneThread(central.transport())));
    a.sync();
    (central, a)
}

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn a_pulled_record() {
    let each = tenths_each(|count| {
        let (central, a) = world();
        central.records.put("asset", assets(count)).expect("central may");
        allocations(|| assert_eq!(a.sync().pulled, u64::from(count)))
    });
    assert!(each <= PULLED, "{each} tenths");
}

#[test]
fn a_pushed_record() {
    let each = tenths_each(|count| {
        let (central, a) = world();
        a.records.put("asset", assets(count)).expect("the store is the site's");
        let each = allocations(|| assert_eq!(a.sync().pushed, u64::from(count)));
        assert_eq!(central.causes(), [], "central took all of them");
        each
    });
    assert!(each <= PUSHED, "{each} tenths");
}

#[test]
fn a_written_record() {
    let each = tenths_each(|count| {
        let (_central, a) = world();
        let records = assets(count);
        allocations(|| drop(a.records.put("asset", records).expect("the store is the site's")))
    });
    assert!(each <= WRITTEN, "{each} tenths");
}
