//! Decides what happens to a received record, from the record, the rules, and the local state.

use super::merge::Merge;
use crate::error::Result;
use crate::ownership::{Operation, Refusal, StoreOwner, may_arrive, may_push, may_replace};
use crate::protocol::v6::Action;
use crate::record::field::check_document;
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::record::types::is_patient;
use crate::record::{
    Deletion, FieldError, Fields, NameId, RecordData, RecordId, RecordType, TableName, json_text, portable, record_type,
};
use crate::storage::{Incoming, Quarantine, QuarantineCause, Source};
use crate::write::{self, UnseenMove};

/// The decision about a received record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// It is stored.
    Upsert,
    /// The stored record gets its soft-delete mark in this field.
    MarkDeleted(&'static str),
    /// The stored record is removed.
    Delete,
    /// It merges two records.
    Merge(Merge),
    /// It equals the local record, which stays.
    Nothing,
    /// It yields to a local edit that is not pushed yet. Without that edit, this would be done.
    KeepLocal(Box<Plan>),
    /// It has a key twice. The decision is made again with each key once.
    Reduce(RecordData),
    /// It goes into quarantine.
    SetAside(Quarantine),
}

/// The local facts that the decision needs.
pub(super) trait Facts {
    /// Whether a record is here.
    fn has(&self, table: &str, id: &RecordId) -> Result<bool>;
    /// A record's data.
    fn stored(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>>;
    /// The store that owns a record with this data, as the sending site sees it.
    fn owner_of(&self, table: &TableName, data: &RecordData) -> Result<StoreOwner>;
    /// True if the record that decides the owner (itself or its parent) is here and was written by somebody else than
    /// the sending site.
    fn is_anothers(&self, table: &TableName, id: &RecordId, data: &RecordData) -> Result<bool>;
    /// True if a record that is not here was deleted in a store of another site.
    fn was_deleted_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<bool>;
    /// True if another site sent the record first, for one of its own stores, and it could not be integrated.
    fn is_set_aside_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<bool>;
    /// The data of a record that is not here, but that another site sent before the sending site did.
    fn sent_first_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>>;
    /// The patient of a record with this id and data, if the sending site may not know the patient.
    fn unseen_patient(&self, table: &TableName, id: &RecordId, data: &RecordData) -> Result<Option<NameId>>;
    /// What had moved to another site when the sending site wrote the record without knowing it.
    fn unseen_move(&self, incoming: &Incoming) -> Result<UnseenMove>;
    /// True if the bytes of the file with this reference are here.
    fn has_file(&self, reference: &RecordId) -> Result<bool>;
    /// True if a newer, different version was written since it came.
    fn is_superseded(&self, incoming: &Incoming) -> Result<bool>;
    /// True if the record was edited here, and the received version may be older.
    fn is_edited_here(&self, incoming: &Incoming) -> Result<bool>;
}

/// Makes the decision.
pub(super) fn plan(incoming: &Incoming, facts: &dyn Facts) -> Result<Plan> {
    let decided = match decide(incoming, facts)? {
        // Checked before any other reason for quarantine: a refused record gives the site no claim to it.
        Ok(Plan::Upsert) | Err(_) if is_of_another(incoming, facts)? => {
            let refusal = Refusal::StoreNotActiveHere { table: incoming.table.to_string() };
            Err(aside(QuarantineCause::Refused, refusal.to_string()))
        }
        decided => decided,
    };
    match decided {
        Ok(plan @ (Plan::Merge(_) | Plan::Reduce(_))) => Ok(plan),
        Ok(plan) if facts.is_edited_here(incoming)? => {
            debug_assert!(!matches!(plan, Plan::SetAside(_)));
            Ok(Plan::KeepLocal(Box::new(plan)))
        }
        Ok(_) if facts.is_superseded(incoming)? => {
            let reason = "a newer version was written here before this one could be integrated".to_owned();
            Ok(Plan::SetAside(aside(QuarantineCause::Superseded, reason)))
        }
        Ok(plan) => Ok(plan),
        Err(quarantine) => Ok(Plan::SetAside(quarantine)),
    }
}

/// True if a new record from a site goes into quarantine because it belongs to another site.
fn is_of_another(incoming: &Incoming, facts: &dyn Facts) -> Result<bool> {
    let (table, id) = (&incoming.table, &incoming.id);
    let is_upsert = matches!(incoming.action, Action::Insert | Action::Update);
    Ok(is_upsert
        && matches!(incoming.source, Source::Site(_))
        && !planted!(OwnershipNotAsked)
        && facts.stored(table, id)?.is_none()
        && facts.is_set_aside_elsewhere(table, id)?)
}

/// The mark of a patient that a site deleted. It is only stored here; no message has it.
const NAME_DELETED: &str = "deleted_datetime";

type Decision = std::result::Result<Plan, Quarantine>;

fn decide(incoming: &Incoming, facts: &dyn Facts) -> Result<Decision> {
    if let Some(reason) = portable::length_fault(&incoming.table, &incoming.id) {
        return Ok(Err(aside(QuarantineCause::Malformed, reason)));
    }
    if let Err(error) = admit(incoming) {
        return Ok(reduced(incoming).ok_or_else(|| bad_shape(&error)));
    }
    let operation = match incoming.action {
        Action::Insert | Action::Update => Operation::Upsert,
        Action::Delete => Operation::Delete,
        Action::Merge if incoming.source == Source::Legacy => {
            return Ok(Merge::of(incoming)
                .map(Plan::Merge)
                .map_err(|reason| aside(QuarantineCause::Malformed, reason)));
        }
        Action::Merge => {
            let reason = "only the legacy server merges records".to_owned();
            return Ok(Err(aside(QuarantineCause::Unsupported, reason)));
        }
    };
    let Some(kind) = record_type(incoming.table.as_str()) else {
        return Ok(without_type(incoming, operation));
    };
    if incoming.source == Source::Legacy {
        return Ok(from_legacy(incoming, kind, operation));
    }
    if operation == Operation::Upsert {
        let fields = match check_shape(incoming, kind) {
            Ok(fields) => fields,
            Err(error) => return Ok(Err(bad_shape(&error))),
        };
        if let Some(parent) = missing_parent(&fields, kind, facts)? {
            return Ok(Err(parent));
        }
    }
    if let Err(refusal) = check_ownership(incoming, kind, operation, facts)? {
        // Two ends did the same to a record independently: neither replaces the other's version.
        if matches!(refusal, Refusal::WrittenElsewhere { .. }) && equals_stored(incoming, facts)? {
            return Ok(Ok(Plan::Nothing));
        }
        match unaware_write(incoming, kind, &refusal, facts)? {
            UnawareWrite::No => return Ok(Err(aside(QuarantineCause::Refused, refusal.to_string()))),
            UnawareWrite::Edited(quarantine) => return Ok(Err(quarantine)),
            UnawareWrite::Taken => {}
        }
    }
    if let Some(quarantine) = unseen_patient(incoming, facts)? {
        return Ok(Err(quarantine));
    }
    Ok(Ok(match (operation, kind.deletion) {
        (Operation::Upsert, _) => Plan::Upsert,
        (Operation::Delete, Deletion::SoftAndWire(field)) => Plan::MarkDeleted(field),
        // As Open mSupply's central does, because other records name the patient.
        (Operation::Delete, _) if kind.table == "name" && !planted!(PatientIsAnyones) => {
            Plan::MarkDeleted(NAME_DELETED)
        }
        (Operation::Delete, _) => Plan::Delete,
    }))
}

/// The check that all records pass. The data of a delete is not read.
fn admit(incoming: &Incoming) -> std::result::Result<(), FieldError> {
    let data = Some(&incoming.data).filter(|_| incoming.action != Action::Delete && !planted!(DoorStandsOpen));
    portable::admit(&incoming.table, &incoming.id, data)
}

/// A pulled record whose only fault is a key that stands twice is reduced to the last value, as every other site reads
/// it. If this site refused it, only this site would lack the record. The sender of a pushed one can correct it.
fn reduced(incoming: &Incoming) -> Option<Plan> {
    let is_pulled = matches!(incoming.source, Source::Central | Source::Legacy);
    let once = is_pulled.then(|| incoming.data.with_each_key_once()).flatten()?;
    portable::admit(&incoming.table, &incoming.id, Some(&once)).ok().map(|()| Plan::Reduce(once))
}

/// Tables without a record type: documents if the legacy server sent them, otherwise kept until a version knows them.
fn without_type(incoming: &Incoming, operation: Operation) -> Decision {
    if incoming.source != Source::Legacy {
        return Err(aside(
            QuarantineCause::Unsupported,
            format!("table {:?} is not known to this version", incoming.table),
        ));
    }
    if operation == Operation::Upsert
        && let Some(reason) = ignored(incoming)
    {
        return Err(aside(QuarantineCause::Ignored, reason));
    }
    document(incoming, operation)
}

/// True for the code of a store of the legacy server itself (hospital information, supervisor, drug registration), which no site takes.
pub(crate) fn is_code_of_system(code: &str) -> bool {
    matches!(code, "HIS" | "SM" | "DRG")
}

/// Why a record of the legacy server is of no use here (`legacy-tables`, *store*).
fn ignored(incoming: &Incoming) -> Option<String> {
    let fields = incoming.data.fields().filter(|_| incoming.table == *"store")?;
    let text = |key| fields.text(key).unwrap_or_default();
    if is_code_of_system(&text("code")) {
        return Some(format!("store {} is one of the legacy server's own", text("code")));
    }
    text("name_ID").is_empty().then(|| "a store without a name of its own is not in use".to_owned())
}

/// Types that V5 carries too, in the legacy row format, which is looser than V6.
fn from_legacy(incoming: &Incoming, kind: &RecordType, operation: Operation) -> Decision {
    if kind.key != "ID" && incoming.data.fields().is_some_and(|fields| fields.get("ID").is_some()) {
        // A legacy table of the same name (quirk W9).
        return Err(aside(QuarantineCause::Unsupported, format!("a legacy {} is not a V6 {}", kind.table, kind.table)));
    }
    document(incoming, operation)
}

fn document(incoming: &Incoming, operation: Operation) -> Decision {
    match operation {
        Operation::Delete => Ok(Plan::Delete),
        Operation::Upsert => match check_document(&incoming.data) {
            Ok(()) => Ok(Plan::Upsert),
            Err(error) => Err(bad_shape(&error)),
        },
    }
}

fn check_shape<'i>(incoming: &'i Incoming, kind: &RecordType) -> std::result::Result<Fields<'i>, FieldError> {
    let fields = match incoming.source {
        Source::Site(_) => kind.check_written(&incoming.data)?,
        _ => kind.check_fields(&incoming.data)?,
    };
    if fields.text(kind.key).is_some_and(|id| incoming.id == *id) {
        return Ok(fields);
    }
    Err(FieldError {
        path: format!("$.{}", kind.key),
        expected: "the same id as recordId".into(),
        found: "another".into(),
        unsupported: false,
    })
}

