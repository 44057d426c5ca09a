//! The judge's own rules: who may write a record, who receives it, what it needs. They are written from the source of Open mSupply
//! and `docs/model.md`, and never read from the engine.

use serde_json::{Map, Value};

/// Who receives a record from central.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every site.
    Everyone,
    /// The site of its store; no site if it has none.
    Store,
    /// The site of its store; every site if it has none.
    StoreOrEveryone,
    /// The sites of the stores that its patient is joined to.
    Patient,
    /// No site.
    Nobody,
    /// Every site, among the central data of the legacy half.
    Legacy,
}

/// Where the store of a record is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOf {
    /// It has none.
    None,
    /// In this field.
    Field(&'static str),
    /// In the `store_id` of its parent, which this field names in this table.
    Parent(&'static str, &'static str),
}

/// Who may write a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Central alone.
    Central,
    /// Every end.
    Everyone,
    /// The site of its store; central only what has no store.
    StoreSite,
    /// The site of its store, or any if it has none; central always.
    StoreSiteOrCentral,
    /// The site of its store; central what has none.
    StoreSiteElseCentral,
}

/// How a record is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletes {
    /// Never.
    Never,
    /// By a mark in `deleted_datetime`.
    Mark,
    /// By removing it.
    Removal,
}

/// Where the text goes that makes each version of a record its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Into this field, as text.
    Text(&'static str),
    /// Into this field, as JSON within text.
    Json(&'static str),
    /// Into a key that no release knows.
    Unknown,
}

/// What the judge knows of a record type.
#[derive(Debug)]
pub struct Rule {
    /// The table.
    pub table: &'static str,
    /// Who receives it.
    pub audience: Audience,
    /// Whose store it is.
    pub store: StoreOf,
    /// Who writes it.
    pub writers: Writers,
    /// How it is deleted.
    pub deletes: Deletes,
    /// Its parents, without which it is not integrated: field and table.
    pub parents: &'static [(&'static str, &'static str)],
    /// Where the marker goes.
    pub marker: Marker,
}

use Audience as A;
use Deletes as D;
use Marker as M;
use StoreOf as S;
use Writers as W;

type Parents = &'static [(&'static str, &'static str)];

const fn rule(table: &'static str, who: (Audience, StoreOf, Writers), deletes: Deletes, marker: Marker) -> Rule {
    Rule { table, audience: who.0, store: who.1, writers: who.2, deletes, parents: &[], marker }
}

const fn needs(parents: Parents, rule: Rule) -> Rule {
    Rule { parents, ..rule }
}

const CENTRAL: (Audience, StoreOf, Writers) = (A::Everyone, S::None, W::Central);
const ASSET: &str = "asset";

/// All record types in use, parents before children, but for the [`NEWER`] ones.
pub static RULES: &[Rule] = &[
    rule("ancillary_item", CENTRAL, D::Mark, M::Text("item_id")),
    rule("asset_class", CENTRAL, D::Never, M::Text("name")),
    rule("asset_log_reason", CENTRAL, D::Mark, M::Text("reason")),
    rule("backend_plugin", CENTRAL, D::Removal, M::Text("version")),
    rule("campaign", CENTRAL, D::Mark, M::Text("name")),
    rule("demographic", CENTRAL, D::Never, M::Text("name")),
    rule("frontend_plugin", CENTRAL, D::Removal, M::Text("entry_point")),
    rule("om_form_schema", CENTRAL, D::Removal, M::Text("type")),
    rule("property", CENTRAL, D::Never, M::Text("name")),
    rule("asset_category", CENTRAL, D::Never, M::Text("name")),
    rule("item_variant", CENTRAL, D::Mark, M::Text("name")),
    needs(&[("property_id", "property")], rule("name_property", CENTRAL, D::Never, M::Unknown)),
    rule("om_report", CENTRAL, D::Removal, M::Text("name")),
    rule("vaccine_course", CENTRAL, D::Mark, M::Text("name")),
    rule("asset_catalogue_type", CENTRAL, D::Never, M::Text("name")),
    needs(&[("item_variant_id", "item_variant")], rule("packaging_variant", CENTRAL, D::Mark, M::Text("name"))),
    needs(&[("vaccine_course_id", "vaccine_course")], rule("vaccine_course_dose", CENTRAL, D::Mark, M::Text("label"))),
    needs(
        &[("vaccine_course_id", "vaccine_course")],
        rule("vaccine_course_item", CENTRAL, D::Mark, M::Text("item_link_id")),
    ),
    needs(
        &[("vaccine_course_id", "vaccine_course")],
        rule("vaccine_course_store_config", CENTRAL, D::Never, M::Unknown),
    ),
    rule("asset_catalogue_item", CENTRAL, D::Mark, M::Text("code")),
    rule("asset_property", CENTRAL, D::Never, M::Text("name")),
    rule("preference", (A::StoreOrEveryone, S::Field("store_id"), W::Central), D::Removal, M::Text("value")),
    rule("name_oms_fields", (A::Everyone, S::None, W::Everyone), D::Never, M::Json("properties")),
    rule("sync_file_reference", (A::Everyone, S::None, W::Everyone), D::Mark, M::Text("file_name")),
    rule("name", (A::Nobody, S::None, W::Everyone), D::Removal, M::Text("name")),
    rule("system_log", (A::Nobody, S::None, W::Everyone), D::Never, M::Text("message")),
    needs(
        &[("name_ID", "name")],
        rule("name_store_join", (A::Nobody, S::Field("store_ID"), W::StoreSite), D::Removal, M::Unknown),
    ),
    rule("contact_form", (A::Nobody, S::Field("store_id"), W::StoreSite), D::Never, M::Text("body")),
    rule(
        "plugin_data",
        (A::StoreOrEveryone, S::Field("store_id"), W::StoreSiteElseCentral),
        D::Removal,
        M::Text("data"),
    ),
    rule(ASSET, (A::Store, S::Field("store_id"), W::StoreSiteOrCentral), D::Mark, M::Text("notes")),
    needs(
        &[("asset_id", ASSET)],
        rule(
            "asset_log",
            (A::Store, S::Parent("asset_id", ASSET), W::StoreSiteOrCentral),
            D::Never,
            M::Text("comment"),
        ),
    ),
    needs(
        &[("asset_id", ASSET)],
        rule(
            "asset_internal_location",
            (A::Store, S::Parent("asset_id", ASSET), W::StoreSiteOrCentral),
            D::Removal,
            M::Text("location_id"),
        ),
    ),
    rule("rnr_form", (A::Store, S::Field("store_id"), W::StoreSite), D::Removal, M::Text("comment")),
    needs(
        &[("rnr_form_id", "rnr_form")],
        rule(
            "rnr_form_line",
            (A::Store, S::Parent("rnr_form_id", "rnr_form"), W::StoreSite),
            D::Removal,
            M::Text("comment"),
        ),
    ),
    needs(
        &[("vaccine_course_dose_id", "vaccine_course_dose")],
        rule("vaccination", (A::Patient, S::None, W::Everyone), D::Never, M::Text("comment")),
    ),
    rule("store", (A::Legacy, S::Field("ID"), W::Central), D::Never, M::Unknown),
    // The names of stores; patients, which are names too, have the rule above.
    rule("name of a store", (A::Legacy, S::None, W::Central), D::Never, M::Unknown),
    // The types that came after the first kept seeds: see `NEWER`.
    rule("help_document", CENTRAL, D::Mark, M::Text("title")),
    rule("om_sync_message", (A::Store, S::Field("to_store_id"), W::StoreSiteOrCentral), D::Never, M::Text("body")),
];

/// The number of rules at the end that have a chance of their own in each world, so that the worlds of kept seeds stay as
/// they were.
pub const NEWER: usize = 2;

/// The rule of a record with this content. A name is a patient unless it says otherwise.
pub fn rule_of(table: &str, content: Option<&str>) -> Option<&'static Rule> {
    let is_store_name =
        table == "name" && content.is_some_and(|c| text(&fields(c), "type").as_deref() != Some("patient"));
    let wanted = if is_store_name { "name of a store" } else { table };
    RULES.iter().find(|rule| rule.table == wanted)
}

