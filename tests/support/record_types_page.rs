//! The page `docs/record-types.md`, made from the declarations.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sync_core::record::{Deletion, Field, FieldKind, Group, RecordType, SyncStyle, Writers, record_types};

/// The whole page.
pub fn record_types_page() -> String {
    let mut page = String::from(HEAD);
    page.push_str(SUMMARY_HEAD);
    for kind in record_types() {
        page.push_str(&summary_row(kind));
    }
    page.push_str(RULES);
    let mut groups: BTreeMap<Group, Vec<&RecordType>> = BTreeMap::new();
    for kind in record_types() {
        groups.entry(kind.group).or_default().push(kind);
    }
    for (group, kinds) in groups {
        let _ = write!(page, "\n## {}\n", group.title());
        for kind in kinds {
            page.push_str(&section(kind));
        }
    }
    page
}

const HEAD: &str = "\
<!-- Generated from the declarations in sync-core/src/record/types. Renew it: UPDATE_DOCS=1 cargo test -p sync-tests page -->

# Record types

This page is generated from the declarations in `sync-core/src/record/types`; do not edit it. After a change of a
declaration, renew it with `UPDATE_DOCS=1 cargo test -p sync-tests page`; a test compares the two.

The records that travel between a remote site and the Open mSupply central server over protocol V6, in the spelling of v2.19.00.
*Pulled* types go from central to sites, *pushed* types from sites to central. *After* names the tables that are
integrated first.

";

const SUMMARY_HEAD: &str = "\
## Summary

| table | group | style | pulled | pushed | deletes | writers | after | since | removed |
|---|---|---|---|---|---|---|---|---|---|
";

const RULES: &str = "
Deletes: *soft* is a date-time field that marks a record as deleted and travels as an ordinary update; *wire* is a Delete
that removes the record; *soft and wire* understands a Delete as setting the mark.

Fields: *null* says whether null is a value. *Missing reads as* is what a record without the key reads as; where it is
empty, the key must be there. A release after it means that older peers do not send this mandatory key. Keys that are not
listed are kept as they came.
";

fn summary_row(kind: &RecordType) -> String {
    format!(
        "| [`{table}`](#{table}) | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        kind.group.title(),
        style(kind.style),
        yes(kind.pulled),
        yes(kind.pushed),
        deletes(kind.deletion),
        writers(kind.writers),
        codes(kind.after),
        kind.since,
        kind.removed.unwrap_or_default(),
        table = kind.table,
    )
}

fn section(kind: &RecordType) -> String {
    let mut out = format!("\n### `{}`\n\n", kind.table);
    let _ = write!(out, "Style *{}*; key `{}`; deletes: {}", style(kind.style), kind.key, deletes(kind.deletion));
    if let Deletion::Soft(field) | Deletion::SoftAndWire(field) = kind.deletion {
        let _ = write!(out, ", marked by `{field}`");
    }
    if kind.changelog_name != kind.table {
        let _ = write!(out, "; called `{}` in the changelog of Open mSupply", kind.changelog_name);
    }
    let _ = write!(out, "; since {}", kind.since);
    if let Some(removed) = kind.removed {
        let _ = write!(out, ", gone in {removed}");
    }
    out.push_str(
        ".\n\n| field | kind | null | missing reads as | older spellings | parent |\n|---|---|---|---|---|---|\n",
    );
    for field in kind.fields {
        out.push_str(&field_row(field));
    }
    for (name, spellings) in enumerations(kind) {
        let _ = write!(out, "\n`{name}`: {}\n", codes(spellings));
    }
    out
}

fn field_row(field: &Field) -> String {
    let mut missing = field.default.map(|json| format!("`{json}`")).unwrap_or_default();
    if let Some(release) = field.added {
        let _ = write!(missing, " (before {release})");
    }
    format!(
        "| `{}` | {} | {} | {missing} | {} | {} |\n",
        field.name,
        kind_name(field.kind),
        yes(field.nullable),
        codes(field.aliases),
        field.parent.map(|table| format!("`{table}`")).unwrap_or_default(),
    )
}

/// The kind in the words of the spec, with what the spec's words do not tell apart.
fn kind_name(kind: FieldKind) -> String {
    match kind {
        FieldKind::LegacyDate => "datetime, or date, or empty".to_owned(),
        FieldKind::LegacyEnum(name, _) => format!("enum:{name}, or empty"),
        FieldKind::EnumList(name, _) => format!("list of enum:{name}"),
        other => other.spec_name().into_owned(),
    }
}

/// The enumerations of a type, each once.
fn enumerations(kind: &RecordType) -> BTreeMap<&'static str, &'static [&'static str]> {
    kind.fields.iter().filter_map(|field| field.kind.enumeration()).collect()
}

fn style(style: SyncStyle) -> String {
    style.spec_name().replace('_', " ")
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "" }
}

fn codes(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn deletes(deletion: Deletion) -> &'static str {
    match deletion {
        Deletion::Never => "never",
        Deletion::Soft(_) => "soft",
        Deletion::SoftAndWire(_) => "soft and wire",
        Deletion::Wire => "wire",
    }
}

fn writers(writers: Writers) -> &'static str {
    match writers {
        Writers::Central => "central",
        Writers::Everyone => "everyone",
        Writers::Author => "everyone, but not what another wrote",
        Writers::Holder => "who holds the record that it belongs to, central",
        Writers::StoreSite => "the store's site",
        Writers::StoreSiteOrCentral => "the store's site, central",
        Writers::StoreSiteElseCentral => "the store's site; without a store central",
    }
}
