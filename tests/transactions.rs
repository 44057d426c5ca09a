//! Transactions of a host: several tables together, edits from a screen, records that are not synchronised; over both
//! storages.

use std::sync::Arc;

use sync_core::record::{Asset, AssetCategory, AssetClass, AssetLog, AssetLogStatus, DateTime, RecordData, RecordId};
use sync_core::storage::{HookedRecord, rusqlite::Connection};
use sync_core::support::Verdict;
use sync_core::{Error, RecordWrite, Replica, Transaction};
use sync_tests::world::{CentralEnd, Kind, asset, data, each_central};

fn class(id: &str, name: &str) -> AssetClass {
    AssetClass { id: id.into(), name: name.into(), ..AssetClass::default() }
}

fn category(id: &str, class_id: &str) -> AssetCategory {
    AssetCategory { id: id.into(), name: id.into(), class_id: class_id.into(), ..AssetCategory::default() }
}

#[test]
fn several_tables_take_effect_together_and_reads_see_the_writes() {
    each_central(|replica| {
        let classes = replica.records().of::<AssetClass>();
        let seen = replica.write(|txn| {
            txn.of().put(&class("cold", "Cold chain"))?;
            txn.of().put(&category("fridges", "cold"))?;
            txn.of::<AssetClass>().update("cold", |class| {
                class.name.push('!');
                Ok(())
            })?;
            assert!(classes.get("cold")?.is_none(), "others do not see it before the end");
            Ok((txn.of::<AssetClass>().get("cold")?, txn.of::<AssetCategory>().list(None, 10)?.len()))
        });
        let (cold, categories) = seen.expect("written");
        assert_eq!((cold.map(|class| class.name).as_deref(), categories), (Some("Cold chain!"), 1));
        assert_eq!(classes.get("cold").expect("reads").map(|class| class.name).as_deref(), Some("Cold chain!"));
        let refused = replica.write(|txn| txn.of::<AssetCategory>().delete("fridges")).expect_err("never deleted");
        assert!(matches!(refused, Error::NotAllowed { .. }), "{refused}");
    });
}

#[test]
fn nothing_is_written_if_a_call_fails_even_if_the_host_goes_on() {
    each_central(|replica| {
        let classes = replica.records().of::<AssetClass>();
        let failed = replica.write(|txn| {
            txn.of().put(&class("cold", "Cold chain"))?;
            // The record lacks its date: what a new value does not set, no record may have.
            let log = AssetLog { id: "log".into(), status: Some(AssetLogStatus::Functioning), ..AssetLog::default() };
            let missing = txn.of().put(&log).expect_err("no date");
            assert!(missing.to_string().contains("log_datetime"), "{missing}");
            Ok(())
        });
        assert_eq!(failed.expect_err("a call failed").code(), "invalid_record");
        let own = replica.write(|txn| {
            txn.of().put(&class("cold", "Cold chain"))?;
            Err::<(), _>(Error::bad_input("the user changed their mind"))
        });
        assert_eq!(own.expect_err("fails").to_string(), "the user changed their mind");
        assert!(classes.list(None, 10).expect("reads").is_empty());
    });
}