fn bad_shape(error: &FieldError) -> Quarantine {
    let cause = if error.unsupported { QuarantineCause::Unsupported } else { QuarantineCause::Malformed };
    aside(cause, error.to_string())
}

/// The first record that this one needs and that is missing.
fn missing_parent(fields: &Fields<'_>, kind: &RecordType, facts: &dyn Facts) -> Result<Option<Quarantine>> {
    for field in kind.fields {
        let (Some(table), Some(raw)) = (field.parent, field.find(fields)) else {
            continue;
        };
        let Some(id) = json_text(raw).map(|id| RecordId::new(id.into_owned())) else {
            continue;
        };
        if !facts.has(table, &id)? {
            return Ok(Some(Quarantine {
                cause: QuarantineCause::Waiting,
                reason: format!("$.{} names {table} {id}, which is not here yet", field.name),
                waits_for: Some((TableName::from(table), id)),
            }));
        }
    }
    Ok(None)
}

/// A record about a patient whom the pushing site does not see, in the stored or the new version. The join that makes
/// the patient visible may come with the same push or a later one, so it waits for that, by the patient's id.
fn unseen_patient(incoming: &Incoming, facts: &dyn Facts) -> Result<Option<Quarantine>> {
    if !matches!(incoming.source, Source::Site(_)) || planted!(OwnershipNotAsked) {
        return Ok(None);
    }
    let stored = facts.stored(&incoming.table, &incoming.id)?;
    for data in stored.iter().chain(std::iter::once(&incoming.data)) {
        if let Some(patient) = facts.unseen_patient(&incoming.table, &incoming.id, data)? {
            return Ok(Some(Quarantine {
                cause: QuarantineCause::Waiting,
                reason: format!(
                    "patient {patient} is not visible in a store of the site that sent this, as far as is known"
                ),
                waits_for: Some((TableName::from("name_store_join"), RecordId::from(patient.as_str()))),
            }));
        }
    }
    Ok(None)
}

