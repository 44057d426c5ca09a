//! A host with a table of its own in the same file, which follows each asset class by a hook.
//!
//! `cargo run -p sync-core --example own_tables -- central.sqlite`

use sync_core::Replica;
use sync_core::record::AssetClass;
use sync_core::storage::HookedRecord;
use sync_core::storage::rusqlite::Connection;

const TABLES: &str = "CREATE TABLE IF NOT EXISTS my_class (id TEXT PRIMARY KEY, name TEXT)";

/// Runs in the transaction that writes the record: both take effect, or neither does.
fn follow(connection: &Connection, record: &HookedRecord<'_>) -> Result<(), sync_core::error::Cause> {
    if record.table.as_str() != "asset_class" {
        return Ok(());
    }
    let id = record.id.as_str();
    connection.execute("DELETE FROM my_class WHERE id = ?1", [id])?;
    if let Some(fields) = record.data.and_then(|data| data.fields()) {
        connection.execute("INSERT INTO my_class (id, name) VALUES (?1, ?2)", (id, fields.text("name").as_deref()))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().nth(1).ok_or("usage: own_tables DATABASE")?)
}

pub(crate) fn run(database: &str) -> Result<(), Box<dyn std::error::Error>> {
    let replica = Replica::builder().host_tables(TABLES).hook(follow).open(database)?;
    // The database of a central server may write asset classes; a site receives them.
    replica.site_registry()?;
    let class = AssetClass { id: "class-1".into(), name: "Cold chain".into(), ..AssetClass::default() };
    replica.records().of().put(&class)?;

    let count: i64 =
        replica.read_sql(|connection| connection.query_row("SELECT count(*) FROM my_class", (), |row| row.get(0)))?;
    println!("my_class has {count} rows");
    Ok(())
}
