//! x
use crate::args::Demo;
use crate::exit::{Ended, Failure};
use crate::output::Output;
pub(crate) fn run(_: &Demo, _: &Output) -> Result<Ended, Failure> { Ok(Ended::Done) }
