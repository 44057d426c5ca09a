//! What is on the line in worlds that aim: answers from further back, cursors of 32 bits, and what a site is given of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use sync_core::protocol::v6::path;
use sync_core::transport::{HttpRequest, HttpResponse};
use sync_core::{Error, SyncReport};

use super::Aim;
use crate::lock;
use crate::network::unzipped;
use crate::promises::{Promise, shown};
use crate::run::{Chance, Phase, Sim};

/// How far back a central server of an older version answers, at most.
const FURTHER_BACK: usize = 12;

/// What a site says when it takes central for restored.
const ALARM: &str = "central went back";

/// Where changelogs begin that come to the end of what 32 bits hold.
const NEAR_THE_END: usize = (1 << 31) - 40;

/// From where a pull asks.
fn asked_from(request: &HttpRequest) -> Option<u64> {
    serde_json::from_slice::<Value>(&unzipped(request)).ok()?["cursor"].as_u64()
}

/// Lets a pull ask from somewhere else.
fn ask_from(request: &mut HttpRequest, cursor: u64) {
    let Ok(mut asked) = serde_json::from_slice::<Value>(&unzipped(request)) else { return };
    asked["cursor"] = cursor.into();
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-encoding"));
    request.body = asked.to_string().into_bytes();
}

impl Sim {
    /// Lets changelogs begin near the position that a number of 32 bits can hold.
    pub(crate) fn begin_far_on(&self) {
        if !self.aims_at(Aim::Cursors) {
            return;
        }
        for end in &self.ends {
            if let crate::disk::Disk::Memory(storage) = &end.disk
                && self.happens(Chance::Aim, 700)
            {
                let position = NEAR_THE_END + self.roll(Chance::Aim, 45);
                self.note(|| format!("the changelog of {} goes on at {position}", end.name));
                lock(storage).goes_on_at(position as u64);
            }
        }
    }

    /// A request as it reaches central from a site that keeps cursors in 32 bits: half of the sites.
    pub(crate) fn as_it_is_read(&self, site: usize, received: &mut HttpRequest) {
        if !self.aims_at(Aim::Cursors) || site.is_multiple_of(2) || !received.url.ends_with(path::PULL) {
            return;
        }
        // What they keep comes back as a negative number once it is beyond 31 bits.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as those sites do it")]
        let kept = |cursor: u64| i64::from(cursor as i32) as u64;
        if let Some(cursor) = asked_from(received) {
            ask_from(received, kept(cursor));
        }
    }

