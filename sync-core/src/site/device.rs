//! What a host says about the machine and the app, each time it opens a database.

use super::secrets::Secrets;
use crate::machine::Machine;
use crate::protocol::AppIdentity;

/// The machine, the app on it, and where that keeps secrets.
#[derive(Clone, Default)]
pub(crate) struct Device {
    /// The machine.
    pub machine: Machine,
    /// The app as servers see it.
    pub app: AppIdentity,
    /// Where the site's secrets are.
    pub secrets: Secrets,
}
