//! The progress of a cycle as a terminal shows it, frame by frame.

use super::doctor::Ward;
use super::front::Answer;
use super::widths::in_terminal;

/// A batch of a pull with records of these ids.
fn batch(end: u64, total: u64, ids: &[&str]) -> Answer {
    let element = |id: &&str| {
        let data = format!(r#"{{"id":"{id}","name":"of {id}"}}"#);
        format!(
            r#"{{"cursor":{end},"record":{{"tableName":"asset_class","recordId":"{id}","action":"Update","recordData":{data}}}}}"#
        )
    };
    let records = ids.iter().map(element).collect::<Vec<_>>().join(",");
    let batch =
        format!(r#"{{"end_cursor":{end},"total_records":{total},"records":[{records}],"is_last_batch":false}}"#);
    Answer::json(200, &format!(r#"{{"data":{batch}}}"#))
}

/// What was drawn, without what steers the terminal.
fn frames(drawn: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut letters = drawn.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                // Up to the letter that ends the sequence; each begins a frame.
                let _ = letters.by_ref().skip_while(|letter| *letter == '[').find(char::is_ascii_alphabetic);
                plain.push('\n');
            }
            letter => plain.push(letter),
        }
    }
    let lines = plain.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// The number done and the total of a frame, and whether the total is only about right.
fn counts(frame: &str) -> Option<(u64, u64, bool)> {
    let word =
        frame.split_whitespace().find(|word| word.contains('/') && word.starts_with(|c: char| c.is_ascii_digit()))?;
    let (done, total) = word.split_once('/')?;
    Some((done.parse().ok()?, total.trim_start_matches('~').parse().ok()?, total.starts_with('~')))
}

/// Totals that rise, fall, are nothing, or are distances in a changelog, as a central server of Open mSupply 3.x gives them.
#[test]
fn the_bar_is_never_absurd_while_totals_change() {
    let ward = Ward::new();
    let cursors = ward.clinic.desk.run(&["cursor", "show", "--json"]).ends(0).json_lines();
    let pull = cursors.iter().find(|cursor| cursor["name"] == "pull_cursor_v6").expect("the cursor of the pull");
    let from = pull["position"].as_u64().expect("a number");
    for number in 0..12 {
        ward.clinic.put_at_central("asset_class", &format!(r#"{{"id":"real{number}","name":"x"}}"#));
    }
    let totals: [(u64, &[&str]); 7] = [
        (10, &["a"]),
        (5_000, &["b"]),
        // Fewer than are left.
        (40, &["c"]),
        // Fewer than come with it.
        (0, &["d", "e"]),
        // Nothing of so many is for this site.
        (4_000_000_000, &[]),
        (u64::from(u32::MAX) * 1000, &["f"]),
        (1, &["g"]),
    ];
    for (number, (total, ids)) in (0..).zip(totals) {
        ward.central.once("/central/sync/pull", batch(from + number, total, ids));
    }
    ward.central.doing().delay = std::time::Duration::from_millis(300);
    let drawn = in_terminal(&ward.clinic.desk, 100, "xterm", "sync");
    let frames = frames(&drawn);
    let counted: Vec<_> = frames.iter().filter_map(|frame| counts(frame)).collect();
    assert!(counted.iter().any(|(_, total, _)| *total >= 5_000), "the totals were drawn: {frames:#?}");
    for (frame, (done, total, is_about)) in frames.iter().filter_map(|frame| Some((frame, counts(frame)?))) {
        assert!(done <= total && total > 0, "{frame}");
        assert!(total <= 5_001 || is_about, "a distance is drawn as a number of records: {frame}");
    }
    for frame in &frames {
        assert!(!frame.contains("0/0") && !frame.contains("inf") && !frame.contains("NaN"), "{frame}");
        let years = frame
            .split_whitespace()
            .any(|word| word.strip_suffix('y').is_some_and(|years| years.parse::<u64>().is_ok()));
        assert!(!years, "nobody waits for years: {frame}");
    }
    let falls = counted.windows(2).position(|pair| pair[1].1 < pair[0].1 && pair[1].0 >= pair[0].0);
    if let Some(at) = falls {
        assert!(counted[at + 1..].iter().filter(|(done, ..)| *done > 0).all(|(.., about)| *about), "{counted:?}");
    }
}