fn check_ownership(
    incoming: &Incoming,
    kind: &RecordType,
    operation: Operation,
    facts: &dyn Facts,
) -> Result<std::result::Result<(), Refusal>> {
    if !matches!(incoming.source, Source::Site(_)) {
        return Ok(may_arrive(kind, operation));
    }
    if planted!(OwnershipNotAsked) {
        return Ok(Ok(()));
    }
    // The stored record and the new one: a site may neither take nor give away a record that is not its own.
    let stored = facts.stored(&incoming.table, &incoming.id)?;
    // A site deletes what another site sent first: the rules are those for a record that is here.
    let sent_first = match (&stored, operation) {
        (None, Operation::Delete) => facts.sent_first_elsewhere(&incoming.table, &incoming.id)?,
        _ => None,
    };
    let incoming_data = (operation == Operation::Upsert).then_some(&incoming.data);
    for data in stored.iter().chain(&sent_first).chain(incoming_data) {
        if kind.table == "name" && !is_patient(data) {
            return Ok(Err(Refusal::OnlyAllowedOnLegacy { table: kind.table.to_owned() }));
        }
        let owner = facts.owner_of(&incoming.table, data)?;
        if let Err(refusal) = may_push(kind, operation, owner) {
            return Ok(Err(refusal));
        }
        if owner == StoreOwner::Nobody
            && let Err(refusal) = may_replace(kind)
            && facts.is_anothers(&incoming.table, &incoming.id, data)?
            && !planted!(WrittenElsewhereTaken)
            && !planted!(FileIsAnyones)
        {
            return Ok(Err(refusal));
        }
    }
    // A record that was deleted in another site's store still belongs to that store, because its children are there.
    if stored.is_none()
        && operation == Operation::Upsert
        && facts.was_deleted_elsewhere(&incoming.table, &incoming.id)?
    {
        return Ok(Err(Refusal::StoreNotActiveHere { table: kind.table.to_owned() }));
    }
    // A delete of a missing record: only the rule of its type applies.
    Ok(if stored.is_none() && operation == Operation::Delete {
        may_push(kind, operation, StoreOwner::Own)
    } else {
        Ok(())
    })
}

