//! Compatibility of releases: the versions of both protocols by release, and the losses between some of them.

use std::fmt;

use serde::Serialize;
use sync_core::Message;
use sync_core::protocol::v5::V5_VERSION;
use sync_core::protocol::v6::V6_VERSION;
use sync_core::record::record_types;
use sync_core::text::{Detail, Localize};

use crate::sentences::compatibility as says;

/// A release, such as `2.9.02` or `v2.19.0-RC1`: only the numbers count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    text: String,
    numbers: Vec<u32>,
}

impl Release {
    /// Reads a release.
    ///
    /// # Errors
    /// It is no release; the text says so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = text.trim().trim_start_matches(['v', 'V']);
        let numbers = plain.split(['-', '+', ' ']).next().unwrap_or_default();
        let numbers: Result<Vec<u32>, _> = numbers.split('.').map(str::parse).collect();
        let numbers = numbers.map_err(|_| format!("{text:?} is no release; give one as 2.19.0"))?;
        Ok(Self { text: plain.to_owned(), numbers })
    }

    fn is_before(&self, other: &str) -> bool {
        let other = Self::parse(other).map(|other| other.numbers).unwrap_or_default();
        let at = |numbers: &[u32], i: usize| numbers.get(i).copied().unwrap_or(0);
        let length = self.numbers.len().max(other.len());
        (0..length).map(|i| at(&self.numbers, i)).lt((0..length).map(|i| at(&other, i)))
    }

    /// The newest entry of a table that is not newer than this release.
    fn newest_of(&self, table: &[(&str, u32)]) -> Option<u32> {
        table.iter().rev().find(|(release, _)| !self.is_before(release)).map(|(_, version)| *version)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The V6 version that a release sends, by its first release. Each accepts 0 up to its own.
const V6: &[(&str, u32)] = &[("2.0.0", 0), ("2.1.0", 1), ("2.2.1", 2), ("2.5.0", 3), ("2.7.0", 4), ("2.9.2", 5)];
/// The V5 version that a release sends.
const V5: &[(&str, u32)] = &[
    ("1.1.10", 1),
    ("1.2.0", 2),
    ("1.4.0", 3),
    ("2.0.0", 4),
    ("2.0.1", 5),
    ("2.3.0", 6),
    ("2.4.0", 7),
    ("2.7.0", 8),
    ("2.7.4", 9),
    ("2.9.0", 11),
    ("2.9.1", 12),
    ("2.10.1", 13),
    ("2.13.0", 14),
    ("3.0.0", 15),
];
/// The first legacy server that accepts a V5 version, if known.
const LEGACY: &[(&str, u32)] = &[("8.4.4", 13), ("8.6.0", 14), ("9.1.0", 15)];
/// The first release that speaks V7, and the first whose sites push over V6 again.
const V7: (&str, &str) = ("3.0.0", "3.2.0");
/// The release that renamed keys without another version.
const RENAMES: &str = "2.17.0";

/// One of the two ends.
#[derive(Debug, Clone)]
pub enum End {
    /// A release of Open mSupply.
    Upstream(Release),
    /// This program.
    Ours,
}

impl End {
    fn name(&self) -> Detail {
        match self {
            Self::Upstream(release) => release.to_string().into(),
            Self::Ours => says::this_program().into(),
        }
    }

    /// The version that it sends over V6; `None` for releases before V6.
    fn v6(&self) -> Option<u32> {
        match self {
            Self::Ours => Some(V6_VERSION),
            // A test build that sent a lower version than it accepted.
            Self::Upstream(release) if release.text == "2.8.00" => Some(3),
            Self::Upstream(release) => release.newest_of(V6),
        }
    }

    /// The newest V6 version that it accepts as central.
    fn v6_max(&self) -> Option<u32> {
        match self {
            // One release accepted a lower version than it sent, for a day.
            Self::Upstream(release) if ["2.9.2", "2.8.00"].contains(&release.text.as_str()) => Some(4),
            other => other.v6(),
        }
    }

    fn v5(&self) -> Option<u32> {
        match self {
            Self::Ours => Some(V5_VERSION),
            Self::Upstream(release) => release.newest_of(V5),
        }
    }

    fn is_before(&self, release: &str) -> bool {
        matches!(self, Self::Upstream(own) if own.is_before(release))
    }
}

/// Whether two ends work together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The two ends.
    pub between: &'static str,
    /// `None` if unknown.
    pub fits: Option<bool>,
    /// The reason.
    pub says: Message,
    /// `legacy`, `central` or `site`.
    pub upgrade_first: Option<&'static str>,
    /// The records that do not arrive although the versions fit.
    pub losses: Vec<Message>,
}

