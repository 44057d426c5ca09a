//! KNOWN faults of the engine that are being repaired: what they break is passed over until they are.

use crate::judge::{Promise, Violation};

/// What happened in a run, as far as known faults need it.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// A site kept an edit of its own instead of what came.
    pub kept_local: bool,
    /// A site was restored.
    pub site_restored: bool,
    /// Central was restored.
    pub central_restored: bool,
}

/// Whether a violation comes of a known fault. EMPTY THIS LIST.
pub fn is_known(violation: &Violation, course: Course) -> bool {
    let what = &violation.what;
    let is_of = |tables: &[&str]| tables.iter().any(|table| what.contains(&format!("of {table} ")));
    let of_child = is_of(&["asset_log", "asset_internal_location", "rnr_form_line"]);
    match violation.promise {
        // F3: children of a record whose store changes, or that comes later.
        Promise::QuietMeansEqual if of_child => true,
        // R1: stores that moved since the backup of central.
        Promise::QuietMeansEqual => course.central_restored && is_of(&["store", "name"]),
        // F6: an edit on top of one that was sent and not confirmed.
        Promise::NothingIsLost if course.kept_local => true,
        // R2: a restored site, then a restored central.
        Promise::NothingIsLost if course.site_restored && course.central_restored => true,
        // R3: what central never sends back.
        Promise::NothingIsLost => {
            course.site_restored && is_of(&["name", "name_store_join", "system_log", "contact_form"])
        }
        // R4: part of a push, and then a restore of its site.
        Promise::ItEnds => course.site_restored && what.contains("never looked at"),
        // F7: what has left a site comes again with what it says now.
        Promise::TwiceIsOnce => what.contains("read again and site-"),
        _ => false,
    }
}
