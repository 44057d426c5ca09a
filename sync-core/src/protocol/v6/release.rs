//! Releases of Open mSupply.

/// A release of Open mSupply: major, minor, patch.
pub type Release = (u32, u32, u32);

/// Reads a release, as `2.16.3`, `2.2.0-release` or `2.16.03`.
pub fn release(text: &str) -> Option<Release> {
    let mut parts = text.trim().trim_start_matches('v').split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
        digits.parse::<u32>().ok()
    });
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// True for Open mSupply 3.0 and 3.1: a site of these looks for rows with no source, and pushes none over V6.
pub(crate) fn pushes_nothing(version: &str) -> bool {
    release(version).is_some_and(|at| ((3, 0, 0)..(3, 2, 0)).contains(&at))
}
