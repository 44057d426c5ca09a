//! A hook with which a test can make an operation on the folder fail. Without the feature `testing` it does nothing.

use std::fmt;
use std::io;
#[cfg(feature = "testing")]
use std::sync::Arc;

#[cfg(feature = "testing")]
type FolderWatch = dyn Fn(&'static str) -> io::Result<()> + Send + Sync;

/// Receives each operation on the folder before it happens.
#[derive(Clone, Default)]
pub(super) struct Watcher {
    #[cfg(feature = "testing")]
    watch: Option<Arc<FolderWatch>>,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

#[cfg(feature = "testing")]
impl Watcher {
    pub(super) fn new(watch: impl Fn(&'static str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { watch: Some(Arc::new(watch)) }
    }

    pub(super) fn before(&self, what: &'static str) -> io::Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch(what))
    }
}

#[cfg(not(feature = "testing"))]
impl Watcher {
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "what a test may make of it")]
    pub(super) fn before(&self, _: &'static str) -> io::Result<()> {
        Ok(())
    }
}
