//! Rows of the sync buffer.

use super::{cursor, data};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::v6::Action;
use crate::record::{RecordId, SiteId, TableName};
use crate::storage::{Buffered, Incoming, Known, Quarantine, QuarantineCause, Source};

/// A source as stored.
pub(in crate::storage) fn source_text(source: Source) -> String {
    match source {
        Source::Central => "central".to_owned(),
        Source::Legacy => "legacy".to_owned(),
        Source::Local => "local".to_owned(),
        Source::Site(site) => format!("site {site}"),
    }
}

/// The source of a stored text.
pub(in crate::storage) fn read_source(text: &str) -> Option<Source> {
    match text {
        "central" => Some(Source::Central),
        "legacy" => Some(Source::Legacy),
        "local" => Some(Source::Local),
        _ => text.strip_prefix("site ")?.parse().ok().map(|id| Source::Site(SiteId(id))),
    }
}

/// The columns of a row, before they are parsed.
pub(in crate::storage) struct BufferRow {
    pub sequence: i64,
    /// Source, table, id, action, data, time of arrival and state.
    pub texts: [String; 7],
    pub reason: Option<String>,
    pub waits_for: (Option<String>, Option<String>),
    pub cursor: Option<i64>,
    /// The end of this changelog when the row came, and the position up to which the sender had read this changelog.
    pub known: (i64, Option<i64>),
    pub was_set_aside: bool,
}

impl BufferRow {
    /// The columns in this order.
    pub(in crate::storage) const COLUMNS: &'static str = "sequence, source, table_name, record_id, action, data, \
        received_at, state, reason, waits_for_table, waits_for_id, cursor, known_here, known_by_sender, was_set_aside";

    /// The number of bytes of its data.
    #[cfg(feature = "sqlite")]
    pub(in crate::storage) fn bytes(&self) -> usize {
        self.texts[4].len()
    }

    pub(in crate::storage) fn read(self) -> Result<Buffered> {
        let [source, table, id, action, json, received_at, state] = self.texts;
        let damaged = || Error::DamagedState { what: format!("row {} of the sync buffer", self.sequence) };
        let quarantine =
            QuarantineCause::ALL.into_iter().find(|cause| cause.as_str() == state).map(|cause| Quarantine {
                cause,
                reason: self.reason.unwrap_or_default(),
                waits_for: self.waits_for.0.zip(self.waits_for.1).map(|(t, i)| (TableName::new(t), RecordId::new(i))),
            });
        let incoming = Incoming {
            source: read_source(&source).ok_or_else(damaged)?,
            action: match action.as_str() {
                "delete" => Action::Delete,
                "merge" => Action::Merge,
                _ => Action::Update,
            },
            data: data(json),
            table: TableName::new(table),
            id: RecordId::new(id),
            cursor: self.cursor.map(cursor),
            known: Known { here: Some(cursor(self.known.0)), by_sender: self.known.1.map(cursor) },
            quarantine,
        };
        let received_at = Timestamp::parse(&received_at).ok_or_else(damaged)?;
        let (sequence, was_set_aside) = (self.sequence.unsigned_abs(), self.was_set_aside);
        Ok(Buffered { sequence, incoming, received_at, was_set_aside })
    }
}
