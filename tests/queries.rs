//! Queries of one table by fields, over both storages, and of a file in SQL.

use std::sync::Arc;

use sync_core::protocol::PasswordHash;
use sync_core::record::{AssetCatalogueItem, Cursor, Date, DateTime, Property, PropertyValueType, Query};
use sync_core::storage::MemoryStorage;
use sync_core::storage::rusqlite::{Connection, Row};
use sync_core::{Error, RecordWrite, Replica, Transaction};
use sync_tests::world::{CentralEnd, data, each_central, put_unchecked};

fn item(number: usize) -> AssetCatalogueItem {
    AssetCatalogueItem {
        id: format!("item-{number:04}").into(),
        code: format!("code {}", number % 7),
        model: if number.is_multiple_of(2) { "Fridge".into() } else { "Freezer".into() },
        manufacturer: (!number.is_multiple_of(5)).then(|| format!("maker {}", number % 3)),
        ..AssetCatalogueItem::default()
    }
}

fn ids(replica: &Replica, query: &Query) -> Vec<String> {
    let items: Vec<AssetCatalogueItem> = replica.records().of().find(query).expect("found");
    items.into_iter().map(|item| item.id.into()).collect()
}

/// What the query should find, computed the plain way.
fn expected(
    count: usize,
    holds: impl Fn(&AssetCatalogueItem) -> bool,
    key: impl Fn(&AssetCatalogueItem) -> (Option<String>, String),
) -> Vec<String> {
    let mut found: Vec<_> = (0..count).map(item).filter(holds).collect();
    found.sort_by_key(|item| (key(item), item.id.clone()));
    found.into_iter().map(|item| item.id.into()).collect()
}

#[test]
fn conditions_order_and_pages_are_those_of_the_plain_way() {
    const COUNT: usize = 1300;
    each_central(|replica| {
        replica.write(|txn| (0..COUNT).try_for_each(|number| txn.of().put(&item(number)))).expect("stored");
        let plain = |_: &AssetCatalogueItem| (None, String::new());
        assert_eq!(ids(replica, &Query::new()), expected(COUNT, |_| true, plain));
        let fridges = Query::new().is("model", "Fridge").is("code", "code 3");
        let is_fridge = |item: &AssetCatalogueItem| item.model == "Fridge" && item.code == "code 3";
        assert_eq!(ids(replica, &fridges), expected(COUNT, is_fridge, plain));
        assert_eq!(ids(replica, &fridges.clone().limit(2)), expected(COUNT, is_fridge, plain)[..2]);
        let none = Query::new().is_null("manufacturer").contains("model", "FREEZ");
        let is_none = |item: &AssetCatalogueItem| item.manufacturer.is_none() && item.model == "Freezer";
        assert_eq!(ids(replica, &none), expected(COUNT, is_none, plain));
        let range = Query::new().at_least("code", "code 2").below("code", "code 4");
        let is_in = |item: &AssetCatalogueItem| ("code 2".."code 4").contains(&item.code.as_str());
        assert_eq!(ids(replica, &range), expected(COUNT, is_in, plain));
        let other = Query::new().is_not("manufacturer", "maker 1").is_any_of("code", ["code 1", "code 5"]);
        let is_other = |item: &AssetCatalogueItem| {
            item.manufacturer.as_deref() != Some("maker 1") && ["code 1", "code 5"].contains(&item.code.as_str())
        };
        assert_eq!(ids(replica, &other), expected(COUNT, is_other, plain));
        assert_eq!(ids(replica, &Query::new().is_any_of("code", [""; 0])), [""; 0]);
        let named = |item: &AssetCatalogueItem| item.manufacturer.is_some();
        assert_eq!(ids(replica, &Query::new().is_not_null("manufacturer")), expected(COUNT, named, plain));

        let sorted = Query::new().order_by("manufacturer").order_by("code");
        let all = expected(COUNT, |_| true, |item| (item.manufacturer.clone(), item.code.clone()));
        assert_eq!(ids(replica, &sorted), all);
        for (skip, limit) in [(0, 10), (5, 0), (250, 30), (1290, 100), (5000, 10)] {
            let page: Vec<_> = all.iter().skip(skip).take(limit).cloned().collect();
            assert_eq!(ids(replica, &sorted.clone().skip(skip).limit(limit)), page, "{skip} {limit}");
        }
        let down = Query::new().order_by_descending("code").limit(1);
        assert_eq!(ids(replica, &down), ["item-0006"], "of equal ones the first by id");
    });
}

