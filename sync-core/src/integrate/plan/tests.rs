use super::*;
use crate::record::SiteId;

/// A world of one asset of store `mine` and one of store `theirs`, as site 2 sees it.
#[derive(Default)]
struct World {
    edited: bool,
    went: UnseenMove,
    superseded: bool,
    files_came: bool,
}

fn asset(id: &str, store: &str) -> RecordData {
    let json = format!(
        r#"{{"id":"{id}","store_id":"{store}","created_datetime":"2025-01-01T00:00:00","modified_datetime":"2025-01-01T00:00:00"}}"#
    );
    RecordData::parse(json).unwrap()
}

/// A reference to a file of a record in this store, as [`World::owner_of`] reads it.
fn file_reference(store: &str, deleted: &str) -> RecordData {
    let json = format!(
        r#"{{"id":"f","table_name":"asset","record_id":"b","file_name":"n","total_bytes":1,"created_datetime":"2025-01-01T00:00:00","deleted_datetime":{deleted},"store_id":"{store}"}}"#
    );
    RecordData::parse(json).unwrap()
}

impl Facts for World {
    fn has(&self, table: &str, id: &RecordId) -> Result<bool> {
        Ok(self.stored(&TableName::from(table), id)?.is_some())
    }

    fn stored(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        Ok(match (table.as_str(), id.as_str()) {
            ("asset", "a") => Some(asset("a", "mine")),
            ("asset", "b") => Some(asset("b", "theirs")),
            ("sync_file_reference", "f") => Some(file_reference("theirs", "null")),
            ("system_log", "of another") => Some(RecordData::parse(system_log("theirs")).unwrap()),
            _ => None,
        })
    }

    fn owner_of(&self, table: &TableName, data: &RecordData) -> Result<StoreOwner> {
        let fields = data.fields().unwrap();
        let store = match fields.text("asset_id") {
            Some(id) if table == "asset_log" => {
                let parent = self.stored(&"asset".into(), &RecordId::new(id.into_owned()))?.unwrap();
                parent.fields().unwrap().text("store_id").map(std::borrow::Cow::into_owned)
            }
            _ => fields.text("store_id").map(std::borrow::Cow::into_owned),
        };
        Ok(match store.as_deref() {
            None => StoreOwner::Nobody,
            Some("mine") => StoreOwner::Own,
            Some(_) => StoreOwner::Other,
        })
    }

    fn is_anothers(&self, _: &TableName, id: &RecordId, _: &RecordData) -> Result<bool> {
        Ok(id.as_str() == "of another")
    }

    fn was_deleted_elsewhere(&self, _: &TableName, id: &RecordId) -> Result<bool> {
        Ok(id.as_str() == "deleted elsewhere")
    }

    fn is_set_aside_elsewhere(&self, _: &TableName, id: &RecordId) -> Result<bool> {
        Ok(id.as_str() == "set aside elsewhere")
    }

    fn sent_first_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        let data = match id.as_str() {
            "of another" => "{}",
            "sent first for theirs" => r#"{"store_id":"theirs"}"#,
            "sent first for mine" => r#"{"store_id":"mine"}"#,
            _ => return Ok(None),
        };
        Ok(self.stored(table, id)?.is_none().then(|| RecordData::parse(data).unwrap()))
    }

    fn unseen_patient(&self, table: &TableName, _: &RecordId, data: &RecordData) -> Result<Option<NameId>> {
        let fields = data.fields().filter(|_| table == "vaccination");
        let patient = fields.as_ref().and_then(|fields| fields.text("patient_id"));
        Ok(patient.filter(|patient| patient == "hidden").map(|patient| NameId::from(patient.as_ref())))
    }

    fn unseen_move(&self, _: &Incoming) -> Result<UnseenMove> {
        Ok(self.went)
    }

    fn has_file(&self, _: &RecordId) -> Result<bool> {
        Ok(self.files_came)
    }

    fn is_superseded(&self, _: &Incoming) -> Result<bool> {
        Ok(self.superseded)
    }

    fn is_edited_here(&self, _: &Incoming) -> Result<bool> {
        Ok(self.edited)
    }
}

