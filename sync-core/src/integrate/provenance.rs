//! Where received records come from.

use std::collections::HashSet;

use super::conflict::Resolvers;
use crate::record::{RecordId, SiteId, TableName};
use crate::storage::Source;

/// The source of records, and the facts about it that the rules need.
#[derive(Debug, Clone)]
pub(crate) struct Provenance {
    pub source: Source,
    /// The origin for changelog rows.
    pub origin: Option<SiteId>,
    /// The records of which central sent a version that this site wrote.
    pub own: HashSet<(TableName, RecordId)>,
    /// The host's decisions about conflicts.
    pub resolvers: Resolvers,
}

impl Provenance {
    /// A source whose conflicts no host decides.
    pub(crate) fn new(source: Source, origin: Option<SiteId>) -> Self {
        Self { source, origin, own: HashSet::new(), resolvers: Resolvers::default() }
    }

    /// A server from which this site reads.
    pub(crate) fn of_server(source: Source, origin: Option<SiteId>, resolvers: &Resolvers) -> Self {
        Self { resolvers: resolvers.clone(), ..Self::new(source, origin) }
    }

    /// A site that pushes to central.
    pub(crate) fn of_pushes(site: SiteId) -> Self {
        let origin = if planted!(SourceForgotten) { None } else { Some(site) };
        Self::new(Source::Site(site), origin)
    }
}
