//! The tables that are copied from one storage to the other, with their columns.

use std::fmt;

use crate::storage::marks::{MOVED, UNFINISHED};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) enum Kind {
    Text,
    /// A number of 64 bits.
    Number,
    /// A number of 32 bits.
    Small,
    /// True or false; 1 or 0 in SQLite.
    Flag,
}

/// A column of both storages.
pub(in crate::storage) struct CopiedColumn {
    /// Its name in SQLite.
    pub in_file: &'static str,
    /// Its name in PostgreSQL.
    pub on_server: &'static str,
    pub kind: Kind,
}

/// The name of a column in one of the storages.
pub(in crate::storage) type NameOfColumn = fn(&CopiedColumn) -> &'static str;

/// A table of both storages.
pub(in crate::storage) struct CopiedTable {
    pub name: &'static str,
    /// The columns of the key come first. Rows are copied and compared in its order.
    pub columns: &'static [CopiedColumn],
    /// The number of columns of the key.
    pub key: usize,
    /// The column, if any, whose numbers the database gives out itself, and never twice.
    pub counted: Option<&'static str>,
}

const fn column(name: &'static str, kind: Kind) -> CopiedColumn {
    CopiedColumn { in_file: name, on_server: name, kind }
}

const fn text(name: &'static str) -> CopiedColumn {
    column(name, Kind::Text)
}

const fn number(name: &'static str) -> CopiedColumn {
    column(name, Kind::Number)
}

const fn small(name: &'static str) -> CopiedColumn {
    column(name, Kind::Small)
}

const fn flag(name: &'static str) -> CopiedColumn {
    column(name, Kind::Flag)
}

/// The settings that each storage keeps for itself: which database it is, how far it has come, its views, and the marks of a
/// migration. The position is written at the end.
pub(in crate::storage) const OWN_SETTINGS: [&str; 6] =
    ["database_id", "commits", "newest_cursor", "views", MOVED, UNFINISHED];

/// The tables that hold no data of their own: each storage makes them from the others, or writes them at the end, or holds in
/// them what a server forgets at its restart.
#[cfg(test)]
pub(in crate::storage) const DERIVED: [&str; 4] = ["sync_count", "sync_position", "sync_remembered", "sync_schema"];

/// All tables that are copied, the largest first. A test compares them with the schemas of both storages.
pub(in crate::storage) const TABLES: &[CopiedTable] = &[
    CopiedTable {
        name: "sync_record",
        columns: &[
            number("cursor"),
            text("table_name"),
            text("record_id"),
            text("data"),
            text("store_id"),
            text("name_id"),
            small("source_site_id"),
            flag("is_sync_update"),
            text("audience"),
            number("changed_at"),
            number("written"),
            text("parent_id"),
            number("site_number"),
            text("join_name"),
            text("join_store"),
        ],
        key: 1,
        counted: None,
    },
    CopiedTable {
        name: "sync_change",
        columns: &[
            number("cursor"),
            text("table_name"),
            text("record_id"),
            text("action"),
            text("store_id"),
            text("name_id"),
            small("source_site_id"),
            flag("is_sync_update"),
            text("audience"),
            number("changed_at"),
            number("written"),
            text("data"),
        ],
        key: 1,
        counted: None,
    },
    CopiedTable {
        name: "sync_seen",
        columns: &[
            text("store_id"),
            CopiedColumn { in_file: "beside", on_server: "is_tombstone", kind: Kind::Flag },
            number("cursor"),
            small("source_site_id"),
        ],
        key: 3,
        counted: None,
    },
    CopiedTable {
        name: "sync_buffer",
        columns: &[
            number("sequence"),
            text("source"),
            text("table_name"),
            text("record_id"),
            text("action"),
            text("data"),
            text("received_at"),
            number("cursor"),
            text("state"),
            text("reason"),
            text("waits_for_table"),
            text("waits_for_id"),
            number("known_here"),
            number("known_by_sender"),
            flag("was_set_aside"),
        ],
        key: 1,
        counted: Some("sequence"),
    },
    CopiedTable {
        name: "sync_kept",
        columns: &[number("number"), small("site_id"), text("table_name"), text("record_id"), text("data")],
        key: 1,
        counted: Some("number"),
    },
    CopiedTable {
        name: "sync_pushed",
        columns: &[
            small("site_id"),
            text("table_name"),
            text("record_id"),
            number("cursor"),
            number("fingerprint"),
            number("taken_at"),
            flag("is_former"),
        ],
        key: 3,
        counted: None,
    },
    CopiedTable {
        name: "sync_file",
        columns: &[
            text("file_id"),
            text("table_name"),
            text("record_id"),
            text("direction"),
            text("state"),
            number("bytes"),
            text("sha256"),
            text("etag"),
            number("attempts"),
            number("next_at"),
            text("reason"),
            number("changed_at"),
        ],
        key: 1,
        counted: None,
    },
    CopiedTable {
        name: "sync_log",
        columns: &[
            number("id"),
            text("started_at"),
            text("finished_at"),
            text("outcome"),
            text("error"),
            text("report"),
        ],
        key: 1,
        counted: Some("id"),
    },
    CopiedTable {
        name: "sync_site",
        columns: &[
            small("site_id"),
            text("uuid"),
            text("name"),
            text("secret"),
            text("hardware_id"),
            text("last_pull_at"),
        ],
        key: 1,
        counted: None,
    },
    CopiedTable {
        name: "sync_activity",
        columns: &[
            small("site_id"),
            text("name"),
            text("app_version"),
            text("seen_at"),
            text("pulled_at"),
            text("pushed_at"),
            number("read_to"),
        ],
        key: 1,
        counted: None,
    },
    CopiedTable { name: "sync_integration", columns: &[small("site_id"), text("requested_at")], key: 1, counted: None },
    CopiedTable { name: "sync_state", columns: &[text("key"), text("value")], key: 1, counted: None },
];

