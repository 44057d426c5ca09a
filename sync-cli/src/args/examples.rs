//! What stands below the help of commands that have no flags worth a file: what to know of them, and examples.

pub(super) const AUDIT: &str = "\
Reads all of it from the beginning into a temporary file, which needs as much
room as the records do; TMPDIR says where. Nothing is changed here or at
central, and no sync runs meanwhile. Stores, names and items are not compared:
they come from the legacy server. Ends with 1 if something differs that should
not, or is set aside.

Examples:
  oms-sync audit
  oms-sync audit --json | jq '.lost[] | [.table, .id, .why]'";
