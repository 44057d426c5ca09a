//! One request on its way through central: its sender, and the resources that it holds until its answer is sent.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_core::central::{CredentialCheck, Gate};
use sync_core::record::SiteId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::app::App;
use crate::body::BodyRefusal;
use crate::budget::{Owner, Share, Trust};
use crate::connection::Connection;
use crate::turns::{OF_ONE_SITE, UNIT};

/// The least and the most memory that is reserved for an answer of unknown size, in units.
const ANSWER_LEAST: usize = 256;
const ANSWER_MOST: usize = 16 * 1024;
/// What a site without an answer under way gets where the memory for answers is taken.
const ANSWER_SMALL: usize = 64;

/// The kind of a request, for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestPurpose {
    /// It gets a short answer at once.
    Short,
    /// Its answer may be large.
    Large,
    /// A file transfer, which may be slow and has its own place.
    File,
}

/// A request with its resources.
pub(super) struct Visit {
    app: Arc<App>,
    connection: Arc<Connection>,
    from: IpAddr,
    errand: RequestPurpose,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    site: Option<SiteId>,
    turn: Option<OwnedSemaphorePermit>,
    answer: Option<(Share, usize)>,
}

impl Visit {
    pub(super) fn new(app: &Arc<App>, connection: &Arc<Connection>, from: IpAddr, errand: RequestPurpose) -> Arc<Self> {
        let (app, connection) = (app.clone(), connection.clone());
        Arc::new(Self { app, connection, from, errand, kept: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn errand(&self) -> RequestPurpose {
        self.errand
    }

    /// Its site, once known.
    pub(super) fn site(&self) -> Option<SiteId> {
        self.lock().site
    }

    fn turn(&self) -> u32 {
        if self.errand == RequestPurpose::Large { OF_ONE_SITE } else { 1 }
    }

    fn answer_share(&self, site: SiteId) -> Share {
        let who = (Owner::Site(site), Trust::SignedIn);
        let share = self.app.answers.enter(who, self.connection.close.clone());
        share.hold(true);
        share
    }

    /// Waits for its turn, for a short time.
    pub(super) async fn wait(&self, site: SiteId, patience: Duration) -> Result<(), BodyRefusal> {
        if self.lock().turn.is_none() {
            let turn = timeout(patience, self.app.turns.of(site).acquire_many_owned(self.turn())).await;
            self.lock().turn = Some(turn.ok().and_then(Result::ok).ok_or(BodyRefusal::Busy)?);
        }
        if self.errand == RequestPurpose::Large && self.lock().answer.is_none() {
            let share = self.answer_share(site);
            let units = match part(&share) {
                Some(units) => units,
                None => {
                    share.grow(ANSWER_LEAST, patience).await.map_err(|_| BodyRefusal::Busy)?;
                    ANSWER_LEAST
                }
            };
            self.lock().answer = Some((share, units));
        }
        Ok(())
    }

    /// Ends its turn; returns the memory for its answer, whose size is known now.
    ///
    /// # Errors
    /// There was only memory for a small answer, and a single record made it large: it has to be asked for again.
    pub(super) fn ends(&self, bytes: usize) -> Result<Option<Share>, BodyRefusal> {
        let kept = &mut *self.lock();
        kept.turn = None;
        let Some((share, units)) = kept.answer.take() else { return Ok(None) };
        let more = bytes.div_ceil(UNIT).saturating_sub(units);
        if units == ANSWER_SMALL && more > 0 && !share.try_more(more) {
            return Err(BodyRefusal::Busy);
        }
        // A single record may need more than was reserved.
        share.set(bytes.div_ceil(UNIT));
        share.hold(false);
        Ok(Some(share))
    }
}

/// Takes memory for an answer: as much as there is for one, or, beside others that are slow to take theirs, enough for a small one.
fn part(share: &Share) -> Option<usize> {
    share.try_part(ANSWER_LEAST, ANSWER_MOST).or_else(|| share.try_first(ANSWER_SMALL).then_some(ANSWER_SMALL))
}

impl Gate for Visit {
    fn may_work(&self, site: SiteId) -> bool {
        let kept = &mut *self.lock();
        if kept.site.replace(site).is_none() {
            self.app.signed_in(&self.connection, self.from, site);
        }
        if self.errand == RequestPurpose::File {
            return true;
        }
        if kept.turn.is_none() {
            kept.turn = self.app.turns.of(site).try_acquire_many_owned(self.turn()).ok();
        }
        if kept.turn.is_some() && self.errand == RequestPurpose::Large && kept.answer.is_none() {
            let share = self.answer_share(site);
            kept.answer = part(&share).map(|units| (share, units));
        }
        kept.turn.is_some() && (self.errand != RequestPurpose::Large || kept.answer.is_some())
    }

    fn renew(&self, check: CredentialCheck) {
        self.app.checks.renew(check);
    }

    fn answer_bytes_max(&self) -> Option<usize> {
        // The records and their text are in memory at the same time.
        self.lock().answer.as_ref().map(|(_, units)| units * UNIT / 2)
    }
}
