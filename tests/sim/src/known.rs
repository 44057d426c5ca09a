//! KNOWN faults of the engine that are being repaired: what they break is passed over until they are.

use crate::judge::{Promise, Violation};

/// Whether a violation comes of a known fault. EMPTY THIS LIST.
pub fn is_known(violation: &Violation, kept_local: bool) -> bool {
    let what = &violation.what;
    let of_child = ["of asset_log ", "of asset_internal_location ", "of rnr_form_line "].iter().any(|of| what.contains(of));
    match violation.promise {
        // F3: children of a record whose store changes, or that comes later.
        Promise::QuietMeansEqual => of_child,
        // F6: an edit on top of one that was sent and not confirmed.
        Promise::NothingIsLost => kept_local,
        // F7: what has left a site comes again with what it says now.
        Promise::TwiceIsOnce => what.contains("read again and site-"),
        _ => false,
    }
}
