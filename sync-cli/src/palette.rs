//! All colours of the program: blue for good states, orange for others. Colour-blind people can tell both apart, and a
//! word beside each says the same.

use clap::builder::Styles;
use clap::builder::styling::{Ansi256Color, AnsiColor, Style};

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// The bar that marks a central server's database.
    Bar,
    /// Something is wrong.
    Alarm,
    /// Somebody should look at it.
    Caution,
    /// All is well.
    Well,
}

const ORANGE: Style = Ansi256Color(208).on_default();
const BLUE: Style = Ansi256Color(39).on_default();

impl Tone {
    fn style(self) -> Style {
        match self {
            // White on blue, which reads on dark and light terminals.
            Self::Bar => AnsiColor::BrightWhite.on(AnsiColor::Blue).bold(),
            Self::Alarm => ORANGE.bold(),
            Self::Caution => ORANGE,
            Self::Well => BLUE,
        }
    }
}

/// Text in its colour.
pub(crate) fn painted(text: &str, tone: Tone) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

/// The colours of the help, and of messages about wrong usage.
pub(crate) const HELP: Styles = Styles::styled()
    .header(Style::new().bold().underline())
    .usage(Style::new().bold().underline())
    .literal(BLUE.bold())
    .valid(BLUE)
    .error(ORANGE.bold())
    .invalid(ORANGE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_red_or_green() {
        let help = [HELP.get_literal(), HELP.get_valid(), HELP.get_error(), HELP.get_invalid(), HELP.get_placeholder()];
        let all = help.map(|style| format!("{style}")).concat()
            + &[Tone::Alarm, Tone::Bar, Tone::Caution, Tone::Well].map(|tone| painted("x", tone)).concat();
        for code in ["31", "32", "41", "42", "91", "92", "101", "102"] {
            let is_it = |part: &str| part.split(';').any(|number| number == code);
            let found = all.split('\x1b').filter_map(|part| part.strip_prefix('[')?.split('m').next());
            assert_eq!(found.filter(|part| is_it(part)).count(), 0, "{code}: {all:?}");
        }
        assert!(all.contains("208") && all.contains("39"), "{all:?}");
    }
}
