//! An id for each request, to find its lines in the logs of proxies and of this server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest id from a client.
const LENGTH_MAX: usize = 64;

/// The id from a client or a proxy, if it is valid in a log; else a new one.
pub(super) fn of(given: Option<&str>) -> String {
    let is_sane = |id: &&str| {
        !id.is_empty() && id.len() <= LENGTH_MAX && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    given.filter(is_sane).map_or_else(fresh, str::to_owned)
}

/// Not used before by this process, and hardly by another.
fn fresh() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{moment:x}-{:x}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_name_is_taken_and_any_other_replaced() {
        for sane in ["a", "7f3c-1.b_2", &"x".repeat(64)] {
            assert_eq!(of(Some(sane)), sane);
        }
        let mut made = Vec::new();
        for not in [None, Some(""), Some("a b"), Some("é"), Some("a\"b"), Some("x\ny"), Some(&*"x".repeat(65))] {
            let id = of(not);
            assert!(of(Some(&id)) == id && !made.contains(&id), "{not:?}: {id}");
            made.push(id);
        }
    }
}
