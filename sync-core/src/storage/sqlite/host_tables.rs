//! What a host's SQL may do: it makes and changes the host's own tables, and reads all.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ErrorCode, ffi};

use crate::record::record_type;

/// Runs the statements with which a host makes its own tables. Those that would change the tables of this library, end the transaction or
/// change settings are refused.
pub(super) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let before = what_is_ours(connection)?;
    connection.authorizer(Some(|context: AuthContext<'_>| {
        let ends = matches!(context.action, AuthAction::Transaction { .. });
        answer(!ends && may_write(&context.action))
    }))?;
    let done = connection.execute_batch(sql);
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    done?;
    // A renamed table and a reference to another one are not told to the authorizer by their new names.
    if what_is_ours(connection)? != before {
        let why =
            "not authorized: names that begin with sync_ and references to such tables are the library's".to_owned();
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_AUTH), Some(why)));
    }
    Ok(())
}

/// All of the schema that has a name of this library, and the host's tables that refer to such a table.
fn what_is_ours(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || ifnull(sql, '') FROM sqlite_schema \
        WHERE (name LIKE 'sync\\_%' ESCAPE '\\' OR tbl_name LIKE 'sync\\_%' ESCAPE '\\') AND name NOT LIKE 'host\\_index\\_%' ESCAPE '\\' \
        UNION ALL SELECT 'reference ' || host.name || ' ' || reference.\"table\" \
        FROM sqlite_schema AS host, pragma_foreign_key_list(host.name) AS reference \
        WHERE host.type = 'table' AND reference.\"table\" LIKE 'sync\\_%' ESCAPE '\\' ORDER BY 1";
    connection.prepare(sql)?.query_map((), |row| row.get(0))?.collect()
}

/// True if the statements are at fault, or what they found in the host's own tables.
pub(super) fn is_of_host(error: &rusqlite::Error) -> bool {
    let code = match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.code),
        other => other.sqlite_error_code(),
    };
    matches!(
        code,
        Some(
            ErrorCode::Unknown
                | ErrorCode::ConstraintViolation
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ApiMisuse
        )
    )
}

/// True for an action of a host's statement on its own tables, for reading, and for what ends a transaction or begins one. All else that
/// SQLite can do is not a host's: a trigger or an index on a table of this library would change what the library writes, and a temporary
/// table would take the place of another one of its name.
pub(super) fn may_write(action: &AuthAction<'_>) -> bool {
    match *action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateVtable { table_name, .. }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::Analyze { table_name } => !is_ours(table_name),
        AuthAction::CreateIndex { index_name, table_name } => !is_ours(index_name) && !is_ours(table_name),
        // The indexes of `ReplicaBuilder::index` are the host's.
        AuthAction::DropIndex { index_name, table_name } => {
            !is_ours(table_name) || index_name.starts_with("host_index_")
        }
        // What a trigger does is asked for when it is prepared to run.
        AuthAction::CreateTrigger { trigger_name, table_name }
        | AuthAction::DropTrigger { trigger_name, table_name } => {
            !is_ours(trigger_name) && !is_ours(table_name) && record_type(table_name).is_none()
        }
        AuthAction::CreateView { view_name } => !is_ours(view_name),
        AuthAction::DropView { view_name } => !is_ours(view_name) && record_type(view_name).is_none(),
        AuthAction::Pragma { pragma_name, pragma_value } => is_read_only_pragma(pragma_name, pragma_value.is_some()),
        AuthAction::Function { function_name } => is_harmless_function(function_name),
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Reindex { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::Transaction { .. } => true,
        _ => false,
    }
}

/// Keeps a host's queries from turning off what makes their connection read-only. Nothing else needs to be refused there.
pub(super) fn only_reads(context: AuthContext<'_>) -> Authorization {
    answer(match context.action {
        AuthAction::Pragma { pragma_name, pragma_value } => {
            is_read_only_pragma(pragma_name, pragma_value.is_some()) || is_among(&OWN_SETTINGS, pragma_name)
        }
        AuthAction::Function { function_name } => is_harmless_function(function_name),
        _ => true,
    })
}

/// True for an action of a host's hook, which writes rows and makes nothing. SQLite does not tell the authorizer the new name of a table,
/// nor what a table refers to; where tables are made, [`run`] looks at them afterwards, which would cost a hook time at each record.
pub(super) fn may_write_rows(action: &AuthAction<'_>) -> bool {
    let makes_or_drops = matches!(
        action,
        AuthAction::CreateTable { .. }
            | AuthAction::CreateVtable { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::AlterTable { .. }
            | AuthAction::DropTable { .. }
            | AuthAction::DropVtable { .. }
            | AuthAction::DropIndex { .. }
            | AuthAction::DropTrigger { .. }
            | AuthAction::DropView { .. }
    );
    !makes_or_drops && may_write(action)
}

pub(super) fn answer(is_permitted: bool) -> Authorization {
    if is_permitted { Authorization::Allow } else { Authorization::Deny }
}

/// Pragmas that describe tables, whose value is what they are asked for.
const DESCRIBING: [&str; 7] =
    ["data_version", "foreign_key_list", "index_info", "index_list", "table_info", "table_list", "table_xinfo"];

/// Pragmas that tell a setting if they are given no value.
const TELLING: [&str; 8] = [
    "application_id",
    "compile_options",
    "database_list",
    "foreign_keys",
    "journal_mode",
    "page_size",
    "schema_version",
    "user_version",
];

/// Settings of a connection for queries that change nothing but how it answers.
const OWN_SETTINGS: [&str; 5] =
    ["automatic_index", "cache_size", "case_sensitive_like", "mmap_size", "reverse_unordered_selects"];

fn is_read_only_pragma(name: &str, has_value: bool) -> bool {
    is_among(&DESCRIBING, name) || (!has_value && is_among(&TELLING, name))
}

/// False for the functions that write files or load code.
fn is_harmless_function(name: &str) -> bool {
    !is_among(&["load_extension", "sqlcipher_export"], name)
}

fn is_among(names: &[&str], name: &str) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// True for the names that this library keeps for its own tables.
fn is_ours(table: &str) -> bool {
    table.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("sync_"))
}
