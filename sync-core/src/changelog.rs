//! Changes: their order, and their receivers.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::record::{Cursor, Fields, NameId, RecordId, RecordType, Scope, SiteId, StoreId, SyncStyle, TableName};

/// The action of a changelog row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeAction {
    /// Created or changed; the record has its current data.
    Upsert,
    /// It was deleted.
    Delete,
}

/// A changelog row before it has its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChange {
    /// The table of the record.
    pub table: TableName,
    /// The id of the record.
    pub id: RecordId,
    /// The action.
    pub action: ChangeAction,
    /// Its store when it changed.
    pub store: Option<StoreId>,
    /// The name that it is about.
    pub name: Option<NameId>,
    /// On central, the site that pushed it; on a site, the legacy server if it came from there, or the site itself if it
    /// wrote this version and read it again from central.
    pub source_site: Option<SiteId>,
    /// True if it is not to be pushed, because sync wrote it or it is local only. Local edits have to be pushed.
    pub is_sync_update: bool,
    /// Its receivers.
    pub audience: Audience,
    /// The time of the write here.
    pub changed_at: Timestamp,
}

impl NewChange {
    /// True if the host wrote it, on this database.
    pub fn is_written_here(&self) -> bool {
        !self.is_sync_update || self.audience == Audience::LocalOnly
    }
}

/// A changelog row. Superseded rows are collapsed when written: there is one for each table, record and store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its position in the changelog.
    pub cursor: Cursor,
    /// Its content.
    pub change: NewChange,
}

/// The receivers of a changed record, from central's point of view (`record-types`: *What central sends*).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Every site.
    Everyone,
    /// The site on which this store is active.
    Store(StoreId),
    /// The sites on which this patient is visible.
    Patient,
    /// Every site, but over V5: central data of the legacy server.
    Legacy,
    /// No site.
    Nobody,
    /// Nobody but this database: the host wrote the record as [local only](crate::Transaction::local_only). It is no edit
    /// to push, and a version that comes from elsewhere replaces it.
    LocalOnly,
}

impl Audience {
    /// The audience of a record of this type, store and name.
    pub fn of(style: SyncStyle, table: &str, store: Option<&StoreId>, name: Option<&NameId>) -> Self {
        match (style, store, name) {
            (SyncStyle::Central | SyncStyle::File, ..) | (SyncStyle::RemoteAndCentral, None, _) => Self::Everyone,
            // Vaccinations follow their patient, never their store (rule e, quirk A7).
            (SyncStyle::Remote, _, Some(_)) if table == "vaccination" => Self::Patient,
            (SyncStyle::Remote | SyncStyle::RemoteAndCentral, Some(store), _) => Self::Store(store.clone()),
            (SyncStyle::Remote, None, _) | (SyncStyle::RemoteToCentral | SyncStyle::Legacy, ..) => Self::Nobody,
        }
    }
}

/// Store and name of a record's changelog row, as far as its own fields have them. `store_of_parent` finds the store of
/// a parent: it gets the parent's table, its id and the field with the store.
pub(crate) fn scope_of<E>(
    kind: &RecordType,
    fields: &Fields<'_>,
    mut store_of_parent: impl FnMut(&str, &RecordId, &str) -> Result<Option<StoreId>, E>,
) -> Result<(Option<StoreId>, Option<NameId>), E> {
    let text = |name: &str| {
        let raw = kind.field(name).map_or_else(|| fields.get(name), |field| field.find(fields));
        raw.and_then(crate::record::json_text).filter(|text| !text.is_empty())
    };
    let store = |name: &str| text(name).map(|id| StoreId::new(id.into_owned()));
    let name = |field: &str| text(field).map(|id| NameId::new(id.into_owned()));
    Ok(match kind.scope {
        Scope::None => (None, None),
        Scope::Store(field) | Scope::Correspondence(field, _) => (store(field), None),
        Scope::Patient(field) => (None, name(field)),
        Scope::StoreAndName(store_field, name_field) => (store(store_field), name(name_field)),
        Scope::ParentStore(field, parent, store_field) => match text(field) {
            Some(id) => (store_of_parent(parent, &RecordId::new(id.into_owned()), store_field)?, None),
            None => (None, None),
        },
    })
}

/// A part of a changelog that was lost when its storage was restored from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangelogGap {
    /// The last cursor that is still there.
    pub after: Cursor,
    /// All cursors given out since are higher; those between the two are never used again, nor is this one.
    pub before: Cursor,
}

impl ChangelogGap {
    /// The most gaps that one end tells the other: each is a restore from a backup.
    pub const TOLD_MAX: usize = 1000;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecordData, record_type, record_types};

    fn scope(table: &str, json: &str) -> (Option<StoreId>, Option<NameId>) {
        let data = RecordData::parse(json).unwrap();
        let parent = |table: &str, id: &RecordId, field: &str| {
            Ok::<_, ()>((table == "asset" && *id == *"a" && field == "store_id").then(|| StoreId::from("s")))
        };
        scope_of(record_type(table).unwrap(), &data.fields().unwrap(), parent).unwrap()
    }

    #[test]
    fn store_and_name_come_from_the_declared_fields() {
        assert_eq!(scope("asset", r#"{"store_id":"s"}"#), (Some("s".into()), None));
        assert_eq!(scope("asset", r#"{"store_id":null}"#), (None, None));
        assert_eq!(scope("asset_log", r#"{"asset_id":"a"}"#), (Some("s".into()), None));
        assert_eq!(scope("asset_log", r#"{"asset_id":"unknown"}"#), (None, None));
        assert_eq!(scope("vaccination", r#"{"patient_id":"p","store_id":"s"}"#), (None, Some("p".into())));
        assert_eq!(scope("vaccination", r#"{"patient_link_id":"p"}"#), (None, Some("p".into())), "older spelling");
        assert_eq!(scope("rnr_form", r#"{"store_id":"s","name_link_id":"n"}"#), (Some("s".into()), Some("n".into())));
        assert_eq!(scope("name", r#"{"ID":"n"}"#), (None, None));
    }

    #[test]
    fn audiences_follow_the_rules_of_selection() {
        let store = StoreId::from("s");
        let name = NameId::from("n");
        for kind in record_types() {
            let of = |store, name| Audience::of(kind.style, kind.table, store, name);
            let expected = match (kind.style, kind.table) {
                (SyncStyle::Central | SyncStyle::File, _) => [Audience::Everyone, Audience::Everyone],
                (_, "vaccination") => [Audience::Patient, Audience::Patient],
                (SyncStyle::Remote, _) => [Audience::Nobody, Audience::Store(store.clone())],
                (SyncStyle::RemoteAndCentral, _) => [Audience::Everyone, Audience::Store(store.clone())],
                (SyncStyle::RemoteToCentral | SyncStyle::Legacy, _) => [Audience::Nobody, Audience::Nobody],
            };
            assert_eq!([of(None, Some(&name)), of(Some(&store), Some(&name))], expected, "{}", kind.table);
        }
    }
}
