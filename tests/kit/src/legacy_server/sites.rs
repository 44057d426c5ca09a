//! The legacy server's sites, and the queue of each.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::records::{LegacyRecord, Rows};
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v5::InitialisationStatus;
use sync_core::protocol::v6::Action;
use sync_core::record::SiteId;

/// A site on the list of the legacy server.
#[derive(Debug, Clone)]
pub struct LegacySite {
    /// Its name, which is the user name of its requests.
    pub name: String,
    /// Its code.
    pub code: String,
    /// The hash of its password.
    pub password: PasswordHash,
    /// Its number: `store.sync_id_remote_site` refers to it.
    pub site_id: SiteId,
    /// Its own UUID, which a database must never see change.
    pub uuid: String,
    /// The address of its Open mSupply central server; may be empty.
    pub oms_central_url: String,
    /// Whether it is the Open mSupply central server itself.
    pub is_oms_central: bool,
}

impl LegacySite {
    /// A remote site whose code is its name and whose UUID follows from its number.
    pub fn new(site_id: i32, name: &str, password: &str, oms_central_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            code: name.to_owned(),
            password: PasswordHash::of_password(password),
            site_id: SiteId(site_id),
            uuid: super::legacy_id("site", &site_id.to_string()),
            oms_central_url: oms_central_url.to_owned(),
            is_oms_central: false,
        }
    }

    /// The same as the Open mSupply central server.
    #[must_use]
    pub fn oms_central(self) -> Self {
        Self { is_oms_central: true, ..self }
    }
}

/// How long a work of the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Takes {
    /// It ends before the request is answered.
    #[default]
    NoTime,
    /// It ends after so many status requests were answered with "busy".
    Polls(u32),
    /// It ends after so much time on the server's clock.
    Time(Duration),
}

/// Running work.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Polls(u32),
    Until(Duration),
}

impl Work {
    /// Starts it at this moment; `None` if it ends at once.
    pub(super) fn begin(takes: Takes, now: Duration) -> Option<Self> {
        match takes {
            Takes::NoTime => None,
            Takes::Polls(polls) => Some(Self::Polls(polls)),
            Takes::Time(time) => Some(Self::Until(now.saturating_add(time))),
        }
    }

    pub(super) fn is_over(self, now: Duration) -> bool {
        matches!(self, Self::Until(moment) if moment <= now)
    }

    /// Counts a status request; returns whether the work has ended.
    pub(super) fn polled(&mut self) -> bool {
        match self {
            Self::Polls(0) => true,
            Self::Polls(left) => {
                *left -= 1;
                false
            }
            Self::Until(_) => false,
        }
    }
}

/// A record in a site's queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedRecord {
    /// The id for its acknowledgement.
    pub sync_out_id: String,
    /// The record.
    pub record: LegacyRecord,
}

/// A record that a site pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct PushedRecord {
    /// The site's id of it: the cursor of its changelog as text.
    pub sync_out_id: String,
    /// The record; without data if that was null.
    pub record: LegacyRecord,
}

/// An entry in a site's queue.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// A row. The queue holds no data: the server reads the row when it sends it.
    Row {
        /// Its table and its id.
        key: (String, String),
        /// The action when it was queued.
        action: Action,
    },
    /// A merge, or an entry of a test: sent unchanged.
    AsItIs(LegacyRecord),
}

/// An entry with the last sent version.
#[derive(Debug)]
struct Waiting {
    entry: Entry,
    sent: Option<LegacyRecord>,
}

/// The queue of a site, in order. A row has one entry, even if it changes often meanwhile.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    rows: HashMap<(String, String), u64>,
}

impl Queue {
    pub(super) fn push(&mut self, number: u64, entry: Entry) {
        if let Entry::Row { key, .. } = &entry {
            if self.rows.contains_key(key) {
                return;
            }
            self.rows.insert(key.clone(), number);
        }
        self.waiting.insert(number, Waiting { entry, sent: None });
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The first entries, with the present data.
    pub(super) fn first(&self, limit: usize, rows: &Rows) -> Vec<QueuedRecord> {
        let first = self.waiting.iter().take(limit);
        first.map(|(number, waiting)| queued(*number, waiting.entry.now(rows))).collect()
    }

    /// The same, and remembers that these versions are sent.
    pub(super) fn send(&mut self, limit: usize, rows: &Rows) -> Vec<QueuedRecord> {
        let first = self.waiting.iter_mut().take(limit);
        let sent = first.map(|(number, waiting)| {
            let now = waiting.entry.now(rows);
            waiting.sent = Some(now.clone());
            queued(*number, now)
        });
        sent.collect()
    }

    /// The sent entries without an acknowledgement, with the data that were last sent.
    pub(super) fn sent(&self) -> Vec<QueuedRecord> {
        let sent = self.waiting.iter().filter_map(|(number, waiting)| Some((*number, waiting.sent.clone()?)));
        sent.map(|(number, record)| queued(number, record)).collect()
    }

    /// Removes acknowledged entries; unknown ids are ignored. A row that changed since it was sent stays, under its id:
    /// the site does not have its new version.
    pub(super) fn acknowledge(&mut self, sync_out_id: &str, rows: &Rows) -> Option<Entry> {
        let number = u64::from_str_radix(sync_out_id, 16).ok()?;
        let waiting = self.waiting.get(&number)?;
        let changed = waiting.sent.as_ref().is_some_and(|sent| sent.data != waiting.entry.now(rows).data);
        if changed { None } else { self.remove(number) }
    }

    /// Removes a row that was merged into another one: it is gone without a delete.
    pub(super) fn forget(&mut self, table: &str, id: &str) {
        if let Some(number) = self.rows.get(&(table.to_owned(), id.to_owned())) {
            self.remove(*number);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.waiting.remove(&number)?.entry;
        if let Entry::Row { key, .. } = &entry {
            self.rows.remove(key);
        }
        Some(entry)
    }
}

impl Entry {
    /// The data to send at this moment.
    fn now(&self, rows: &Rows) -> LegacyRecord {
        let (key, action) = match self {
            Self::AsItIs(record) => return record.clone(),
            Self::Row { key, action } => (key, *action),
        };
        match rows.get(&key.0, &key.1) {
            None => LegacyRecord::new(Action::Delete, &key.0, &key.1, None),
            // Queued as deleted, and created again.
            Some(row) if action == Action::Delete => LegacyRecord { action: Action::Insert, ..row.record.clone() },
            Some(row) => LegacyRecord { action, ..row.record.clone() },
        }
    }
}

fn queued(number: u64, record: LegacyRecord) -> QueuedRecord {
    QueuedRecord { sync_out_id: format!("{number:032X}"), record }
}

/// A site with all its state.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) site: LegacySite,
    pub(super) hardware_id: Option<String>,
    pub(super) status: InitialisationStatus,
    pub(super) initialising: Option<Work>,
    pub(super) integrating: Option<Work>,
    pub(super) queue: Queue,
    /// Its push that is not integrated yet.
    pub(super) waiting: Vec<LegacyRecord>,
    pub(super) pushed: Vec<PushedRecord>,
    /// The `queueLength` of each of its pushes.
    pub(super) push_lengths: Vec<u64>,
}

impl Account {
    pub(super) fn new(site: LegacySite) -> Self {
        Self {
            site,
            hardware_id: None,
            status: InitialisationStatus::New,
            initialising: None,
            integrating: None,
            queue: Queue::default(),
            waiting: Vec::new(),
            pushed: Vec::new(),
            push_lengths: Vec::new(),
        }
    }
}