impl Localize for Check {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.says.each_message(each);
        self.losses.each_message(each);
    }
}

/// Checks the given ends: the site with each server, and central with the legacy server.
pub fn compat(legacy: Option<&Release>, central: Option<&Release>, site: &End) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(legacy) = legacy {
        checks.push(with_legacy("site and legacy server", site, legacy));
        if let Some(central) = central {
            let central = End::Upstream(central.clone());
            checks.push(with_legacy("central and legacy server", &central, legacy));
        }
    }
    if let Some(central) = central {
        checks.push(with_central(site, &End::Upstream(central.clone())));
    }
    checks
}

fn with_legacy(between: &'static str, end: &End, legacy: &Release) -> Check {
    let check = |fits, says, upgrade_first| Check { between, fits, says, upgrade_first, losses: Vec::new() };
    let name = end.name();
    let Some(sent) = end.v5() else {
        return check(Some(false), says::no_v5(name), Some("site"));
    };
    match LEGACY.iter().find(|(_, version)| *version >= sent) {
        Some((first, version)) if *version == sent || legacy.is_before(first) => match legacy.is_before(first) {
            false => check(Some(true), says::v5_taken(name, sent, legacy.to_string()), None),
            true if *version == sent => check(Some(false), says::v5_needs(name, sent, *first), Some("legacy")),
            true => check(None, says::v5_taken_by_unknown(name, sent), None),
        },
        Some(_) => check(Some(true), says::v5_and_newer_taken(name, sent, legacy.to_string()), None),
        None => check(None, says::v5_newer_than_known(name, sent), None),
    }
}

fn with_central(site: &End, central: &End) -> Check {
    let (s, c) = (site.name(), central.name());
    let check = |fits, says, upgrade_first, losses| Check {
        between: "site and central",
        fits: Some(fits),
        says,
        upgrade_first,
        losses,
    };
    match (site.v6(), central.v6_max()) {
        (_, None) => check(false, says::central_before_v6(c), Some("central"), Vec::new()),
        (None, _) => check(false, says::site_before_v6(s), Some("site"), Vec::new()),
        (Some(sent), Some(max)) if sent > max => check(false, says::v6(s, sent, c, max), Some("central"), Vec::new()),
        (Some(sent), Some(max)) => {
            let losses = losses(site, central);
            let renames = site.is_before(RENAMES) || !central.is_before(RENAMES);
            let is_of_v7 = |end: &End| matches!(end, End::Upstream(release) if !release.is_before(V7.0));
            let is_old = !losses.is_empty() && !is_of_v7(central);
            let first = is_old.then_some(if renames || is_of_v7(site) { "site" } else { "central" });
            check(true, says::v6(s, sent, c, max), first, losses)
        }
    }
}

