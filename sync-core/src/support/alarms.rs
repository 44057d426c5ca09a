//! The alarms of a central server, from its database and from what the running server told of itself.

use std::time::Duration;

use crate::alarm::{CentralAlarm, ToldByServer};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::role::Role;
use crate::storage::state::{StoredJson, role};
use crate::storage::{ReadTxn, state};

/// What the running server told of itself counts for so long: it repeats it more often.
const TOLD_COUNTS: Duration = Duration::from_secs(1800);

/// The alarms of a central server, as far as its database shows them, with what the running server told of itself. Empty for a remote
/// site.
pub(crate) fn alarms(txn: &dyn ReadTxn, now: Timestamp) -> Result<Vec<CentralAlarm>> {
    if role(txn)? != Some(Role::Central) {
        return Ok(Vec::new());
    }
    #[cfg(feature = "central")]
    let mut alarms = crate::central::site_activity::written_view(txn, now)?.alarms;
    #[cfg(not(feature = "central"))]
    let mut alarms = Vec::new();
    let one = state::TOLD_BY_SERVER.get(txn)?.map(|StoredJson(told)| told);
    // A storage for remote sites alone has no servers.
    let several = txn.as_central().map_or_else(|| Ok(Vec::new()), |central| central.told_by_servers())?;
    let several = several.iter().filter_map(|text| serde_json::from_str::<ToldByServer>(text).ok());
    let fresh = one.into_iter().chain(several).filter(|told| now.since(told.at) < TOLD_COUNTS);
    let mut said = Vec::new();
    for alarm in fresh.flat_map(|told| told.alarms) {
        if !said.contains(&alarm) {
            said.push(alarm);
        }
    }
    alarms.extend(said.into_iter().map(CentralAlarm::of_server));
    Ok(alarms)
}
