//! Queries of one table by fields, over both storages, and of a file in SQL.

use std::sync::Arc;

use sync_core::Replica;
use sync_core::protocol::PasswordHash;
use sync_core::record::{AssetCatalogueItem, Property, PropertyValueType, Query};
use sync_core::storage::MemoryStorage;
use sync_core::storage::rusqlite::Row;
use sync_tests::world::{data, each_central};

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
            let query = Query::new().is("key", "shelves").is("value_type", PropertyValueType::Integer.as_str());
            txn.of::<Property>().find(&query)
        });
        assert_eq!(found.expect("found").iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["b"]);
        let wrong = replica.records().of::<Property>().find(&Query::new().order_by("kez"));
        assert_eq!(wrong.expect_err("no such field").to_string(), "records of property have no field \"kez\"");
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
    Replica::builder().host_tables(old).open(&path).expect("opens");
    let anew = Replica::builder().index("asset", "store_id").open(&path).expect("opens");
    assert!(plan(&anew, of_store).contains("host_index"), "it is made anew");
    let wrong =
        |table: &str, field: &str| Replica::builder().index(table, field).open(&path).expect_err("refused").code();
    assert_eq!((wrong("asset", "stor_id"), wrong("no_table", "id")), ("bad_input", "unknown_table"));
}