fn equals_stored(incoming: &Incoming, facts: &dyn Facts) -> Result<bool> {
    let here = facts.stored(&incoming.table, &incoming.id)?;
    Ok(write::is_same(&incoming.table, incoming.action, &incoming.data, here.as_ref()))
}

/// Whether a site broke a rule because of a move that it could not know.
enum UnawareWrite {
    No,
    /// It edited a record that is elsewhere: the move came first. If the whole store went, it may come back, and the edit with it.
    Edited(Quarantine),
    /// It added to a record or a store that is elsewhere now: the addition belongs there too. Or it withdrew a file of which nobody else
    /// has the bytes.
    Taken,
}

fn unaware_write(incoming: &Incoming, kind: &RecordType, refusal: &Refusal, facts: &dyn Facts) -> Result<UnawareWrite> {
    let is_elsewhere = matches!(refusal, Refusal::StoreNotActiveHere { .. }) && !planted!(RefusedUnknowing);
    let moved = if is_elsewhere { facts.unseen_move(incoming)? } else { UnseenMove::Nothing };
    if moved == UnseenMove::Nothing {
        return Ok(UnawareWrite::No);
    }
    let stored = facts.stored(&incoming.table, &incoming.id)?;
    if let Some(stored) = &stored
        && withdraws_file(incoming, stored, facts)?
    {
        return Ok(UnawareWrite::Taken);
    }
    Ok(match stored {
        // A new record of a store replaces nothing either. If it were refused, what was added to it would wait for ever.
        None if (kind.is_only_added() || moved == UnseenMove::Store) && incoming.action != Action::Delete => {
            UnawareWrite::Taken
        }
        // A repetition is no edit.
        Some(stored) if kind.is_only_added() && stored == incoming.data => UnawareWrite::Taken,
        _ if moved == UnseenMove::Store => UnawareWrite::Edited(aside(
            QuarantineCause::Refused,
            "its store went to another site before this came, which the site that wrote it could not know: it is taken if the store comes back"
                .to_owned(),
        )),
        _ => UnawareWrite::Edited(aside(
            QuarantineCause::Superseded,
            "it went to a store of another site before this came, which the site that wrote it could not know: the move wins"
                .to_owned(),
        )),
    })
}

/// True for the deletion of a file reference before the bytes arrived: a reference without bytes would be of no use to the
/// site that has the record now. A version that names another record withdraws nothing: its site could name one of its own, and
/// delete the files of others.
fn withdraws_file(incoming: &Incoming, stored: &RecordData, facts: &dyn Facts) -> Result<bool> {
    let names_the_same = |reference: &Reference| {
        let of = |reference: &Reference| (reference.table.clone(), reference.record_id.clone());
        Reference::read(stored).is_some_and(|stored| of(&stored) == of(reference))
    };
    let is_deletion = incoming.action == Action::Delete
        || Reference::read(&incoming.data).is_some_and(|reference| reference.is_deleted && names_the_same(&reference));
    Ok(incoming.table == *REFERENCES && is_deletion && !facts.has_file(&incoming.id)?)
}

fn aside(cause: QuarantineCause, reason: String) -> Quarantine {
    Quarantine { cause, reason, waits_for: None }
}

#[cfg(test)]
mod tests;
