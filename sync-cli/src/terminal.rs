//! What the terminal can show.

use std::io::stdout;

/// Fewer columns are taken for this many: no text can be laid out in less.
const COLUMNS_MIN: usize = 20;

/// The columns of the terminal: those that the variable COLUMNS says, else those of standard output. `None` where nothing says it, as in
/// a pipe.
pub(crate) fn columns() -> Option<usize> {
    let of_variable = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse::<usize>().ok());
    let of_output = || terminal_size::terminal_size_of(stdout()).map(|(width, _)| usize::from(width.0));
    let columns = of_variable.filter(|columns| *columns > 0).or_else(of_output);
    columns.filter(|columns| *columns > 0).map(|columns| columns.max(COLUMNS_MIN))
}

/// True for a terminal that shows plain lines only: no colour, and no line that is written over.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
