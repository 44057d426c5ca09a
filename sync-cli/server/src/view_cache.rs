//! The newest view of the server, for the pages of the administrator.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sync_core::Result;
use sync_core::central::{Central, CentralView};

/// The oldest acceptable view: this makes frequent requests cheap.
const VIEW_AGE: Duration = Duration::from_secs(2);

/// The newest view of the server.
#[derive(Default)]
pub(super) struct ViewCache(Mutex<Option<(Instant, Arc<CentralView>)>>);

impl ViewCache {
    pub(super) fn get(&self, central: &Central) -> Result<Arc<CentralView>> {
        // Held while it is made, so that simultaneous requests share one.
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, view)) = newest.as_ref()
            && at.elapsed() < VIEW_AGE
        {
            return Ok(view.clone());
        }
        let view = Arc::new(central.view()?);
        *newest = Some((Instant::now(), view.clone()));
        Ok(view)
    }
}
