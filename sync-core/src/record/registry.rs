//! All record types by name, and the order in which tables are integrated.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::record_type::RecordType;
use super::types::ALL;

/// Every record type that V6 has or had, sorted by wire table name.
pub fn record_types() -> &'static [&'static RecordType] {
    ALL
}

/// The record type of a wire table name; `None` for tables that do not travel over V6 or that this version does not
/// know.
pub fn record_type(table: &str) -> Option<&'static RecordType> {
    BY_LENGTH.get(table.len())?.iter().copied().find(|kind| kind.table == table)
}

/// The record types by the length of their table's name: a few of each, so a name is compared with few others.
static BY_LENGTH: LazyLock<Vec<Vec<&'static RecordType>>> = LazyLock::new(|| {
    let longest = ALL.iter().map(|kind| kind.table.len()).max().unwrap_or(0);
    let of = |length| ALL.iter().copied().filter(|kind| kind.table.len() == length).collect();
    (0..=longest).map(of).collect()
});

/// The rank of a table in the order of integration: every table comes after all its dependencies (`sync-cycle` §6.4).
/// Legacy tables that no V6 type depends on rank last.
pub fn integration_rank(table: &str) -> u32 {
    RANKS.get(table).copied().unwrap_or(u32::MAX)
}

/// The dependencies of the legacy tables that V6 records depend on.
const LEGACY_AFTER: &[(&str, &[&str])] = &[("store", &["name"]), ("name", &["currency"]), ("Location", &["store"])];

static RANKS: LazyLock<HashMap<&'static str, u32>> = LazyLock::new(|| {
    let mut ranks = HashMap::new();
    for kind in ALL {
        rank(kind.table, &mut ranks, 0);
    }
    ranks
});

/// One more than the highest rank among its dependencies; a dependency on itself, of which there are none, would end at
/// the depth limit.
fn rank(table: &'static str, ranks: &mut HashMap<&'static str, u32>, depth: u32) -> u32 {
    if let Some(known) = ranks.get(table) {
        return *known;
    }
    let legacy = LEGACY_AFTER.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, after)| after);
    let after = record_type(table).map_or(legacy, |kind| kind.after);
    let highest = after.iter().filter(|_| depth < 32).map(|parent| rank(parent, ranks, depth + 1) + 1).max();
    let own = highest.unwrap_or(0);
    ranks.insert(table, own);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_found() {
        assert!(ALL.is_sorted_by(|a, b| a.table < b.table));
        for kind in ALL {
            assert_eq!(record_type(kind.table).unwrap().table, kind.table);
        }
        assert!(record_type("item").is_none() && record_type("").is_none());
        assert!(record_type(&"a".repeat(1000)).is_none());
    }

    #[test]
    fn parents_rank_before_children() {
        for kind in ALL {
            for parent in kind.after.iter().chain(kind.fields.iter().filter_map(|f| f.parent.as_ref())) {
                assert!(integration_rank(parent) < integration_rank(kind.table), "{parent} before {}", kind.table);
            }
        }
        assert!(integration_rank("store") > integration_rank("name"));
        assert_eq!(integration_rank("trans_line_of_the_future"), u32::MAX);
    }
}