/// The field that holds a record's id.
pub fn key_field(table: &str) -> &'static str {
    if matches!(table, "name" | "name_store_join" | "store") { "ID" } else { "id" }
}

/// Keys that v2.17.0 renamed: the table, what they were called before, what they are called.
const RENAMED: [(&str, &str, &str); 4] = [
    ("item_variant", "manufacturer_link_id", "manufacturer_id"),
    ("rnr_form", "name_link_id", "name_id"),
    ("vaccination", "patient_link_id", "patient_id"),
    ("vaccination", "facility_name_link_id", "facility_name_id"),
];

/// A release of Open mSupply.
pub type Release = (u32, u32, u32);

/// The first release that spells keys as today.
pub const SPELLED_AS_TODAY: Release = (2, 17, 0);

/// Tables that came with a release after 2.4.0; all others every release has that is played.
const SINCE: [(&str, Release); 14] = [
    ("system_log", (2, 4, 1)),
    ("contact_form", (2, 5, 0)),
    ("backend_plugin", (2, 6, 0)),
    ("frontend_plugin", (2, 6, 0)),
    ("om_form_schema", (2, 6, 0)),
    ("om_report", (2, 6, 0)),
    ("plugin_data", (2, 6, 0)),
    ("preference", (2, 7, 0)),
    ("campaign", (2, 8, 0)),
    ("asset_internal_location", (2, 13, 1)),
    ("vaccine_course_store_config", (2, 17, 0)),
    ("ancillary_item", (2, 19, 0)),
    ("om_sync_message", (2, 20, 0)),
    ("help_document", (2, 21, 0)),
];

