//! The plots of the status page: the last 24 hours as small pictures in SVG, with their figures in words.

use std::fmt::Write as _;

use crate::last_day::{PARTS, Part};
use crate::page::grouped;

/// The height of a plot, in its own units; its width is a unit for each part of the day.
const HEIGHT: f64 = 40.0;

/// Writes the plots of these parts, the oldest first.
pub(super) fn write(text: &mut String, parts: &[Part], bounds: &[f64]) -> std::fmt::Result {
    text.push_str("<section id=\"last-day\" aria-label=\"The last 24 hours\">");
    let whole = |value: f64| grouped(value as u64);
    let of = |take: fn(&Part) -> u64| parts.iter().map(|part| take(part) as f64).collect::<Vec<f64>>();
    plot(text, "requests", "Requests in 5 minutes", &of(|part| part.requests), &whole)?;
    plot(text, "records", "Records in 5 minutes", &of(|part| part.records), &whole)?;
    plot(text, "errors", "Failed requests in 5 minutes", &of(|part| part.errors), &whole)?;
    let slow: Vec<f64> = parts.iter().map(|part| part.p99(bounds).unwrap_or(0.0)).collect();
    plot(text, "p99", "99 of 100 requests within", &slow, &|seconds| match seconds {
        0.0 => "–".to_owned(),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds => format!("{seconds:.0} s"),
    })?;
    plot(text, "waiting", "Sites waiting for integration", &of(|part| part.waiting), &whole)?;
    text.push_str("</section>\n");
    Ok(())
}

fn plot(text: &mut String, id: &str, what: &str, values: &[f64], shown: &dyn Fn(f64) -> String) -> std::fmt::Result {
    let most = values.iter().copied().fold(0.0, f64::max);
    let (now, most_shown) = (shown(values.last().copied().unwrap_or(0.0)), shown(most));
    write!(
        text,
        "<figure id=\"plot-{id}\"><figcaption>{what}: <b>{now}</b> <small>at most {most_shown}</small></figcaption>\
         <svg viewBox=\"0 0 {PARTS} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{what}, the last 24 hours: now {now}, at most {most_shown}\"><path d=\"{}\"/></svg></figure>",
        path(values, most)
    )
}

/// A bar for each part that is not empty, with the newest at the right edge.
fn path(values: &[f64], most: f64) -> String {
    let first = PARTS - values.len().min(PARTS);
    let mut path = String::new();
    for (at, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let height = (value / most * HEIGHT).max(1.0);
        // Writing into a string cannot fail.
        let _ = write!(path, "M{} {HEIGHT}v-{height:.1}h1V{HEIGHT}z", first + at);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_part_is_at_the_right_edge_and_the_most_has_full_height() {
        assert_eq!(path(&[1.0, 0.0, 2.0], 2.0), "M285 40v-20.0h1V40zM287 40v-40.0h1V40z");
        assert_eq!(path(&[0.001, 1000.0], 1000.0), "M286 40v-1.0h1V40zM287 40v-40.0h1V40z", "little is still seen");
        assert_eq!(path(&[], 0.0), "");
    }
}
