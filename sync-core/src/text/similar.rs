//! Finds the name that somebody meant.

/// The known name that a misspelled one resembles most; `None` if there is none. Capital letters may differ, `-` and blanks may be in the
/// place of `_`, and one or two letters may be wrong, in a name of less than five letters only one.
///
/// ```
/// use sync_core::record::record_types;
/// use sync_core::text::similar;
///
/// let tables = record_types().iter().map(|kind| kind.table);
/// assert_eq!(similar("asset_clas", tables), Some("asset_class"));
/// ```
pub fn similar<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let (meant, most) = (plain(typed), if typed.chars().count() < 5 { 1 } else { 2 });
    let near =
        known.map(|name| (distance(&meant, &plain(name)), name)).filter(|(far, name)| *far <= most && *name != typed);
    near.min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

/// The number of letters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (i, theirs) in other.iter().enumerate() {
            let replaced = before + usize::from(letter != *theirs);
            before = row[i + 1];
            row[i + 1] = replaced.min(row[i] + 1).min(before + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_no_far_one() {
        let known = ["asset", "asset_log", "asset_class", "name", "store_id", "serial_number"];
        for (typed, meant) in [
            ("assets", Some("asset")),
            ("Asset", Some("asset")),
            ("asset_clas", Some("asset_class")),
            ("asset-log", Some("asset_log")),
            ("serialnumber", Some("serial_number")),
            ("storeid", Some("store_id")),
            ("nam", Some("name")),
            ("note", None),
            ("hologram", None),
            ("asset", None),
        ] {
            assert_eq!(similar(typed, known.into_iter()), meant, "{typed}");
        }
    }
}
