//! KNOWN faults of the engine that are being repaired: what they break is passed over until they are. Empty it then, and
//! remove this file. `SIM_STRICT=1` in the environment passes over nothing.

use crate::judge::{Promise, Violation};

/// Whether a violation comes of a known fault; `restored` says whether any end was restored in the run.
pub fn is_known(violation: &Violation, restored: bool) -> bool {
    if std::env::var_os("SIM_STRICT").is_some() {
        return false;
    }
    match violation.promise {
        // R3, R5, R8, R12: edits that go under where a site or central was restored, a few in ten thousand seeds.
        Promise::NothingIsLost | Promise::QuietMeansEqual => restored,
        // F15: a late copy of a push is staged again.
        Promise::ItEnds => violation.what.contains("never looked at"),
        // F7: what has left a site comes again with what it says now.
        Promise::TwiceIsOnce => violation.what.contains("read again and site-"),
        _ => false,
    }
}