/// The error type of an app.
#[derive(Debug, PartialEq)]
enum ClinicError {
    TooMany(u64),
    Sync(&'static str),
}

impl From<Error> for ClinicError {
    fn from(error: Error) -> Self {
        Self::Sync(error.code())
    }
}

#[test]
fn a_transaction_fails_with_an_error_of_the_apps_own_type() {
    each_central(|replica| {
        let classes = replica.records().of::<AssetClass>();
        let count = || classes.count(&Default::default()).expect("counted");
        let own = replica.write_with(|txn| -> Result<(), ClinicError> {
            txn.of().put(&class("cold", "Cold chain"))?;
            Err(ClinicError::TooMany(txn.of::<AssetClass>().count(&Default::default())?))
        });
        assert_eq!((own, count()), (Err(ClinicError::TooMany(1)), 0), "unchanged, and nothing was written");
        let failed = replica.write_with::<_, ClinicError>(|txn| {
            txn.of().put(&class("cold", "Cold chain"))?;
            txn.delete("asset_class", "none")?;
            Ok(())
        });
        assert_eq!((failed, count()), (Err(ClinicError::Sync("not_found")), 0));
        let goes_on = replica.write_with::<_, ClinicError>(|txn| {
            txn.of().put(&class("cold", "Cold chain"))?;
            Ok(txn.delete("asset_class", "none").is_err())
        });
        assert_eq!((goes_on, count()), (Err(ClinicError::Sync("not_found")), 0), "a failed call ends it");
        // A result that names the type, as in a function of the app.
        let saved: Result<u64, ClinicError> = replica.write_with(|txn| {
            txn.of().put(&class("cold", "Cold chain"))?;
            Ok(1)
        });
        assert_eq!((saved, count()), (Ok(1), 1));
        // With the library's own error nothing has to be named.
        let plain = || {
            replica.write(|txn| {
                txn.of().put(&class("warm", "Warm"))?;
                Ok(())
            })?;
            Ok::<_, Error>(())
        };
        assert_eq!((plain().is_ok(), count()), (true, 2));
    });
}

#[test]
fn an_edit_of_an_outdated_version_is_refused() {
    each_central(|replica| {
        let (records, table, id) = (replica.records(), "asset_class", RecordId::new("cold"));
        records.of().put(&class("cold", "Cold chain")).expect("stored");
        let position = records.position().expect("reads");
        let save = |name: &str| {
            replica.write(|txn| {
                txn.if_unchanged_since(position, table, &id)?;
                txn.of().put(&class("cold", name))
            })
        };
        records.of().put(&class("other", "Another record")).expect("stored");
        save("Mine").expect("nobody changed it");
        let refused = save("Mine, from the same screen").expect_err("it was changed");
        assert!(matches!(refused, Error::ChangedMeanwhile { .. }), "{refused}");
    });
}

#[test]
fn a_list_of_writes_takes_effect_together_and_insists_on_what_a_person_saw() {
    each_central(|replica| {
        let records = replica.records();
        let (_, position) = records.get_with_position("asset_class", "cold").expect("reads");
        let draft = data(r#"{"id":"draft","name":"A draft"}"#);
        let ids = records.apply([
            RecordWrite::put_value(&class("cold", "Cold chain")).unchanged_since(position),
            RecordWrite::put_value(&category("fridges", "cold")),
            RecordWrite::put("asset_class", draft).local_only(),
        ]);
        assert_eq!(ids.expect("written"), ["cold", "fridges", "draft"]);
        let explained = replica.support().explain("asset_class", "draft").expect("reads");
        assert!(explained.changes[0].local_only, "{explained:?}");

        let late = records.apply([
            RecordWrite::put_value(&class("warm", "Warm chain")),
            RecordWrite::put_value(&class("cold", "Mine")).unchanged_since(position),
        ]);
        assert!(matches!(late, Err(Error::ChangedMeanwhile { .. })), "{late:?}");
        assert!(records.get("asset_class", "warm").expect("reads").is_none(), "all, or nothing");
        let late = records.apply([RecordWrite::delete("asset_class", "draft").unchanged_since(position)]);
        assert!(matches!(late, Err(Error::ChangedMeanwhile { .. })), "{late:?}");
        let broken = replica.write(|txn| txn.put("asset_class", [RecordData::parse(r#"{"id":"x""#)?]));
        assert_eq!(broken.expect_err("no JSON").code(), "bad_input");
        let refused = records.apply([RecordWrite::put("asset_class", data(r#"{"name":"no id"}"#))]);
        assert_eq!(refused.expect_err("no id").code(), "invalid_record");
    });
}

/// A write within an update.
type Inner = fn(&Transaction<'_>) -> sync_core::Result<()>;

#[test]
fn an_edit_that_writes_its_own_record_is_refused_instead_of_undoing_that_write() {
    each_central(|replica| {
        let classes = replica.records().of::<AssetClass>();
        classes.put(&class("cold", "Cold")).expect("stored");
        let puts: Inner = |txn| txn.of::<AssetClass>().put(&class("cold", "inner"));
        let updates: Inner = |txn| txn.update("asset_class", "cold", |_| Ok(data(r#"{"id":"cold","name":"inner"}"#)));
        for inner in [puts, updates] {
            let outer = |txn: &Transaction<'_>| {
                txn.of::<AssetClass>().update("cold", |class| {
                    class.name.push('!');
                    inner(txn)
                })
            };
            let refused = replica.write(outer).expect_err("its write would be lost");
            assert_eq!(refused.code(), "changed_meanwhile");
            assert_eq!(classes.get("cold").expect("reads").map(|class| class.name).as_deref(), Some("Cold"));
        }
        let others = replica.write(|txn| {
            txn.of::<AssetClass>().update("cold", |class| {
                class.name.push('!');
                txn.of().put(&category("fridges", "cold"))
            })
        });
        others.expect("another record may be written");
        assert_eq!(classes.get("cold").expect("reads").map(|class| class.name).as_deref(), Some("Cold!"));
    });
}

/// The first table may be written here, and the second one may not.
#[test]
fn a_refusal_by_ownership_in_the_second_table_undoes_the_first() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        world(kind, |_, replica, _| {
            let first = asset("a", "STORE_north", "");
            let refused = replica.write(|txn| {
                txn.put("asset", [first.clone()])?;
                txn.of().put(&class("cold", "only central writes these"))
            });
            assert!(matches!(refused, Err(Error::NotAllowed { .. })), "{refused:?}");
            let second = RecordWrite::put_value(&class("cold", "only central writes these"));
            let refused = replica.records().apply([RecordWrite::put("asset", first.clone()), second]);
            assert!(matches!(refused, Err(Error::NotAllowed { .. })), "{refused:?}");
            assert!(replica.records().get("asset", "a").expect("reads").is_none(), "all, or nothing");
            assert_eq!(replica.status().expect("reads").waiting.records, 0);
        });
    }
}

#[test]
fn a_call_of_the_replica_inside_a_transaction_is_refused_instead_of_waiting() {
    each_central(|replica| {
        let inner = replica.write(|_| replica.records().of().put(&class("cold", "Cold chain")));
        assert_eq!(inner.expect_err("it would wait for itself").code(), "bad_input");
        replica.records().of().put(&class("cold", "Cold chain")).expect("it writes afterwards");
    });
}

#[test]
fn a_hook_that_writes_through_the_replica_is_refused_instead_of_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("central.sqlite");
    let other = Arc::new(std::sync::OnceLock::<Replica>::new());
    let inner = other.clone();
    let hook = move |_: &Connection, _: &HookedRecord<'_>| {
        let replica = inner.get().expect("it is open");
        Ok(replica.records().of().put(&class("inner", "Inner"))?)
    };
    let replica = Replica::builder().hook(hook).open(&path).expect("opens");
    replica.site_registry().expect("a central database");
    other.set(replica.clone()).expect("set once");
    let failed = replica.records().of().put(&class("cold", "Cold chain")).expect_err("the hook fails");
    assert_eq!(failed.code(), "host_failed");
}

#[test]
fn a_spelling_of_a_later_version_is_read_and_not_written() {
    let log = r#"{"id":"log","asset_id":"a","user_id":"u","status":"MELTED","log_datetime":"2026-11-23T08:00:00"}"#;
    let log = <AssetLog as sync_core::record::TypedRecord>::read(&data(log)).expect("it is read");
    assert_eq!(log.status, Some(AssetLogStatus::Other("MELTED".to_owned())));
    each_central(|replica| {
        let records = replica.records();
        let at = DateTime::from(replica.clock().now());
        let asset = Asset { id: "a".into(), created_datetime: at, modified_datetime: at, ..Asset::default() };
        records.of().put(&asset).expect("stored");
        let refused = records.of().put(&AssetLog { created_datetime: at, ..log.clone() }).expect_err("refused");
        assert!(refused.to_string().contains("MELTED"), "{refused}");
    });
}

/// A central server with a site, and the site's end of it.
fn world(kind: Kind, check: impl Fn(&CentralEnd, &Replica, &dyn Fn())) {
    let central = CentralEnd::over(kind);
    let site = central.new_site("north");
    site.sync();
    let replica = Replica::with_storage(site.storage.clone());
    check(&central, &replica, &|| drop(site.sync()));
}

fn local_only(replica: &Replica, record: RecordData) -> sync_core::Result<()> {
    replica.write(|txn| txn.local_only().put("asset", [record]).map(|_| ()))
}

#[test]
fn a_record_that_is_local_only_stays_here_until_it_is_written_for_all() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        world(kind, |central, replica, sync| {
            let (table, id) = ("asset", RecordId::new("draft"));
            local_only(replica, asset("draft", "STORE_north", "a draft")).expect("stored");
            local_only(replica, asset("draft", "STORE_north", "a better draft")).expect("stored again");
            assert_eq!(replica.status().expect("reads").waiting.records, 0);
            sync();
            assert!(central.records.get(table, &id).expect("reads").is_none(), "it was not sent");
            let explained = replica.support().explain(table, &id).expect("reads");
            assert_eq!((explained.verdict, explained.changes[0].by.as_str()), (Verdict::StaysHere, "here"));
            assert!(explained.changes[0].local_only);

            replica.records().put("asset", [asset("draft", "STORE_north", "done")]).expect("for all");
            sync();
            assert!(central.records.get(table, &id).expect("reads").is_some());
            let late = local_only(replica, asset("draft", "STORE_north", "a draft again")).expect_err("others have it");
            let deletion = replica.records().apply([RecordWrite::delete("asset", "draft").local_only()]);
            assert_eq!(deletion.expect_err("others have it").code(), late.code());
            assert_eq!(late.code(), "bad_input");
        });
    }
}

#[test]
fn a_draft_is_dropped_without_a_trace_elsewhere_and_yields_to_what_comes() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        world(kind, |central, replica, sync| {
            local_only(replica, asset("draft", "STORE_north", "a draft")).expect("stored");
            replica.records().delete("asset", "draft").expect("dropped");
            local_only(replica, asset("shared", "STORE_north", "mine")).expect("stored");
            central.records.put("asset", [asset("shared", "STORE_north", "of central")]).expect("stored");
            sync();
            assert!(central.records.get("asset", "draft").expect("reads").is_none());
            let shared = replica.records().get("asset", "shared").expect("reads").expect("is here");
            assert!(shared.as_str().contains("of central"), "{}", shared.as_str());
            sync();
            let there = central.records.get("asset", "shared").expect("reads").expect("is there");
            assert!(there.as_str().contains("of central"), "{}", there.as_str());
        });
    }
}