#[test]
fn a_query_in_a_transaction_sees_its_writes_and_an_unknown_field_is_refused() {
    each_central(|replica| {
        let property = |id: &str, key: &str| Property {
            id: id.into(),
            key: key.into(),
            name: key.into(),
            value_type: PropertyValueType::Integer,
            ..Property::default()
        };
        let found = replica.write(|txn| {
            txn.of().put(&property("a", "doors"))?;
            txn.of().put(&property("b", "shelves"))?;
            let query = Query::new().is("key", "shelves").is("value_type", PropertyValueType::Integer);
            txn.of::<Property>().find(&query)
        });
        assert_eq!(found.expect("found").iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["b"]);
        let wrong = replica.records().of::<Property>().find(&Query::new().order_by("kez"));
        assert_eq!(
            wrong.expect_err("no such field").to_string(),
            "records of property have no field \"kez\"; did you mean key?"
        );
    });
}

/// Not all fields of these tables are known, and what is not must stay usable.
#[test]
fn a_misspelled_field_of_a_legacy_table_is_an_error_if_it_can_be_told() {
    each_central(|replica| {
        let fault = |table: &str, query: Query| {
            let found = replica.records().find(table, &query);
            assert_eq!(found.as_ref().err().map(ToString::to_string), counted(replica, table, &query));
            found.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let is = |field: &str| Query::new().is(field, "x");
        // Without a record there are only the known fields.
        let meant =
            |field: &str, meant: &str| format!("records of transact have no field \"{field}\"; did you mean {meant}?");
        assert_eq!(fault("transact", is("name_id")), meant("name_id", "name_ID"));
        assert_eq!(fault("transact", Query::new().order_by("confirmdate")), meant("confirmdate", "confirm_date"));
        for field in ["ID", "name_ID", "store_ID", "commend", "Colour", "nothing like it"] {
            assert_eq!(fault("transact", is(field)), "", "{field}");
        }
        for number in 0..600 {
            let id = format!("{number:03}");
            let rare = if number == 599 { r#","comments":"x""# } else { "" };
            let invoice = format!(r#"{{"ID":"{id}","name_ID":"x","Colour":1,"user_Defined":"x"{rare}}}"#);
            put_unchecked(replica.storage().as_ref(), "transact", &id, &data(&invoice));
        }
        put_unchecked(replica.storage().as_ref(), "item", "i", &data(r#"{"ID":"i","item_name":"x"}"#));
        assert_eq!(fault("transact", is("commend")), meant("commend", "comment"));
        assert_eq!(fault("transact", is("user_defined")), meant("user_defined", "user_Defined"));
        // Only the last record has this one.
        for field in ["name_ID", "Colour", "user_Defined", "comments", "nothing like it"] {
            assert_eq!(fault("transact", is(field)), "", "{field}");
        }
        assert_eq!(replica.records().find("transact", &is("comments")).expect("found").len(), 1);
        let of_item = fault("item", is("item_nam"));
        assert_eq!(of_item, "records of item have no field \"item_nam\"; did you mean item_name?");
        assert_eq!(fault("item", is("item_name")), "");
    });
}

/// A store in a key that nobody reads would be no rule of ownership's.
#[test]
fn a_misspelled_key_of_a_legacy_record_is_refused_before_it_goes_round_ownership() {
    let central = CentralEnd::new();
    let site = central.new_site("a");
    site.sync();
    let line = |keys: &str| data(&format!(r#"{{"ID":"line",{keys}}}"#));
    let put = |keys: &str| site.records.put("item_line", [line(keys)]);
    for (key, meant) in
        [("Store_ID", "store_ID"), ("pack-size", "pack_size"), ("ITEM_id", "item_ID"), ("packSize", "pack_size")]
    {
        let refused = put(&format!(r#""store_ID":"STORE_a","{key}":"x""#)).expect_err(key);
        let says = format!("records of item_line have no field \"{key}\"; did you mean {meant}?");
        assert_eq!((refused.code(), refused.to_string()), ("bad_input", says));
    }
    assert!(put(r#""Store_ID":"STORE_of_another""#).is_err());
    // What is not known may be one, and a record that came with such a key can be saved.
    let odd = r#""store_ID":"STORE_a","item_ID":"i","quantty":1,"Pack_Size":1"#;
    assert!(put(odd).is_err());
    put_unchecked(site.storage.as_ref(), "item_line", "line", &line(odd));
    put(&odd.replace(":1", ":2")).expect("it is there already");
    put(r#""id":"line","store_ID":"STORE_a","colour":1,"user_Defined":"x""#).expect("fields that are not known");
}

fn counted(replica: &Replica, table: &str, query: &Query) -> Option<String> {
    replica.records().count(table, query).err().map(|error| error.to_string())
}

#[test]
fn one_damaged_record_does_not_hide_the_others() {
    each_central(|replica| {
        replica.write(|txn| (0..3).try_for_each(|number| txn.of().put(&item(number)))).expect("stored");
        let damaged = data(r#"{"id":"item-0001","code":5,"model":"Freezer"}"#);
        put_unchecked(replica.storage().as_ref(), "asset_catalogue_item", "item-0001", &damaged);
        let items = replica.records().of::<AssetCatalogueItem>();
        assert_eq!(items.find(&Query::new()).expect_err("one is damaged").code(), "invalid_record");
        assert_eq!(items.list(None, 9).expect_err("one is damaged").code(), "invalid_record");
        let shown = |all: Vec<sync_core::Result<AssetCatalogueItem>>| {
            let show = |one: sync_core::Result<AssetCatalogueItem>| match one {
                Ok(item) => item.id.to_string(),
                Err(error) => error.to_string().split(':').next().unwrap_or_default().to_owned(),
            };
            all.into_iter().map(show).collect::<Vec<_>>()
        };
        let all = ["item-0000", "asset_catalogue_item item-0001 is not valid", "item-0002"];
        assert_eq!(shown(items.try_find(&Query::new()).expect("the others")), all);
        assert_eq!(shown(items.try_list(None, 9).expect("the others")), all);
        let fridges = Query::new().is("model", "Fridge");
        assert_eq!(items.find(&fridges).expect("it is not among them").len(), 2);
        let mut watch = replica.try_watch_query::<AssetCatalogueItem>(Query::new()).expect("reads");
        assert_eq!(watch.changes().expect("an answer").map(shown).expect("the first"), all);
        replica.records().of().put(&item(1)).expect("mended");
        let after = watch.changes().expect("an answer").map(shown).expect("another");
        assert_eq!(after, ["item-0000", "item-0001", "item-0002"]);
        let within = replica.write(|txn| txn.of::<AssetCatalogueItem>().try_find(&fridges));
        assert_eq!(shown(within.expect("found")), ["item-0000", "item-0002"]);
    });
}

#[test]
fn a_misspelled_table_is_an_error_of_each_call_that_names_one() {
    each_central(|replica| {
        let (records, query) = (replica.records(), Query::new());
        let unknown = |error: Option<Error>, call: &str| {
            let error = error.unwrap_or_else(|| panic!("{call} answers as if there were no record"));
            assert_eq!(error.code(), "unknown_table", "{call}: {error}");
            let said = error.to_string();
            assert_eq!(said, "there is no record type \"asset_clas\"; did you mean asset_class?", "{call}");
            assert!(!error.advice().is_empty());
        };
        const TABLE: &str = "asset_clas";
        let class = || data(r#"{"id":"x","name":"x"}"#);
        unknown(records.get(TABLE, "x").err(), "get");
        unknown(records.list(TABLE, None, 9).err(), "list");
        unknown(records.find(TABLE, &query).err(), "find");
        unknown(records.count(TABLE, &query).err(), "count");
        unknown(records.get_with_position(TABLE, "x").err(), "get_with_position");
        unknown(records.put(TABLE, [class()]).err(), "put");
        unknown(records.put(TABLE, []).err(), "put of nothing");
        unknown(records.check(TABLE, [class()]).err(), "check");
        unknown(records.update(TABLE, "x", Ok).err(), "update");
        unknown(records.delete(TABLE, "x").err(), "delete");
        unknown(records.apply([RecordWrite::put(TABLE, class())]).err(), "apply");
        unknown(records.apply([RecordWrite::delete(TABLE, "x").unchanged_since(Cursor(1))]).err(), "apply");
        unknown(replica.files("nowhere").of(TABLE, "x").err(), "files");
        unknown(replica.watch_documents(TABLE, query.clone()).expect("not asked yet").changes().err(), "watch");
        let within = |call: &str, run: &dyn Fn(&Transaction<'_>) -> Result<(), Error>| {
            unknown(replica.write(|txn| run(txn)).err(), call);
        };
        within("get", &|txn| txn.get(TABLE, "x").map(drop));
        within("list", &|txn| txn.list(TABLE, None, 9).map(drop));
        within("find", &|txn| txn.find(TABLE, &query).map(drop));
        within("count", &|txn| txn.count(TABLE, &query).map(drop));
        within("get_with_position", &|txn| txn.get_with_position(TABLE, "x").map(drop));
        within("if_unchanged_since", &|txn| txn.if_unchanged_since(Cursor(1), TABLE, "x"));
        let far = records.get("hologram", "x").expect_err("no table").to_string();
        assert_eq!(far, "there is no record type \"hologram\"");
        let other = records.get("Asset", "x").expect_err("capital letters matter").to_string();
        assert!(other.ends_with("did you mean asset?"), "{other}");

        // Tables of the legacy server, with records and without.
        for table in ["Location", "item", "store", "transact"] {
            assert_eq!(records.get(table, "x").expect(table), None);
            assert!(records.list(table, None, 9).expect(table).is_empty());
            assert_eq!(records.count(table, &Query::new().is("code", "c")).expect(table), 0);
        }
        // A table of a later version, from which a server has sent a record.
        put_unchecked(replica.storage().as_ref(), "hologram", "later", &data(r#"{"id":"later","colour":"red"}"#));
        assert!(records.get("hologram", "later").expect("its records are here").is_some());
        assert_eq!(records.get("hologram", "other").expect("so the table is one"), None);
        assert_eq!(records.find("hologram", &Query::new().is("colour", "red")).expect("found").len(), 1);
    });
}

#[test]
fn dates_are_compared_by_their_moment_and_not_by_their_spelling() {
    each_central(|replica| {
        for (id, at, warranty) in [
            ("a", "2026-01-01T00:00:00", r#""2026-02-01""#),
            ("b", "2026-01-01T00:00:00.500", "null"),
            ("c", "2026-01-01T00:00:00.250000", r#""2026-11-30""#),
            ("d", "2025-12-31T23:59:59", r#""2025-06-30""#),
        ] {
            let asset = format!(
                r#"{{"id":"{id}","store_id":null,"created_datetime":"{at}","modified_datetime":"{at}","warranty_start":{warranty}}}"#
            );
            replica.records().put("asset", [data(&asset)]).expect("stored");
        }
        // What a server sends may have other spellings.
        for (id, at) in [("e", "2026-1-1T00:00:00.25"), ("f", "2026-01-02T00:00:00.000")] {
            let asset = format!(
                r#"{{"id":"{id}","store_id":null,"created_datetime":"{at}","modified_datetime":"{at}","warranty_start":"2026-2-1"}}"#
            );
            put_unchecked(replica.storage().as_ref(), "asset", id, &data(&asset));
        }
        let ids = |query: Query| {
            let found = replica.records().find("asset", &query).expect("found");
            assert!(replica.records().count("asset", &query).expect("counted") >= found.len() as u64, "all its pages");
            found.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" ")
        };
        let (new, at) = (Query::new, "created_datetime");
        for (query, expected) in [
            (new().is(at, "2026-01-01"), "a"),
            (new().is(at, "2026-01-01T00:00:00.000"), "a"),
            (new().is(at, "2026-01-01T00:00:00.25"), "c e"),
            (new().is(at, "2026-01-02"), "f"),
            (new().is(at, Date::new(2026, 1, 1).expect("a day")), "a"),
            (new().is(at, "2026-01-01T00:00:00.500".parse::<DateTime>().expect("a moment")), "b"),
            (new().is_not(at, "2026-01-01T00:00:00.250"), "a b d f"),
            (new().is_any_of(at, ["2026-01-02", "2026-01-01T00:00:00.5"]), "b f"),
            (new().at_least(at, "2026-01-01").below(at, "2026-1-2"), "a b c e"),
            (new().at_least(at, "2026-01-01T00:00:00.000"), "a b c e f"),
            (new().below(at, "2026-01-01T00:00:00.000"), "d"),
            (new().order_by(at), "d a c e b f"),
            (new().order_by_descending(at).limit(3), "f b c"),
            (new().is("warranty_start", "2026-02-01T00:00:00"), "a e f"),
            (new().below("warranty_start", "2026-02-01T00:00:01"), "a d e f"),
            (new().is_null("warranty_start"), "b"),
            (new().order_by("warranty_start").order_by_descending(at), "b d f e a c"),
            (new().contains(at, "2026-1-"), "e"),
        ] {
            assert_eq!(ids(query.clone()), expected, "{query:?}");
        }
        for wrong in ["yesterday", "2026-02-30", "2026-01-01T00:00:00Z", "", "0000-00-00"] {
            for query in [new().is(at, wrong), new().is_any_of(at, [wrong]), new().at_least("warranty_start", wrong)] {
                let error = replica.records().find("asset", &query).expect_err(wrong);
                assert_eq!(error.code(), "bad_input", "{wrong}: {error}");
                assert!(error.to_string().contains("is a date") && error.to_string().contains(&format!("\"{wrong}\"")));
                assert_eq!(replica.records().count("asset", &query).expect_err(wrong).code(), "bad_input");
            }
        }
        let number = replica.records().find("asset", &new().below(at, 2026)).expect_err("no date").to_string();
        assert!(number.contains("created_datetime of asset is a date, and 2026 is none"), "{number}");
        // The legacy server's spellings, and its words for no date.
        for (id, confirmed) in [
            ("1", "2026-01-05"),
            ("2", "2026-01-05T00:00:00"),
            ("3", "0000-00-00"),
            ("4", ""),
            ("5", "2026-01-04 10:00:00"),
        ] {
            let row = data(&format!(r#"{{"ID":"{id}","confirm_date":"{confirmed}"}}"#));
            put_unchecked(replica.storage().as_ref(), "transact", id, &row);
        }
        let legacy = |query: Query| {
            let found = replica.records().find("transact", &query).expect("found");
            found.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(legacy(new().is("confirm_date", "2026-01-05")), "1 2");
        assert_eq!(legacy(new().is_null("confirm_date")), "3 4");
        assert_eq!(legacy(new().below("confirm_date", "2026-01-05")), "5");
        assert_eq!(legacy(new().order_by("confirm_date")), "3 4 5 1 2");
        // Not all fields of the legacy server's tables are known here: one that nobody declared is null.
        assert_eq!(legacy(new().is("Colour", "red")), "");
        assert_eq!(legacy(new().is_null("Colour").limit(2)), "1 2");
    });
}

#[test]
fn a_file_is_asked_in_sql_from_one_snapshot_and_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let replica = Replica::open(folder.path().join("central.sqlite")).expect("opens");
    replica.site_registry().expect("a central database");
    let put = |id: &str| {
        let class = format!(r#"{{"id":"{id}","name":"n"}}"#);
        replica.records().put("asset_class", [data(&class)]).map(|_| ())
    };
    put("a").expect("stored");
    let counts = replica.read_sql(|connection| {
        let count = || connection.query_row("SELECT count(*) FROM asset_class", (), |row| row.get::<_, i64>(0));
        let before = count()?;
        put("b").expect("a writer does not wait for a reader");
        Ok((before, count()?))
    });
    assert_eq!(counts.expect("read"), (1, 1));
    let refused = replica.read_sql(|connection| connection.execute("DELETE FROM sync_record", ()));
    assert!(refused.is_err(), "{refused:?}");
    let memory = Replica::with_storage(Arc::new(MemoryStorage::new()));
    assert_eq!(memory.read_sql(|_| Ok(())).expect_err("no file").code(), "bad_input");
}

#[test]
fn two_views_are_joined_by_the_statement_of_the_page_about_storage() {
    const STORE: &str = "D77F67339BF8400886D009178F4962E1";
    let folder = tempfile::tempdir().expect("a folder");
    let replica = Replica::open(folder.path().join("central.sqlite")).expect("opens");
    let list = replica.site_registry().expect("a central database");
    list.add("north", &PasswordHash::of_password("a password")).expect("a site");
    list.add_store("North", "N", "north", Some(STORE.into())).expect("a store");
    let at = |day: &str| format!("2026-11-{day}T08:00:00");
    for (id, store) in [("broken", STORE), ("mended", STORE), ("silent", STORE), ("elsewhere", "another")] {
        let at = at("01");
        let asset = format!(
            r#"{{"id":"{id}","store_id":"{store}","serial_number":"{id}","created_datetime":"{at}","modified_datetime":"{at}"}}"#
        );
        replica.records().put("asset", [data(&asset)]).expect("stored");
    }
    for (id, of, status, day) in [
        ("1", "broken", "FUNCTIONING", "02"),
        ("2", "broken", "NOT_FUNCTIONING", "03"),
        ("3", "mended", "NOT_FUNCTIONING", "02"),
        ("4", "mended", "FUNCTIONING", "03"),
        ("5", "elsewhere", "NOT_FUNCTIONING", "02"),
    ] {
        let (at, user) = (at(day), "u");
        let log = format!(
            r#"{{"id":"{id}","asset_id":"{of}","user_id":"{user}","status":"{status}","log_datetime":"{at}"}}"#
        );
        replica.records().put("asset_log", [data(&log)]).expect("stored");
    }
    let page = std::fs::read_to_string(crate::names::root().join("docs/storage.md")).expect("the page");
    let block =
        page.split("```sql").find(|block| block.contains("FROM asset a JOIN asset_log l")).expect("the statement");
    let sql = block.split("```").next().expect("its end").to_owned();
    let found = replica.read_sql(|connection| {
        let mut statement = connection.prepare(&sql)?;
        let row = |row: &Row<'_>| Ok((row.get("serial_number")?, row.get("status")?, row.get("since")?));
        let rows = statement.query_map((), row)?;
        rows.collect::<Result<Vec<(String, String, String)>, _>>()
    });
    let expected = ("broken".to_owned(), "NOT_FUNCTIONING".to_owned(), at("03"));
    assert_eq!(found.expect("read"), [expected]);
}

#[test]
fn an_index_of_the_host_is_used_by_the_view_and_stays_whoever_opens_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("central.sqlite");
    let plan = |replica: &Replica, sql: &str| {
        let plan = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = replica.read_sql(|connection| {
            let mut statement = connection.prepare(&plan)?;
            let rows = statement.query_map((), |row| row.get::<_, String>(3))?;
            rows.collect::<Result<Vec<_>, _>>()
        });
        rows.expect("a plan").join("; ")
    };
    let of_store = "SELECT id FROM asset WHERE store_id = 'S'";
    let renamed = "SELECT id FROM vaccine_course WHERE demographic_id = 'D'";
    let without = Replica::open(&path).expect("opens");
    assert!(!plan(&without, of_store).contains("host_index"), "{}", plan(&without, of_store));
    drop(without);
    for _ in 0..2 {
        let builder = Replica::builder().index("asset", "store_id").index("vaccine_course", "demographic_id");
        let with = builder.open(&path).expect("opens");
        for (sql, index) in
            [(of_store, "host_index_asset_store_id"), (renamed, "host_index_vaccine_course_demographic_id")]
        {
            assert!(plan(&with, sql).contains(index), "{}", plan(&with, sql));
        }
    }
    let another = Replica::open(&path).expect("opens");
    assert!(plan(&another, of_store).contains("host_index"), "it stays");
    // A version of the view that an older release made.
    let old = "DROP INDEX \"host_index_asset_store_id\";
        CREATE INDEX \"host_index_asset_store_id\" ON sync_record (record_id)";
    Connection::open(&path).and_then(|connection| connection.execute_batch(old)).expect("made");
    let anew = Replica::builder().index("asset", "store_id").open(&path).expect("opens");
    assert!(plan(&anew, of_store).contains("host_index"), "it is made anew");
    let wrong =
        |table: &str, field: &str| Replica::builder().index(table, field).open(&path).expect_err("refused").code();
    assert_eq!((wrong("asset", "stor_id"), wrong("no_table", "id")), ("bad_input", "unknown_table"));
}
