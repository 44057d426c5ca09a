//! The promises about what travels: what central may answer to a pull, and what a site keeps until it was sent.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ledger::{Key, Ledger, Version};
use crate::promises::{Promise, Violation, short, shown};
use crate::rules::{
    Audience, Release, SPELLED_AS_TODAY, StoreOf, deleted_since, fields, rule_of, since, spelled_as_today,
    spelled_before, text,
};

/// Checks the body of an answer to a pull: every record in it is one of the site's own, as some host wrote it; and unless
/// the site asked for all, it is none that the site itself wrote last.
pub fn pulled(ledger: &Ledger, site: usize, is_initialised: bool, body: &[u8]) -> Vec<Violation> {
    let mut found = Vec::new();
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else { return found };
    for Element { record } in answer.data.records {
        let key = (record.table, record.id);
        if !ledger.was_for(site, &key) {
            let what = format!("site {site} was sent {}, which never was for it", shown(&key));
            found.push(Violation { promise: Promise::OnlyOnesOwnArrives, what });
        }
        let is_delete = record.action == "Delete";
        if !is_delete && is_of_a_later_time(ledger, site, &key, record.data.get()) {
            let what = format!(
                "site {site} was sent {} as it became after it had left the site: {}",
                shown(&key),
                record.data
            );
            found.push(Violation { promise: Promise::OnlyOnesOwnArrives, what });
        }
        if is_initialised && is_echo(ledger, site, &key, (!is_delete).then(|| record.data.get())) {
            let what = format!("site {site} was sent {}, which it wrote itself and nobody after it", shown(&key));
            found.push(Violation { promise: Promise::NoEcho, what });
        }
        let is_unknown = || {
            let content = record.data.get();
            ledger.version(&key, content).is_none()
                && !ledger.is_forged_of_own(&key, content)
                && !ledger.is_in_another_store(&key, content)
        };
        if !is_delete && ledger.is_of_v6(&key.0) && is_unknown() {
            let what = format!("site {site} was sent {} as nobody wrote it: {}", shown(&key), record.data);
            found.push(Violation { promise: Promise::OnlyWhoMayChanges, what });
        }
        if is_delete && ledger.of(&key).all(|(_, version)| version.content.is_some()) {
            let what = format!("site {site} was sent the deletion of {}, which nobody deleted", shown(&key));
            found.push(Violation { promise: Promise::OnlyWhoMayChanges, what });
        }
    }
    found
}

/// Checks that a site can read each record in an answer to a pull: its release has the table and understands the deletion, and
/// `spelling` says whether keys have to be those of its release. A site drops what it cannot read, for good.
pub(crate) fn readable(release: Release, site: usize, spelling: bool, body: &[u8]) -> Option<Violation> {
    let answer = serde_json::from_slice::<Answer<'_>>(body).ok()?;
    let why = |Record { table, action, data, .. }: &Record<'_>| match action.as_str() {
        _ if since(table) > release => Some("does not know its table"),
        "Delete" => (deleted_since(table) > release).then_some("does not know its deletion"),
        _ if !spelling => None,
        _ if release < SPELLED_AS_TODAY => spelled_before(table, data.get()).map(|_| "does not know the spelling"),
        _ => spelled_as_today(table, data.get()).map(|_| "has another spelling by now"),
    };
    answer.data.records.iter().find_map(|Element { record }| {
        let (why, key) = (why(record)?, (record.table.clone(), record.id.clone()));
        let what = format!("site {site} of release {release:?} was sent {}, and {why}", shown(&key));
        Some(Violation { promise: Promise::NothingIsLost, what })
    })
}

/// Notes the versions in the body of an answer to a pull.
pub fn note_given(ledger: &mut Ledger, site: usize, body: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else { return };
    for Element { record } in answer.data.records {
        let key = (record.table, record.id);
        if let Some(number) = ledger.version(&key, record.data.get()) {
            ledger.was_given(site, key, number);
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Records<'a>,
}

#[derive(Deserialize)]
struct Records<'a> {
    #[serde(borrow)]
    records: Vec<Element<'a>>,
}

#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    record: Record<'a>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "tableName")]
    table: String,
    #[serde(rename = "recordId")]
    id: String,
    action: String,
    #[serde(rename = "recordData", borrow)]
    data: &'a RawValue,
}

/// Whether a content is of a time after its record had left the stores of a site. The site is told of the loss by the
/// version that left; what others write on top of that is not for it. Asked of records whose versions were written one on
/// top of the other.
fn is_of_a_later_time(ledger: &Ledger, site: usize, key: &Key, content: &str) -> bool {
    if !ledger.judges_order || !ledger.restored.is_empty() || !ledger.merges.is_empty() {
        return false;
    }
    let Some(rule) = rule_of(&key.0, Some(content)) else { return false };
    let (StoreOf::Field(field), Audience::Store) = (rule.store, rule.audience) else { return false };
    let versions: Vec<(usize, _)> = ledger.of(key).collect();
    if !versions.windows(2).all(|pair| pair[1].1.ancestors.contains(&pair[0].0)) {
        return false;
    }
    let was_here = |content: &str| text(&fields(content), field).is_some_and(|store| ledger.was_on(&store, site));
    // An older release has it in another spelling.
    let exact = versions.iter().position(|(_, version)| version.content.as_deref() == Some(content));
    let in_another_spelling = || {
        let number = ledger.version(key, content)?;
        versions.iter().position(|(at, _)| *at == number)
    };
    let Some(place) = exact.or_else(in_another_spelling) else { return false };
    let later = versions[place].0;
    let mut before = versions[..place].iter().rev().filter(|(number, _)| !ledger.was_passed_over(*number, later));
    let before = before.next().and_then(|(_, version)| version.content.as_deref());
    versions[place].1.by != site && !was_here(content) && before.is_some_and(|before| !was_here(before))
}