/// The losses between two ends although the versions fit. This program reads all spellings and writes the newer one.
fn losses(site: &End, central: &End) -> Vec<Message> {
    let mut losses = Vec::new();
    if let End::Upstream(release) = site
        && !release.is_before(V7.0)
        && release.is_before(V7.1)
    {
        losses.push(says::pushes_nothing(release.to_string()));
    }
    if !central.is_before(V7.0) && matches!(central, End::Upstream(_)) {
        losses.push(says::not_over_v6());
    }
    let both_upstream = matches!(site, End::Upstream(_));
    if (both_upstream && site.is_before(RENAMES) != central.is_before(RENAMES))
        || (!both_upstream && central.is_before(RENAMES))
    {
        losses.push(if both_upstream { says::renamed(RENAMES) } else { says::renamed_to_central(RENAMES) });
    }
    for kind in record_types() {
        for field in kind.fields {
            let Some(release) = field.added else { continue };
            if kind.pulled && both_upstream && central.is_before(release) && !site.is_before(release) {
                losses.push(says::missing_from_central(kind.table, field.name, release));
            }
            if kind.pushed && site.is_before(release) && !central.is_before(release) {
                losses.push(says::missing_from_site(kind.table, field.name, release));
            }
        }
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        Release::parse(text).expect("a release")
    }

    fn end(text: &str) -> End {
        End::Upstream(release(text))
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert!(release("2.9.02").is_before("2.10.0") && !release("v2.19.00").is_before("2.19.0"));
        assert!(!release("2.9").is_before("2.9.0") && release("3.0.0-RC0").numbers == [3, 0, 0]);
        for text in ["", "two", "2..3", "2.x", "-1"] {
            assert!(Release::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_by_release() {
        for (text, v6, max, v5) in [
            ("1.4.0", None, None, Some(3)),
            ("2.0.3", Some(0), Some(0), Some(5)),
            ("2.2.00", Some(1), Some(1), Some(5)),
            ("2.2.01", Some(2), Some(2), Some(5)),
            ("2.8.00", Some(3), Some(4), Some(9)),
            ("2.9.2", Some(5), Some(4), Some(12)),
            ("2.9.02", Some(5), Some(5), Some(12)),
            ("2.12.0", Some(5), Some(5), Some(13)),
            ("2.19.00", Some(5), Some(5), Some(14)),
            ("3.2.0", Some(5), Some(5), Some(15)),
        ] {
            let end = end(text);
            assert_eq!((end.v6(), end.v6_max(), end.v5()), (v6, max, v5), "{text}");
        }
        assert_eq!((End::Ours.v6(), End::Ours.v5()), (Some(5), Some(14)));
    }

    #[test]
    fn with_the_legacy_server() {
        for (site, legacy, fits) in [
            ("2.19.0", "8.06.00", Some(true)),
            ("2.19.0", "8.05.01", Some(false)),
            ("2.12.0", "8.04.04", Some(true)),
            ("2.12.0", "8.04.03", Some(false)),
            ("2.12.0", "9.0.0", Some(true)),
            ("2.9.1", "8.04.04", Some(true)),
            ("2.9.1", "8.04.03", None),
            ("3.0.0", "9.1.0", Some(true)),
            ("3.0.0", "9.0.0", Some(false)),
        ] {
            let check = with_legacy("", &end(site), &release(legacy));
            assert_eq!(check.fits, fits, "{site} {legacy}: {check:?}");
            assert_eq!(check.upgrade_first, (fits == Some(false)).then_some("legacy"));
        }
    }

    #[test]
    fn with_central() {
        let check = |site: &str, central: &str| super::with_central(&end(site), &end(central));
        assert_eq!(
            (check("2.19.0", "2.8.0").fits, check("2.19.0", "2.8.0").upgrade_first),
            (Some(false), Some("central"))
        );
        let renamed = check("2.16.03", "2.19.0");
        assert_eq!((renamed.fits, renamed.upgrade_first), (Some(true), Some("site")));
        assert!(renamed.losses[0].to_string().contains("vaccinations and R&R forms"), "{renamed:?}");
        let same = check("2.19.0", "2.18.0");
        assert_eq!((same.fits, same.upgrade_first, same.losses.len()), (Some(true), None, 0));
        assert_eq!(check("1.4.0", "2.19.0").upgrade_first, Some("site"));
        let old = check("2.3.0", "2.3.1");
        assert!(old.losses.iter().any(|loss| loss.to_string().starts_with("rnr_form_line from the site")), "{old:?}");
        let says = |check: Check, words: &str| check.losses.iter().any(|loss| loss.to_string().contains(words));
        for (site, central, pushes_nothing, lacks_tables) in [
            ("3.0.0", "2.19.0", true, false),
            ("3.1.4", "3.2.0", true, true),
            ("3.2.0", "2.19.0", false, false),
            ("2.19.0", "3.2.0", false, true),
        ] {
            assert_eq!(says(check(site, central), "push nothing over V6"), pushes_nothing, "{site} {central}");
            assert_eq!(says(check(site, central), "vaccine_course_store_config"), lacks_tables, "{site} {central}");
        }
        assert!(super::with_central(&End::Ours, &end("2.19.0")).losses.is_empty());
        assert_eq!(super::with_central(&End::Ours, &end("2.16.0")).losses.len(), 1);
    }
}
