//! Words in details, and single words. Names of tables or sites may be equal to them, so words that are likely names
//! are not among them.

use super::ErrorClass;

const ALL: &[&str] = &[
    // Servers and roles.
    "the legacy server",
    "the central server",
    "central",
    "legacy",
    "here",
    "remote",
    "central server",
    "remote site",
    "central server without a legacy server",
    "site that is being set up",
    // Parties and outcomes of a diagnosis.
    "this device",
    "the network",
    "a record",
    "nobody",
    "ok",
    "not checked",
    "warning",
    "fault",
    // Outcomes and steps of a cycle.
    "done",
    "left_behind",
    "partial",
    "failed",
    "cancelled",
    "Prepare",
    "Push V6",
    "Push",
    "Pull central",
    "Pull remote",
    "Pull V6",
    "Link patient",
    "Pull patient",
    "Integrate",
    "Files",
    "Compare",
    // Causes of quarantine, and files.
    "waiting",
    "refused",
    "unsupported",
    "malformed",
    "superseded",
    "ignored",
    "upload",
    "download",
    "running",
    "gone",
    "elsewhere",
    // Words in errors.
    "address",
    "the address",
    "the legacy server's address",
    "the central server's address",
    "cycle in the log",
    "kept conflict of the record",
    "error code",
    "record in quarantine with the number",
    "compressing a request",
    "copying the database",
    "hashing a password",
    "making a line",
    "making a temporary folder",
    "reading standard input",
    "reading the password",
    "starting the server",
    "writing JSON",
];

/// Every word.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    ALL.iter().copied().chain(ErrorClass::ALL.iter().map(|class| class.who_must_act()))
}
