//! Requests that are sent while other work is done.

use serde::Serialize;
use url::Url;

use super::early_answer::{EarlyAnswer, KeepAnswer};
use super::{Client, to_json};
use crate::error::Result;
use crate::site::watch::beside;
use crate::transport::{HttpRequest, Transport};

impl Client<'_> {
    /// Does some work while a request for a batch is already on its way to central, and the batch is read. The next
    /// [`central_batch`](Self::central_batch) with the same request gets the answer, good or bad.
    pub(crate) fn request_ahead<T>(
        &mut self,
        central: &Url,
        path: &str,
        body: &impl Serialize,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let (request, _) = self.central_request(central, path, &to_json(body)?)?;
        if !self.transport.is_concurrent() {
            let response = self.transport.send(&request);
            self.ahead = Some(EarlyAnswer::with_batch(request, response));
            return work();
        }
        self.send_beside(request, EarlyAnswer::with_batch, work)
    }

    /// Sends a request on a second thread, keeps its answer there as `keep` does, and does some work meanwhile.
    pub(super) fn send_beside<T>(
        &mut self,
        request: HttpRequest,
        keep: KeepAnswer,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let transport = self.transport;
        let began = self.clock.monotonic();
        let send = |transport: &dyn Transport| {
            let response = transport.send(&request);
            keep(request, response)
        };
        let (done, answer) = beside(transport, send, work, &mut |_| self.goes_on(began));
        self.ahead = Some(answer);
        done
    }
}
