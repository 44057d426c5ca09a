//! Each declaration against what Open mSupply declares.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sync_core::record::{Deletion, RecordType, record_type, record_types};
use sync_tests::record_value::value;

use super::{declared_upstream, example, list, release, text};

/// Deliberate differences of a declaration from Open mSupply's: table, field, difference, and reason.
const INTENDED: &[(&str, &str, &str, &str)] = &[
    (
        "asset_catalogue_property",
        "value_type",
        "spellings",
        "one enumeration serves all properties; DATE came after this type was gone",
    ),
    ("name", "type", "type", "any spelling that Open mSupply does not know reads as Others there: it is never refused"),
    ("name", "type", "spellings", "declared as text, so no spelling is refused"),
    ("sync_file_reference", "status", "nullable", "no state that another end reports keeps its reference away"),
];

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Difference {
    table: String,
    field: String,
    what: &'static str,
    says: String,
}

/// Collects all differences, so that one run shows everything.
#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, at: (&str, &str), what: &'static str, ours: T, theirs: T) {
        if ours != theirs {
            let says = format!("ours {ours:?}, theirs {theirs:?}");
            self.0.push(Difference { table: at.0.to_owned(), field: at.1.to_owned(), what, says });
        }
    }
}

#[test]
fn every_type_has_its_declaration() {
    let upstream: Vec<String> = declared_upstream().iter().map(|kind| text(kind, "table_name").to_owned()).collect();
    let declared: Vec<&str> = record_types().iter().map(|kind| kind.table).collect();
    assert_eq!(declared, upstream);
}

#[test]
fn declarations_say_what_open_msupply_says() {
    let mut differences = Differences::default();
    for upstream in &declared_upstream() {
        let kind = record_type(text(upstream, "table_name")).expect("a declaration");
        compare_rules(kind, upstream, &mut differences);
        compare_fields(kind, upstream, &mut differences);
    }
    let intended = |d: &Difference| INTENDED.iter().any(|(t, f, w, _)| (*t, *f, *w) == (&d.table, &d.field, d.what));
    let unintended: Vec<&Difference> = differences.0.iter().filter(|d| !intended(d)).collect();
    assert!(unintended.is_empty(), "{unintended:#?}");
    let found: BTreeSet<_> = differences.0.iter().map(|d| (d.table.as_str(), d.field.as_str(), d.what)).collect();
    let listed: BTreeSet<_> = INTENDED.iter().map(|(table, field, what, _)| (*table, *field, *what)).collect();
    assert_eq!(found, listed, "a listed difference is none any more");
}

fn compare_rules(kind: &RecordType, upstream: &Value, differences: &mut Differences) {
    let at = (kind.table, "");
    let soft = match kind.deletion {
        Deletion::Soft(field) | Deletion::SoftAndWire(field) => Some(field),
        Deletion::Wire | Deletion::Never => None,
    };
    let after: BTreeSet<&str> = kind.after.iter().copied().collect();
    let dependencies = list(upstream, "pull_dependencies").iter().filter_map(Value::as_str).collect();
    let removed = upstream["removed_in"].as_str().map(release);
    differences.compare(at, "changelog name", kind.changelog_name, text(upstream, "changelog_name"));
    differences.compare(at, "group", kind.group.title(), text(upstream, "group"));
    differences.compare(at, "style", kind.style.spec_name(), text(upstream, "sync_style"));
    differences.compare(at, "pulled", Some(kind.pulled), upstream["pull"].as_bool());
    differences.compare(at, "pushed", Some(kind.pushed), upstream["push"].as_bool());
    differences.compare(at, "deletes", Some(kind.deletes_on_wire()), upstream["delete"]["from_wire"].as_bool());
    differences.compare(at, "soft delete", soft, upstream["soft_delete_field"].as_str());
    differences.compare(at, "after", after, dependencies);
    differences.compare(at, "key", kind.key, text(upstream, "primary_key"));
    differences.compare(at, "since", release(kind.since), release(text(upstream, "since")));
    differences.compare(at, "removed", kind.removed.map(release), removed);
    let names: Vec<&str> = kind.fields.iter().map(|field| field.name).collect();
    let upstream_names = list(upstream, "fields").iter().map(|field| text(field, "name")).collect();
    differences.compare(at, "fields", names, upstream_names);
}

fn compare_fields(kind: &RecordType, upstream: &Value, differences: &mut Differences) {
    let mut enumerations: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (field, theirs) in kind.fields.iter().zip(list(upstream, "fields")) {
        let at = (kind.table, field.name);
        let optional = field.default.is_some() && field.added.is_none();
        differences.compare(at, "type", field.kind.spec_name().as_ref(), text(theirs, "type"));
        differences.compare(at, "nullable", Some(field.nullable), theirs["nullable"].as_bool());
        differences.compare(at, "default", Some(optional), theirs["has_default"].as_bool());
        if let Some((name, spellings)) = field.kind.enumeration() {
            enumerations.insert(name, spellings.to_vec());
        }
    }
    for (name, spellings) in upstream["enums"].as_object().expect("enumerations") {
        // The enumerations of keys that are never sent and that we do not read.
        let input_only = list(upstream, "input_only_fields").iter();
        if input_only.map(|field| text(field, "type")).any(|kind| kind == format!("enum:{name}")) {
            continue;
        }
        let theirs: BTreeSet<&str> =
            spellings.as_array().expect("spellings").iter().filter_map(Value::as_str).collect();
        let ours = enumerations.remove(name.as_str()).unwrap_or_default().into_iter().collect();
        let field = list(upstream, "fields").iter().find(|f| text(f, "type") == format!("enum:{name}"));
        differences.compare((kind.table, field.map_or(name, |f| text(f, "name"))), "spellings", ours, theirs);
    }
    differences.compare((kind.table, ""), "enumerations", enumerations, BTreeMap::new());
}

#[test]
fn examples_pass_and_come_back_as_they_were() {
    for upstream in &declared_upstream() {
        let kind = record_type(text(upstream, "table_name")).expect("a record type");
        let (table, example) = (kind.table, example(upstream));
        kind.check(&example).unwrap_or_else(|error| panic!("{table}: {error}"));
        let written = kind.rewrite(&example).unwrap_or_else(|error| panic!("{table}: {error}"));
        assert_eq!(value(&written), value(&example), "{table}");
        assert!(kind.in_current_spelling(&example).is_none(), "{table} is in the current spelling");
    }
}