const SITE: Source = Source::Site(SiteId(2));

fn decided(source: Source, action: Action, table: &str, id: &str, data: &str) -> Plan {
    let data = RecordData::parse(data).unwrap();
    let incoming = Incoming {
        source,
        table: table.into(),
        id: id.into(),
        action,
        data,
        cursor: None,
        known: Default::default(),
        quarantine: None,
    };
    plan(&incoming, &World::default()).unwrap()
}

fn cause(plan: Plan) -> (QuarantineCause, String) {
    match plan {
        Plan::SetAside(quarantine) => (quarantine.cause, quarantine.reason),
        other => panic!("not set aside: {other:?}"),
    }
}

fn log(asset: &str, more: &str) -> String {
    format!(r#"{{"id":"l","asset_id":"{asset}","user_id":"u","log_datetime":"2025-01-01T00:00:00"{more}}}"#)
}

#[test]
fn good_records_are_stored() {
    assert_eq!(decided(Source::Central, Action::Insert, "asset_class", "c", r#"{"id":"c","name":"n"}"#), Plan::Upsert);
    assert_eq!(decided(SITE, Action::Update, "asset", "a", asset("a", "mine").as_str()), Plan::Upsert);
    assert_eq!(decided(SITE, Action::Update, "asset_log", "l", &log("a", "")), Plan::Upsert);
    assert_eq!(decided(Source::Legacy, Action::Update, "item", "i", r#"{"ID":"i"}"#), Plan::Upsert);
    assert_eq!(decided(SITE, Action::Delete, "asset", "a", "null"), Plan::MarkDeleted("deleted_datetime"));
    assert_eq!(decided(Source::Central, Action::Delete, "asset_internal_location", "x", "null"), Plan::Delete);
}

#[test]
fn bad_shapes_name_the_field() {
    for (table, id, data, says) in [
        ("asset_class", "c", "[\"array\"]", "$: expected an object, found an array"),
        ("asset_class", "c", r#"{"id":"c"}"#, "$.name: expected a value, found no such key"),
        ("asset_class", "c", r#"{"id":"c","Name":"n"}"#, "$.name: expected a value, found no such key"),
        ("asset_class", "c", r#"{"id":"c","name":5}"#, "$.name: expected a string, found a number"),
        ("asset_class", "c", r#"{"id":"c","name":null}"#, "$.name: expected a string, found null"),
        ("asset_class", "c", r#"{"id":"d","name":"n"}"#, "$.id: expected the same id as recordId, found another"),
        ("asset_class", "", r#"{"id":"","name":"n"}"#, "recordId has 0 bytes; 1 to 255 are allowed"),
    ] {
        let found = cause(decided(Source::Central, Action::Update, table, id, data));
        assert_eq!(found, (QuarantineCause::Malformed, says.to_owned()), "{data}");
    }
    let long = "x".repeat(10_000);
    let (found, _) = cause(decided(Source::Central, Action::Update, "asset_class", &long, "{}"));
    assert_eq!(found, QuarantineCause::Malformed);
}

#[test]
fn what_a_newer_version_may_know_is_kept_for_it() {
    let unknown = decided(Source::Central, Action::Update, "hologram", "h", "{}");
    assert_eq!(
        cause(unknown),
        (QuarantineCause::Unsupported, "table \"hologram\" is not known to this version".to_owned())
    );
    let (found, says) = cause(decided(SITE, Action::Update, "asset_log", "l", &log("a", r#","status":"MELTED""#)));
    assert_eq!(found, QuarantineCause::Unsupported);
    let expected = "$.status: expected one of NOT_IN_USE, FUNCTIONING, FUNCTIONING_BUT_NEEDS_ATTENTION, NOT_FUNCTIONING, \
                    DECOMMISSIONED, UNSERVICEABLE, found \"MELTED\"";
    assert_eq!(says, expected);
    assert_eq!(cause(decided(SITE, Action::Merge, "name", "n", "{}")).0, QuarantineCause::Unsupported);
}

#[test]
fn a_missing_parent_is_named() {
    let Plan::SetAside(quarantine) = decided(SITE, Action::Update, "asset_log", "l", &log("z", "")) else { panic!() };
    assert_eq!(quarantine.cause, QuarantineCause::Waiting);
    assert_eq!(quarantine.waits_for, Some(("asset".into(), "z".into())));
}

#[test]
fn rules_of_ownership_at_both_doors() {
    for (source, action, table, id, data) in [
        (SITE, Action::Update, "asset_class", "c", r#"{"id":"c","name":"n"}"#.to_owned()),
        (SITE, Action::Update, "asset", "n", asset("n", "theirs").as_str().to_owned()),
        (SITE, Action::Update, "asset", "b", asset("b", "mine").as_str().to_owned()),
        (SITE, Action::Update, "asset", "a", asset("a", "theirs").as_str().to_owned()),
        (SITE, Action::Update, "asset_log", "l", log("b", "")),
        (SITE, Action::Delete, "asset", "b", "null".to_owned()),
        (SITE, Action::Update, "asset", "deleted elsewhere", asset("deleted elsewhere", "mine").as_str().to_owned()),
        (SITE, Action::Delete, "asset_class", "c", "null".to_owned()),
        (Source::Central, Action::Delete, "asset_class", "c", "null".to_owned()),
    ] {
        let (found, says) = cause(decided(source, action, table, id, &data));
        assert_eq!(found, QuarantineCause::Refused, "{table} {id}: {says}");
    }
}

fn system_log(message: &str) -> String {
    format!(
        r#"{{"id":"of another","type":"Migration","datetime":"2025-01-01T00:00:00","is_error":false,"message":"{message}"}}"#
    )
}

#[test]
fn what_another_wrote_is_not_replaced_and_saying_the_same_replaces_nothing() {
    let push = |message| decided(SITE, Action::Update, "system_log", "of another", &system_log(message));
    assert_eq!(cause(push("mine")).0, QuarantineCause::Refused);
    assert_eq!(push("theirs"), Plan::Nothing, "and it stays the other's");
}

#[test]
fn an_edit_made_here_wins_over_what_was_pulled() {
    let incoming = Incoming {
        source: Source::Central,
        table: "asset".into(),
        id: "a".into(),
        action: Action::Update,
        data: asset("a", "mine"),
        cursor: None,
        known: Default::default(),
        quarantine: None,
    };
    assert!(matches!(plan(&incoming, &World { edited: true, ..World::default() }).unwrap(), Plan::KeepLocal(_)));
}

#[test]
fn a_site_that_could_not_know_of_a_move_withdraws_a_file_that_never_came() {
    let decided = |went, files_came, action, data: RecordData| {
        let world = World { went, files_came, ..World::default() };
        let (known, id) = (Default::default(), "f".into());
        let table = "sync_file_reference".into();
        plan(&Incoming { source: SITE, table, id, action, data, cursor: None, known, quarantine: None }, &world)
            .unwrap()
    };
    let deleted = file_reference("theirs", r#""2025-01-01T00:00:00""#);
    let (delete, marked) = ((Action::Delete, RecordData::of(&())), (Action::Update, deleted));
    let moved = UnseenMove::Record;
    for went in [moved, UnseenMove::Store] {
        assert_eq!(decided(went, false, delete.0, delete.1.clone()), Plan::Delete);
        assert_eq!(decided(went, false, marked.0, marked.1.clone()), Plan::Upsert);
    }
    let of_its_own = RecordData::parse(marked.1.as_str().replace(r#""record_id":"b""#, r#""record_id":"a""#)).unwrap();
    assert_eq!(
        cause(decided(moved, false, Action::Update, of_its_own)).0,
        QuarantineCause::Superseded,
        "it names another record"
    );
    for (action, data) in [delete, marked] {
        assert_eq!(
            cause(decided(moved, true, action, data.clone())).0,
            QuarantineCause::Superseded,
            "its bytes are here"
        );
        let found = cause(decided(UnseenMove::Nothing, false, action, data)).0;
        assert_eq!(found, QuarantineCause::Refused, "nothing moved");
    }
    let edited = decided(moved, false, Action::Update, file_reference("mine", "null"));
    assert_eq!(cause(edited).0, QuarantineCause::Superseded, "only a deletion withdraws it");
}

#[test]
fn a_site_that_could_not_know_of_a_move_adds_but_does_not_edit() {
    let decided = |went, action, table: &str, id: &str, data: &str| {
        let world = World { went, ..World::default() };
        let data = RecordData::parse(data).unwrap();
        let known = Default::default();
        let (table, id, cursor, quarantine) = (table.into(), id.into(), None, None);
        plan(&Incoming { source: SITE, table, id, action, data, cursor, known, quarantine }, &world).unwrap()
    };
    for went in [UnseenMove::Record, UnseenMove::Store] {
        assert_eq!(decided(went, Action::Update, "asset_log", "l", &log("b", "")), Plan::Upsert);
    }
    for (action, data) in [(Action::Update, asset("b", "mine")), (Action::Delete, RecordData::of(&()))] {
        let (found, says) = cause(decided(UnseenMove::Record, action, "asset", "b", data.as_str()));
        assert_eq!(found, QuarantineCause::Superseded, "{says}");
        let (found, says) = cause(decided(UnseenMove::Store, action, "asset", "b", data.as_str()));
        assert_eq!(found, QuarantineCause::Refused, "its store may come back: {says}");
        assert!(says.contains("could not know"), "no rule was broken: {says}");
    }
    // A new record is an addition to the store that went. To a record that went alone, only what is never edited is added.
    assert_eq!(
        decided(UnseenMove::Store, Action::Update, "asset", "new", asset("new", "theirs").as_str()),
        Plan::Upsert
    );
    let (found, _) =
        cause(decided(UnseenMove::Nothing, Action::Update, "asset", "new", asset("new", "theirs").as_str()));
    assert_eq!(found, QuarantineCause::Refused, "nothing moved");
    let class = decided(UnseenMove::Record, Action::Update, "asset_class", "c", r#"{"id":"c","name":"n"}"#);
    assert_eq!(cause(class).0, QuarantineCause::Refused, "no move makes that allowed");
}

#[test]
fn what_is_older_than_what_was_written_since_is_set_aside() {
    let data = asset("a", "mine");
    let incoming = Incoming {
        source: SITE,
        table: "asset".into(),
        id: "a".into(),
        action: Action::Update,
        data,
        cursor: None,
        known: Default::default(),
        quarantine: None,
    };
    let world = World { superseded: true, ..World::default() };
    assert_eq!(cause(plan(&incoming, &world).unwrap()).0, QuarantineCause::Superseded);
    let edited = World { edited: true, ..world };
    assert!(matches!(plan(&incoming, &edited).unwrap(), Plan::KeepLocal(_)));
}

/// A push is integrated after its last batch, so that a deletion may come to its turn before the record does.
#[test]
fn a_deletion_of_what_another_site_sent_first_is_judged_as_if_that_was_here() {
    let (refused, reason) = cause(decided(SITE, Action::Delete, "asset", "sent first for theirs", "null"));
    assert_eq!((refused, reason.contains("not active")), (QuarantineCause::Refused, true), "{reason}");
    let plan = decided(SITE, Action::Delete, "asset", "sent first for mine", "null");
    assert_eq!(plan, Plan::MarkDeleted("deleted_datetime"));
    let (refused, _) = cause(decided(SITE, Action::Delete, "sync_file_reference", "of another", "null"));
    assert_eq!(refused, QuarantineCause::Refused, "whoever wrote it changes it");
    assert_eq!(decided(SITE, Action::Delete, "asset", "of nobody", "null"), Plan::MarkDeleted("deleted_datetime"));
}
