//! The remote site as a host holds it.

use std::sync::Arc;

use super::client::Client;
use super::config::SyncConfig;
use super::device::Device;
use super::identity::Identity;
use super::observer::SyncObserver;
use crate::clock::Clock;
use crate::error::Result;
use crate::integrate::Resolvers;
use crate::storage::Storage;
use crate::transport::Transport;

/// A site on its storage: all calls that talk to servers start here.
///
/// [`Replica::site`](crate::Replica::site) makes it. It holds no state of its own, so several may be made over one database.
#[derive(Clone)]
pub struct Site {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: SyncConfig,
    pub(crate) device: Device,
    /// The host's decisions about conflicts.
    pub(crate) resolvers: Resolvers,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Site {
    /// A site over these parts, with the default limits.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        device: Device,
        resolvers: Resolvers,
    ) -> Self {
        Self { storage, transport, clock, config: SyncConfig::default(), device, resolvers }
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_config(self, config: SyncConfig) -> Self {
        Self { config, ..self }
    }

    /// The identity of this site, as stored in its database.
    pub(crate) fn identity(&self) -> Result<Identity> {
        Identity::load(self.storage.read()?.as_ref(), &self.device)
    }

    /// Sends requests as this site.
    pub(crate) fn client<'a>(&'a self, observer: &'a mut dyn SyncObserver) -> Client<'a> {
        Client::new(self.transport.as_ref(), self.clock.as_ref(), &self.config, observer)
    }

    /// The clock of this site.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}
