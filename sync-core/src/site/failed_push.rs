//! How a push goes on after a batch that a server did not accept: the same rules for both servers.

use super::client::PushFault;
use super::cycle::Cycle;
use super::outbox::{Gathered, PushSieve, failed_itself, may_be_about_a_record};
use super::sizing::TransferKind;
use crate::error::{Error, Result, Server};
use crate::protocol::v6::WireRecord;
use crate::record::Cursor;
use crate::text::Message;
use crate::text::sentences::{cycle as says, error_detail};

/// No server accepts less than this, in bytes.
const LIMIT_LEAST: u64 = 16 * 1024;

/// A batch that was not accepted.
pub(super) struct FailedBatch<'b, E> {
    pub(super) kind: TransferKind,
    pub(super) count: u64,
    /// The record, if it is the only one.
    pub(super) alone: Option<(WireRecord, Cursor)>,
    pub(super) outgoing: &'b Gathered<E>,
}

/// How the push goes on.
pub(super) enum AfterFailure {
    /// With fewer records in a batch, or with others first.
    TryOthers,
    /// So many records need not be sent any more.
    Settled(u64),
    /// Not at all: too many records fail.
    GiveUp,
}

impl Cycle<'_, '_> {
    /// Splits the batch, passes over its only record, or puts that into quarantine.
    ///
    /// # Errors
    /// The fault, if it is not about the batch.
    pub(super) fn after_failure<E>(
        &mut self,
        fault: PushFault,
        FailedBatch { kind, count, alone, outgoing }: FailedBatch<'_, E>,
        sieve: &mut PushSieve,
    ) -> Result<AfterFailure> {
        let goes_on = match (fault, alone) {
            (PushFault::Error(error), Some((record, at))) if may_be_about_a_record(&error) => {
                let (table, id) = (record.table_name.to_string(), record.record_id.to_string());
                self.warn(match failed_itself(&error) {
                    Some(code) => says::failed_alone(table, id, code),
                    None => says::refused_alone(table, id),
                })?;
                sieve.refused(at, error)
            }
            (PushFault::Error(error), None) if may_be_about_a_record(&error) => {
                sieve.refused_batch(usize::try_from(count).unwrap_or(usize::MAX));
                true
            }
            (PushFault::Error(error), _) => return Err(error),
            // No server has so small a limit: a machine on the way refuses what it should not. The record is pushed later.
            (PushFault::TooLarge, Some((_, at))) if outgoing.bytes < LIMIT_LEAST => {
                sieve.broke(at, outgoing.bytes, refused_for_size(kind.server(), error_detail::small_and_too_large()))
            }
            (PushFault::TooLarge, Some((record, _))) => {
                self.check_that_pushes_are_taken(kind.server())?;
                let passed_over = self.set_aside_too_large(kind.server(), record, outgoing)?;
                return Ok(AfterFailure::Settled(1 + passed_over));
            }
            (PushFault::TooLarge, None) => {
                self.client.sizes.broke(kind, outgoing.bytes, &self.site.config);
                true
            }
            (PushFault::Broke(error), Some((_, at))) => sieve.broke(at, outgoing.bytes, error),
            (PushFault::Broke(error), None) => match self.client.shrink(kind, outgoing.bytes, &error)? {
                true => true,
                false => return Err(error),
            },
        };
        Ok(if goes_on { AfterFailure::TryOthers } else { AfterFailure::GiveUp })
    }

    /// Pushes no record at all, to learn whether the size of the last record is the reason of its refusal: a filter on the way may
    /// refuse every push.
    ///
    /// # Errors
    /// This push is refused too, or fails: then no record is too large for that reason.
    fn check_that_pushes_are_taken(&mut self, server: Server) -> Result<()> {
        let taken = match (server, self.progress.central.clone()) {
            (Server::Central, Some(central)) => self.post_without_records(&central),
            (Server::Central, None) => return Ok(()),
            (Server::Legacy, _) => self.post_no_rows(),
        };
        taken.map_err(|fault| match fault {
            PushFault::TooLarge => refused_without_records(server),
            PushFault::Broke(error) | PushFault::Error(error) => error,
        })
    }
}

/// The error where a server refuses for its size even a push that has no record.
pub(super) fn refused_without_records(server: Server) -> Error {
    refused_for_size(server, error_detail::push_without_records())
}

fn refused_for_size(server: Server, detail: Message) -> Error {
    Error::Refused { server, status: 413, detail: detail.into() }
}