impl CopiedTable {
    /// The names of all columns in one of the storages, separated by commas.
    pub(in crate::storage) fn columns_sql(&self, name: NameOfColumn) -> String {
        list(self.columns, name)
    }

    /// The columns of the key.
    pub(in crate::storage) fn key_columns(&self) -> &'static [CopiedColumn] {
        &self.columns[..self.key]
    }

    /// The statement for the last key, with the columns named as in one storage.
    pub(in crate::storage) fn last_key_sql(&self, name: NameOfColumn) -> String {
        let key = self.key_columns();
        let order = key.iter().map(|column| format!("{} DESC", name(column))).collect::<Vec<_>>().join(", ");
        let (key, condition) = (list(key, name), self.condition());
        format!("SELECT {key} FROM {} WHERE {condition} ORDER BY {order} LIMIT 1", self.name)
    }

    /// The statement for all rows in the order of the key, or for those behind a key, whose parameters are written so.
    pub(in crate::storage) fn rows_sql(&self, name: NameOfColumn, after: Option<&str>) -> String {
        let (columns, key) = (list(self.columns, name), list(self.key_columns(), name));
        let after = after.map_or_else(|| "true".to_owned(), |places| format!("({key}) > ({places})"));
        format!("SELECT {columns} FROM {} WHERE {after} AND {} ORDER BY {key}", self.name, self.condition())
    }

    /// The statement for the number of rows.
    pub(in crate::storage) fn count_sql(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE {}", self.name, self.condition())
    }

    /// The statement that removes all rows.
    pub(in crate::storage) fn clear_sql(&self) -> String {
        format!("DELETE FROM {} WHERE {}", self.name, self.condition())
    }

    /// The condition that leaves out what each storage keeps for itself.
    fn condition(&self) -> String {
        match self.name {
            "sync_state" => format!("key NOT IN ('{}')", OWN_SETTINGS.join("', '")),
            _ => "true".to_owned(),
        }
    }
}

fn list(columns: &[CopiedColumn], name: NameOfColumn) -> String {
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A value of a row. The order is that of both storages: texts by their bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::storage) enum Value {
    None,
    Number(i64),
    Text(String),
}

impl Value {
    /// About the memory that it takes.
    pub(in crate::storage) fn bytes(&self) -> usize {
        16 + if let Self::Text(text) = self { text.len() } else { 0 }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A row, in the order of the columns.
pub(in crate::storage) type Row = Vec<Value>;
