//! `rekey`: gives the database another key, or its first one.

use serde_json::json;

use super::layout::say;
use crate::args::{Args, Rekey};
use crate::database_key::{key_of_file, keyed};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::rekey_shown as shown;

pub(super) fn run(args: &Args, options: &Rekey, out: &Output) -> Result<CommandOutcome, Failure> {
    let new = key_of_file(&options.new_key_file)?;
    let had_key = args.key()?.is_some();
    keyed(args.builder()?, &args.db, &new)?;
    let db = args.db.display().to_string();
    if out.json {
        out.document(&json!({ "database": db, "was_encrypted": had_key }))?;
        return Ok(CommandOutcome::Done);
    }
    say(out, "", &if had_key { shown::changed(db) } else { shown::encrypted(db) })?;
    out.hint_said(&shown::backups_keep());
    Ok(CommandOutcome::Done)
}
