//! Tables with aligned columns, which fit the terminal where its width is known.

use sync_core::protocol::one_line;

use crate::command::layout::{folded, pairs};
use crate::failure::Failure;
use crate::output::Output;

/// The columns between two cells.
const GAP: usize = 2;

/// A column is not made narrower than this.
const NARROWEST: usize = 8;

impl Output {
    /// A table with aligned columns; the first row is the head. In a terminal with less room its widest column is folded between words;
    /// where that is not enough, each row is a block of lines.
    pub(crate) fn table(&self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let mut rows = self.headed(rows);
        rows.iter_mut().flatten().for_each(|cell| *cell = one_line(cell).into_owned());
        let widths = widths(&rows);
        let fitting = match self.columns() {
            Some(columns) => narrowed(&rows, &widths, columns),
            None => Some(widths),
        };
        match fitting {
            Some(widths) => self.aligned(&rows, &widths),
            None => self.blocks(&rows),
        }
    }

    /// The rows of a table in columns of these widths. Cells that are wider are folded.
    pub(crate) fn aligned(&self, rows: &[Vec<String>], widths: &[usize]) -> Result<(), Failure> {
        for row in rows {
            let cells: Vec<Vec<String>> =
                row.iter().zip(widths).map(|(cell, width)| fold_if_wider(cell, *width)).collect();
            for at in 0..cells.iter().map(Vec::len).max().unwrap_or(1) {
                let cell = |lines: &Vec<String>| lines.get(at).cloned().unwrap_or_default();
                let cells = cells.iter().zip(widths).map(|(lines, width)| format!("{:<width$}", cell(lines)));
                self.line(cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end())?;
            }
        }
        Ok(())
    }

    /// The rows of a table, each as lines with the name of the column and the cell. Empty cells are left out.
    pub(crate) fn blocks(&self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let Some((head, rows)) = rows.split_first() else { return Ok(()) };
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                self.line("")?;
            }
            let cells = head.iter().cloned().zip(row.iter().cloned()).filter(|(_, cell)| !cell.is_empty());
            pairs(self, "", &cells.collect::<Vec<_>>(), folded)?;
        }
        Ok(())
    }
}

/// The width of each column.
pub(crate) fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    (0..columns).map(width).collect()
}

/// The widths with which the table fits: as they are, or with the widest column narrower. `None` if that column has words that are too
/// long for it.
fn narrowed(rows: &[Vec<String>], widths: &[usize], columns: usize) -> Option<Vec<usize>> {
    let needed = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let Some(surplus) = needed.checked_sub(columns).filter(|surplus| *surplus > 0) else {
        return Some(widths.to_vec());
    };
    let (widest, width) = widths.iter().enumerate().max_by_key(|(_, width)| **width)?;
    let room = width.checked_sub(surplus).filter(|room| *room >= NARROWEST)?;
    let cells = rows.iter().filter_map(|row| row.get(widest));
    let longest = cells.flat_map(|cell| cell.split_whitespace()).map(|word| word.chars().count()).max()?;
    (longest <= room).then(|| {
        let mut narrower = widths.to_vec();
        narrower[widest] = room;
        narrower
    })
}

/// A cell in lines, as it is if it has room.
fn fold_if_wider(cell: &str, width: usize) -> Vec<String> {
    if cell.chars().count() <= width { vec![cell.to_owned()] } else { folded(cell, width) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn the_widest_column_is_folded_between_words_or_the_table_does_not_fit() {
        let table = rows(&[&["ID", "NAME", "SEEN"], &["2", "a clinic far away", "5 s"]]);
        let whole = widths(&table);
        assert_eq!(whole, [2, 17, 4]);
        assert_eq!(narrowed(&table, &whole, 27), Some(whole.clone()));
        assert_eq!(narrowed(&table, &whole, 20), Some(vec![2, 10, 4]));
        assert_eq!(narrowed(&table, &whole, 17), None, "no column is that narrow");
        let words = rows(&[&["ID", "NAME"], &["2", "0190f7b2-4f0e-7a83"]]);
        assert_eq!(narrowed(&words, &widths(&words), 16), None, "an id is not cut");
        assert_eq!(fold_if_wider("a clinic far away", 10), ["a clinic", "far away"]);
        assert_eq!(fold_if_wider("two  blanks", 11), ["two  blanks"], "what fits stays as it is");
    }
}
