//! Names of sites beside their numbers, which people do not know by heart.

use std::collections::BTreeMap;
use std::fmt::Display;

use sync_core::Role;
use sync_core::protocol::one_line;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// The names of a central server's sites by number; none elsewhere, where numbers of other sites do not occur.
pub(crate) struct SiteNames(BTreeMap<String, String>);

impl SiteNames {
    /// Those that this database knows.
    pub(crate) fn of(workspace: &Workspace) -> Result<Self, Failure> {
        if workspace.role()? != Some(Role::Central) {
            return Ok(Self(BTreeMap::new()));
        }
        let view = workspace.replica.stand_alone_central().view()?;
        let named = view.sites.into_iter().filter(|site| !site.name.is_empty());
        Ok(Self(named.map(|site| (site.id.to_string(), one_line(&site.name).into_owned())).collect()))
    }

    /// The name of a site.
    pub(crate) fn name(&self, number: impl Display) -> Option<&str> {
        self.0.get(&number.to_string()).map(String::as_str)
    }

    /// `3 (Clinic)` for `3`.
    pub(crate) fn with_name(&self, number: impl Display) -> String {
        match self.name(&number) {
            Some(name) => format!("{number} ({name})"),
            None => number.to_string(),
        }
    }

    /// `site 3 (Clinic)` for the source `site 3`; any other source as it is.
    pub(crate) fn source(&self, source: &str) -> String {
        match source.strip_prefix("site ") {
            Some(number) => format!("site {}", self.with_name(number)),
            None => source.to_owned(),
        }
    }
}