    /// The answer of a central server of an older version, which once in a cycle sends something of before, and ends there.
    pub(crate) fn answer_from_further_back(
        &self,
        site: usize,
        received: &HttpRequest,
        answer: impl Fn(&HttpRequest) -> HttpResponse,
    ) -> Option<HttpResponse> {
        let aimed = self.aimed.as_ref().filter(|aimed| aimed.aim == Aim::FurtherBack)?;
        let cursor = asked_from(received).filter(|cursor| *cursor > 3 && received.url.ends_with(path::PULL))?;
        let is_chaos = lock(&self.state).phase == Phase::Chaos;
        if !is_chaos || !lock(&aimed.further_back).contains(&site) || !self.happens(Chance::Aim, 300) {
            return None;
        }
        let mut older = received.clone();
        ask_from(&mut older, cursor.saturating_sub(2 + self.roll(Chance::Aim, FURTHER_BACK) as u64).max(1));
        let mut response = answer(&older);
        // Records stay as they are written, to the letter.
        let answer: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&response.body).ok()?;
        let mut batch: BTreeMap<String, Box<RawValue>> = serde_json::from_str(answer.get("data")?.get()).ok()?;
        let mut records: Vec<Box<RawValue>> = serde_json::from_str(batch.get("records")?.get()).ok()?;
        let position = |record: &RawValue| serde_json::from_str::<Value>(record.get()).ok()?["cursor"].as_u64();
        records.retain(|record| position(record).is_some_and(|at| at + 1 < cursor));
        let end = position(records.last()?)?;
        batch.insert("records".to_owned(), to_raw_value(&records).ok()?);
        batch.insert("end_cursor".to_owned(), to_raw_value(&end).ok()?);
        batch.insert("is_last_batch".to_owned(), to_raw_value(&false).ok()?);
        response.body = serde_json::to_vec(&BTreeMap::from([("data", batch)])).ok()?;
        lock(&aimed.further_back).remove(&site);
        lock(&self.state).may_fall[site][0] += 1;
        self.note(|| format!("central answers site {site} from before {cursor}"));
        Some(response)
    }

    /// Tells the judge what a site was given of its own versions.
    pub(crate) fn was_given(&self, site: usize, request: &HttpRequest, response: &HttpResponse) {
        // A copy would speak for its site elsewhere.
        let Some(aimed) = self.aimed.as_ref().filter(|aimed| matches!(aimed.aim, Aim::OwnEdits | Aim::Gained)) else {
            return;
        };
        if !request.url.ends_with(path::PULL) {
            return;
        }
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let ledger = lock(&self.ledger);
        for element in answer["data"]["records"].as_array().into_iter().flatten() {
            let record = &element["record"];
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let key = (text("tableName"), text("recordId"));
            let newest = ledger.of(&key).filter(|(_, version)| version.by == site).last();
            let Some((number, version)) = newest else { continue };
            let Some(content) = &version.content else { continue };
            let is_it = serde_json::from_str::<Value>(content).is_ok_and(|content| content == record["recordData"]);
            if record["action"] != "Delete" && is_it {
                lock(&aimed.given)[0].insert((site, number));
            }
        }
    }

    /// A cycle of a site begins.
    pub(crate) fn aimed_cycle_begins(&self, site: usize) {
        let Some(aimed) = &self.aimed else { return };
        lock(&aimed.further_back).insert(site);
        lock(&aimed.given)[0].retain(|(other, _)| *other != site);
    }

    /// What a cycle said of itself is judged.
    pub(crate) fn aimed_cycle_ends(&self, site: usize, report: &SyncReport) {
        let Some(aimed) = &self.aimed else { return };
        self.book_joins();
        if self.is_removed(site) && report.error.is_none() {
            self.violate(Promise::ErrorsAreSaid, format!("site {site} was removed, runs a cycle, and hears nothing"));
        }
        self.check_refused_machine(site, report);
        lock(&aimed.further_back).remove(&site);
        if report.error.is_none() {
            let mut given = lock(&aimed.given);
            let of_site: BTreeSet<(usize, usize)> =
                given[0].iter().filter(|(other, _)| *other == site).copied().collect();
            given[1].extend(of_site);
        }
        if aimed.aim == Aim::FurtherBack && matches!(report.error, Some(Error::NoProgress { .. })) {
            let what = format!("site {site} calls an answer from further back a fault");
            self.violate(Promise::ErrorsAreSaid, what);
        }
        let was_restored = lock(&self.ledger).restored.contains(&0);
        let says = || report.warnings.iter().map(ToString::to_string).find(|text| text.contains(ALARM));
        if let Some(alarm) = Some(says).filter(|_| !was_restored).and_then(|says| says()) {
            let what = format!("site {site} says that central was restored, which it never was: {alarm}");
            self.violate(Promise::ErrorsAreSaid, what);
        }
    }

    /// After a restore what was given before says nothing any more.
    pub(crate) fn forget_what_was_given(&self) {
        if let Some(aimed) = &self.aimed {
            *lock(&aimed.given) = Default::default();
        }
    }

    /// Nothing is pushed again that central has given back to its site, and that the site has taken.
    pub(crate) fn check_pushed_again(&self, site: usize, key: &(String, String), content: Option<&str>) {
        let Some(aimed) = &self.aimed else { return };
        let ledger = lock(&self.ledger);
        let Some(number) = content.and_then(|content| ledger.version(key, content)) else { return };
        // What a cycle was given it has taken before it pushes; only after a restore is it given what it would push as well.
        let is_given = lock(&aimed.given).iter().any(|given| given.contains(&(site, number)));
        if !is_given {
            return;
        }
        drop(ledger);
        let what = format!("site {site} pushes {} again, which central had given back to it", shown(key));
        self.violate(Promise::TwiceIsOnce, what);
    }
}