/// Whether a site is sent back what it wrote itself, and nobody after it. Not where the record is told again for a reason:
/// its parent or the record with its file was written since and may have moved, its patient may have become visible, it was in several stores (what tells
/// a former store of its loss carries the newest content), some end was restored, the site has begun anew since, or central
/// integrated it late.
fn is_echo(ledger: &Ledger, site: usize, key: &Key, content: Option<&str>) -> bool {
    // What was merged is written anew.
    if !ledger.restored.is_empty() || !ledger.merges.is_empty() {
        return false;
    }
    let Some(content) = content else {
        // A deletion is told to everyone who may hold the record.
        return false;
    };
    let Some(number) = ledger.version(key, content) else { return false };
    let by_others = ledger.of(key).any(|(later, version)| later > number && version.by != site);
    if ledger.versions[number].by != site
        || ledger.of_several.contains(&number)
        || ledger.may_be_lost(site, number)
        || by_others
        || ledger.stores_ever(key).len() > 1
    {
        return false;
    }
    let written_since = |table: &str, id: &dyn Fn(&Key) -> bool| {
        let since = ledger.versions.iter().skip(number);
        since.into_iter().any(|version| version.key.0 == table && id(&version.key))
    };
    let Some(rule) = rule_of(&key.0, Some(content)) else { return false };
    let parent_written = match rule.store {
        StoreOf::Parent(field, table) => {
            let parent = text(&fields(content), field);
            written_since(table, &|key| Some(&key.1) == parent.as_ref())
        }
        _ => record_of_file(key, content).is_some_and(|of| written_since(&of.0, &|key| *key == of)),
    };
    let patient_shown = rule.audience == Audience::Patient && written_since("name_store_join", &|_| true);
    !parent_written
        && !patient_shown
        && !may_have_waited(ledger, site, key, number)
        && !its_store_came(ledger, site, key, content)
}

/// Whether the store of a record, or of the one whose file it describes, came to a site from another one. What the site wrote
/// before central knew of that was refused until the store came, and the site may have been given meanwhile what stood at
/// central: it is to have its own back.
fn its_store_came(ledger: &Ledger, site: usize, key: &Key, content: &str) -> bool {
    let of_file = record_of_file(key, content);
    let of_record = std::iter::once(key).chain(&of_file).flat_map(|key| ledger.stores_ever(key)).flatten();
    of_record.into_iter().any(|store| ledger.came_to(&store, site))
}

/// The record with the file that a content describes, if it is a reference.
fn record_of_file(key: &Key, content: &str) -> Option<Key> {
    let content = Some(fields(content)).filter(|_| key.0 == "sync_file_reference")?;
    text(&content, "table_name").zip(text(&content, "record_id"))
}

/// Whether central may have set a version aside, and given its site another end's meanwhile: of the name or the properties of a
/// patient whom the site was not known to see, until a join or a store came. The site is to have its own back then.
fn may_have_waited(ledger: &Ledger, site: usize, key: &Key, number: usize) -> bool {
    if !matches!(key.0.as_str(), "name" | "name_oms_fields") || ledger.of(key).all(|(_, version)| version.by == site) {
        return false;
    }
    let joins_the_patient = |version: &Version| {
        let content = version.content.as_deref().filter(|_| version.key.0 == "name_store_join");
        content.is_some_and(|content| text(&fields(content), "name_ID").as_ref() == Some(&key.1))
    };
    let came_to_the_site = |store: &str| ledger.was_on(store, site) && ledger.was_elsewhere(store, site);
    // The legacy server may join a patient, and the join may come here, cycles after somebody asked for it.
    if ledger.joins_of_staff.iter().any(|(patient, store)| *patient == key.1 && ledger.was_on(store, site)) {
        return true;
    }
    // The site's own join may come to central with the version, and be integrated after it.
    let mut joins = ledger.versions.iter().enumerate().filter(|(at, version)| *at >= number || version.by == site);
    joins.any(|(_, version)| joins_the_patient(version)) || ledger.stores().any(came_to_the_site)
}

#[derive(Deserialize)]
struct Asked {
    cursor: u64,
    #[serde(rename = "isInitialised")]
    is_initialised: bool,
}

/// Whether a request to pull says that its site has all it wants of what it wrote itself.
pub(crate) fn leaves_out_own(request: &[u8]) -> bool {
    serde_json::from_slice::<Asked>(request).is_ok_and(|asked| asked.is_initialised)
}

/// Whether a request to pull is the first one of a site that has nothing yet, as it says.
pub(crate) fn begins_anew(request: &[u8]) -> bool {
    serde_json::from_slice::<Asked>(request).is_ok_and(|asked| !asked.is_initialised && asked.cursor == 0)
}

/// Checks that what a site wrote stays there, as its host wrote it, until it was sent for the first time; `held` says what
/// the site holds of a record.
pub(crate) fn replaced(ledger: &Ledger, site: usize, held: impl Fn(&Key) -> Option<String>) -> Option<Violation> {
    ledger.unsent(site).filter(|version| ledger.is_of_v6(&version.key.0)).find_map(|version| {
        let holds = held(&version.key);
        let (wrote, now) = (short(version.content.as_deref()), short(holds.as_deref()));
        let what = || format!("of {}, site {site} wrote {wrote}, never sent it, and holds {now}", shown(&version.key));
        (!ledger.is_same(&version.key.0, holds.as_deref(), version.content.as_deref()))
            .then(|| Violation { promise: Promise::NothingIsLost, what: what() })
    })
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
