//! The demonstration: a central server over real HTTP and two sites with real databases, changes on all sides, a line
//! that breaks, and the proof that all ends agree.

mod demonstration;
mod ends;
mod files;

use self::demonstration::Demonstration;
use crate::args::Demo;
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;

pub(crate) fn run(options: &Demo, out: &Output) -> Result<CommandOutcome, Failure> {
    let temporary = tempfile::tempdir()?;
    let folder = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    Demonstration::new(folder, out)?.run()
}