/// Deletions that a release understands later than the records of the table.
const DELETED_SINCE: [(&str, Release); 4] =
    [("asset", (2, 13, 1)), ("plugin_data", (2, 20, 0)), ("rnr_form", (2, 9, 1)), ("rnr_form_line", (2, 9, 1))];

/// The first release that has a table.
pub fn since(table: &str) -> Release {
    SINCE.iter().find(|(of, _)| *of == table).map_or((2, 0, 0), |(_, since)| *since)
}

/// The first release that understands the deletion of a record of a table.
pub fn deleted_since(table: &str) -> Release {
    DELETED_SINCE.iter().find(|(of, _)| *of == table).map_or_else(|| since(table), |(_, since)| *since)
}

/// A release as it is written.
pub fn release_of(text: &str) -> Option<Release> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// A content in the spelling of releases before 2.17.0, if that is another one.
pub fn spelled_before(table: &str, content: &str) -> Option<String> {
    let quoted = |key: &str| format!("\"{key}\":");
    let mut before: Option<String> = None;
    for (_, former, name) in RENAMED.iter().filter(|(of, ..)| *of == table) {
        let so_far = before.as_deref().unwrap_or(content);
        if so_far.contains(&quoted(name)) {
            before = Some(so_far.replacen(&quoted(name), &quoted(former), 1));
        }
    }
    before
}

/// A content in the spelling of today, if it is in an older one: both say the same.
pub fn spelled_as_today(table: &str, content: &str) -> Option<String> {
    let quoted = |key: &str| format!("\"{key}\":");
    let mut today: Option<String> = None;
    for (_, former, name) in RENAMED.iter().filter(|(of, ..)| *of == table) {
        let so_far = today.as_deref().unwrap_or(content);
        if so_far.contains(&quoted(former)) {
            today = Some(so_far.replacen(&quoted(former), &quoted(name), 1));
        }
    }
    today
}

/// The top-level fields of a record's content.
pub fn fields(content: &str) -> Map<String, Value> {
    serde_json::from_str(content).unwrap_or_default()
}

/// A field as text that is not empty.
pub fn text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The store of a record with this content; `parent` gives the content of a parent.
pub fn store_of(rule: &Rule, content: &str, parent: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    match rule.store {
        StoreOf::None => None,
        StoreOf::Field(field) => text(&fields(content), field),
        StoreOf::Parent(field, table) => {
            let parent = parent(table, &text(&fields(content), field)?)?;
            text(&fields(&parent), "store_id")
        }
    }
}

/// Whether an end may write a record that belongs to this store, if to any. `own` says whether a store is active there.
pub fn may_write(is_central: bool, rule: &Rule, store: Option<&str>, own: impl Fn(&str) -> bool) -> bool {
    match (rule.writers, store) {
        (Writers::Central, _) => is_central,
        (Writers::Everyone, _) => true,
        (Writers::StoreSite, None) => is_central,
        // A store may be active on central itself.
        (Writers::StoreSite | Writers::StoreSiteElseCentral, Some(store)) => own(store),
        (Writers::StoreSiteOrCentral, None) => true,
        (Writers::StoreSiteOrCentral, Some(store)) => is_central || own(store),
        (Writers::StoreSiteElseCentral, None) => is_central,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_in_use_has_a_rule() {
        let in_use = sync_core::record::record_types().iter().filter(|kind| kind.removed.is_none());
        for kind in in_use {
            let table = kind.table;
            assert!(rule_of(table, None).is_some(), "{table} has no rule: add it to RULES in tests/sim/src/rules.rs");
        }
    }
}
