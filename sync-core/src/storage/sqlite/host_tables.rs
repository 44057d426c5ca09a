//! The statements with which a host makes its own tables.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ErrorCode};

use crate::record::record_type;

/// Runs a host's statements. Those that would change the tables of this library, end the transaction or change settings are refused.
pub(super) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.authorizer(Some(permit))?;
    let done = connection.execute_batch(sql);
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    done
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

fn permit(context: AuthContext<'_>) -> Authorization {
    let is_permitted = match context.action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. } => !is_ours(table_name),
        AuthAction::DropView { view_name } => !is_ours(view_name) && record_type(view_name).is_none(),
        // The indexes of `ReplicaBuilder::index` are the host's.
        AuthAction::DropIndex { index_name, table_name } => {
            !is_ours(table_name) || index_name.starts_with("host_index_")
        }
        AuthAction::Pragma { pragma_name, .. } => {
            READ_ONLY_PRAGMAS.contains(&pragma_name.to_ascii_lowercase().as_str())
        }
        AuthAction::Transaction { .. } => false,
        _ => true,
    };
    if is_permitted { Authorization::Allow } else { Authorization::Deny }
}

/// Pragmas that describe tables.
const READ_ONLY_PRAGMAS: [&str; 6] =
    ["foreign_key_list", "index_info", "index_list", "table_info", "table_list", "table_xinfo"];

/// True for the names that this library keeps for its own tables.
fn is_ours(table: &str) -> bool {
    table.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("sync_"))
}
