//! The status page: HTML and a style, without scripts. Words and signs say everything; colour only repeats it.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use sync_core::central::{CentralView, Integrations, SiteView};
use sync_core::clock::Timestamp;
use sync_core::protocol::steers;
use sync_core::support::{CentralAlarm, SiteTrouble};

use crate::last_day::Part;
use crate::metrics::BUCKETS;
use crate::plots;

/// The number of sites on a page.
const SITES: usize = 100;
/// The number of alarms on a page; `doctor` shows all.
const ALARMS: usize = 20;
/// The time within which a site counts as seen.
const LATELY: Duration = Duration::from_secs(15 * 60);

/// The query for sites.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageQuery {
    attention: bool,
    name: String,
    /// From 0.
    page: usize,
}

impl PageQuery {
    /// Reads a query such as `show=attention&name=clinic&page=2`; unknown parts are ignored.
    pub(super) fn of(query: &str) -> Self {
        let mut asked = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "show" => asked.attention = value == "attention",
                "name" => asked.name = decoded(value).chars().take(100).collect(),
                "page" => asked.page = value.parse::<usize>().map_or(0, |page| page.saturating_sub(1)),
                _ => {}
            }
        }
        asked
    }

    fn link(&self, attention: bool, page: usize) -> String {
        let name: String = self.name.bytes().fold(String::new(), |mut text, byte| {
            let _ = if byte.is_ascii_alphanumeric() {
                write!(text, "{}", byte as char)
            } else {
                write!(text, "%{byte:02X}")
            };
            text
        });
        let show = if attention { "attention" } else { "all" };
        format!("/?show={show}&amp;name={name}&amp;page={}", page + 1)
    }

    fn wants(&self, site: &SiteView, state: SiteState) -> bool {
        (!self.attention || state.needs_attention())
            && (self.name.is_empty() || site.name.to_lowercase().contains(&self.name.to_lowercase()))
    }
}

/// A part of a query in the encoding of forms.
fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = value.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                text.push(byte);
                at += 2;
            }
            (b'+', _) => text.push(b' '),
            (byte, _) => text.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The state of a site, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SiteState {
    Copied,
    InQuarantine,
    PushesNothing,
    Silent,
    SignInFails,
    Integrating,
    Never,
    Behind,
    UpToDate,
}

impl SiteState {
    fn of(site: &SiteView, now: Timestamp) -> Self {
        match (SiteTrouble::of(site, now), site) {
            (Some(SiteTrouble::Copied), _) => Self::Copied,
            (Some(SiteTrouble::InQuarantine), _) => Self::InQuarantine,
            (Some(SiteTrouble::PushesNothing), _) => Self::PushesNothing,
            (Some(SiteTrouble::SignInFails), _) => Self::SignInFails,
            (Some(SiteTrouble::Silent), _) => Self::Silent,
            (_, SiteView { is_integrating: true, .. }) => Self::Integrating,
            (_, SiteView { seen_at: None, .. }) => Self::Never,
            (_, SiteView { behind: None | Some(1..), .. }) => Self::Behind,
            _ => Self::UpToDate,
        }
    }

    fn needs_attention(self) -> bool {
        matches!(self, Self::Copied | Self::InQuarantine | Self::PushesNothing | Self::Silent | Self::SignInFails)
    }

    /// When the alarm of one event came; the other states have columns of their own for times.
    fn began_at(self, site: &SiteView) -> Option<Timestamp> {
        match self {
            Self::Copied => site.copy_refused_at,
            Self::SignInFails => site.sign_in_failed_at,
            _ => None,
        }
    }

    /// A sign and words; screen readers skip the sign.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Copied => ("⧉", "another copy of it was refused"),
            Self::InQuarantine => ("▲", "records in quarantine"),
            Self::PushesNothing => ("⇡", "its release pushes nothing"),
            Self::Silent => ("◆", "silent for a day"),
            Self::SignInFails => ("✕", "sign-in fails"),
            Self::Integrating => ("⏳", "integrating"),
            Self::Never => ("○", "never seen"),
            Self::Behind => ("↓", "has more to read"),
            Self::UpToDate => ("✓", "up to date"),
        }
    }
}

/// Text for HTML, including attributes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // They would reverse the text around them.
                c if steers(c) => f.write_str("\u{fffd}")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Words as a sentence of their own.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let capital: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    if capital.ends_with('.') { capital } else { format!("{capital}.") }
}

/// The page.
pub(super) fn html(
    view: &CentralView,
    integrations: &Integrations,
    last_day: &[Part],
    alarms: &[CentralAlarm],
    asked: &PageQuery,
) -> String {
    let mut sites: Vec<(SiteState, &SiteView)> =
        view.sites.iter().map(|site| (SiteState::of(site, view.at), site)).collect();
    let attention = sites.iter().filter(|(state, _)| state.needs_attention()).count();
    sites.retain(|(state, site)| asked.wants(site, *state));
    sites.sort_by(|(a, x), (b, y)| (a, &x.name, x.id).cmp(&(b, &y.name, y.id)));
    let pages = sites.len().div_ceil(SITES).max(1);
    let page = asked.page.min(pages - 1);
    let mut text = String::with_capacity(64 * 1024);
    // Writing into a string cannot fail.
    let _ = write_all(&mut text, view, (integrations, last_day, alarms), (asked, attention), &sites, (page, pages));
    text
}

fn write_all(
    text: &mut String,
    view: &CentralView,
    (integrations, last_day, alarms): (&Integrations, &[Part], &[CentralAlarm]),
    (asked, attention): (&PageQuery, usize),
    sites: &[(SiteState, &SiteView)],
    (page, pages): (usize, usize),
) -> std::fmt::Result {
    let (version, css) = (env!("CARGO_PKG_VERSION"), include_str!("page.css"));
    let shown_at = view.at.to_string();
    let shown_at = format!("{} {} UTC", &shown_at[..10.min(shown_at.len())], shown_at.get(11..19).unwrap_or_default());
    write!(
        text,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{}\
         <title>Open mSupply central server</title><style>\n{css}</style></head>\n<body>\
         <header id=\"central-bar\"><h1>Open mSupply central server</h1>\
         <p>oms-sync {version} · as of {shown_at}</p></header>\n<main>\n",
        // Not while somebody looks for a site: the page would forget what is being typed.
        if asked.name.is_empty() { "<meta http-equiv=\"refresh\" content=\"60\">" } else { "" },
    )?;
    if !alarms.is_empty() {
        write!(text, "<ul class=\"alert\" id=\"alarms\">")?;
        for alarm in alarms.iter().take(ALARMS) {
            write!(text, "<li>▲ {}</li>", Escaped(&sentence(&alarm.to_string())))?;
        }
        if let Some(more @ 1..) = alarms.len().checked_sub(ALARMS) {
            write!(
                text,
                "<li>▲ And {more} more: <code>oms-sync doctor</code>, with this server’s <code>--db</code>, shows them.</li>"
            )?;
        }
        writeln!(text, "</ul>")?;
    }
    write_summary(text, view, integrations)?;
    plots::write(text, last_day, &BUCKETS)?;
    let current = |is: bool| if is { " aria-current=\"page\"" } else { "" };
    write!(
        text,
        "<div class=\"tools\"><nav aria-label=\"Which sites\"><a href=\"{}\"{}>All sites ({})</a>\
         <a href=\"{}\"{}>Need attention ({attention})</a></nav>\n\
         <form method=\"get\" action=\"/\" role=\"search\"><input type=\"hidden\" name=\"show\" value=\"{}\">\
         <input type=\"search\" name=\"name\" value=\"{}\" placeholder=\"Name of a site\" aria-label=\"Name of a site\">\
         <button>Find</button></form></div>\n",
        asked.link(false, 0),
        current(!asked.attention),
        view.sites.len(),
        asked.link(true, 0),
        current(asked.attention),
        if asked.attention { "attention" } else { "all" },
        Escaped(&asked.name),
    )?;
    if sites.is_empty() {
        let what = if view.sites.is_empty() { "No site is known yet." } else { "No site fits." };
        writeln!(text, "<p>{what}</p>")?;
    } else {
        write_table(text, view, sites, page)?;
    }
    if pages > 1 {
        write!(text, "<nav aria-label=\"Pages\">")?;
        if page > 0 {
            write!(text, "<a href=\"{}\" rel=\"prev\">Previous</a>", asked.link(asked.attention, page - 1))?;
        }
        write!(text, "<span>Page {} of {pages}</span>", page + 1)?;
        if page + 1 < pages {
            write!(text, "<a href=\"{}\" rel=\"next\">Next</a>", asked.link(asked.attention, page + 1))?;
        }
        writeln!(text, "</nav>")?;
    }
    write!(
        text,
        "<footer><p><b>To read</b>: positions of the changelog that a site has still to look through; most may be for \
         others. <b>Refused</b>: in quarantine, as a rule forbids it. <b>Other causes</b>: in quarantine, as it waits for another \
         record or cannot be read. <code>oms-sync quarantine list</code> shows each with its reason. <b>Failed sign-ins</b>: refused \
         under the name of the site, for a wrong password or another machine. <b>Another copy</b> of a site's database was refused in the \
         last seven days: somebody must find it and stop it, because its edits do not arrive. <b>Its release pushes nothing</b>: a known \
         fault of Open mSupply 3.0 and 3.1; the site's edits stay there until it is upgraded to 3.2 or later. Records that are ignored on \
         purpose, or superseded, are not counted.</p>\
         <p>Times are those of this server. <a href=\"{}\">Look again</a></p></footer>\n</main></body></html>\n",
        asked.link(asked.attention, page)
    )
}

fn write_summary(text: &mut String, view: &CentralView, integrations: &Integrations) -> std::fmt::Result {
    let seen = view.sites.iter().filter_map(|site| site.seen_at).filter(|at| view.at.since(*at) <= LATELY).count();
    let counted = view.quarantined.iter().filter(|(cause, _)| !cause.is_settled());
    let quarantined: u64 = counted.map(|(_, count)| count).sum();
    text.push_str("<dl>");
    let mut tile = |id: &str, what: &str, value: u64, alert: bool| {
        let (class, sign) = if alert { (" class=\"alert\"", "▲ ") } else { ("", "") };
        write!(text, "<div{class} id=\"{id}\"><dt>{sign}{what}</dt><dd>{}</dd></div>", grouped(value))
    };
    tile("sites-known", "sites", view.sites.len() as u64, false)?;
    tile("sites-seen", "seen in 15 minutes", seen as u64, false)?;
    tile("sites-waiting", "sites being integrated", integrations.waiting, false)?;
    tile("in-quarantine", "records in quarantine", quarantined, quarantined > 0)?;
    tile("newest", "newest position", view.newest.0, CentralAlarm::of_changelog(view.newest).is_some())?;
    text.push_str("</dl>\n");
    Ok(())
}

fn write_table(
    text: &mut String,
    view: &CentralView,
    sites: &[(SiteState, &SiteView)],
    page: usize,
) -> std::fmt::Result {
    let shown = &sites[page * SITES..sites.len().min((page + 1) * SITES)];
    write!(
        text,
        "<table id=\"sites\"><caption>{} of {} sites, those that need attention first</caption><thead><tr>",
        shown.len(),
        view.sites.len()
    )?;
    const HEADS: [&str; 10] = [
        "Site",
        "State",
        "Last seen",
        "Last pull",
        "Last push",
        "To read",
        "Refused",
        "Other causes",
        "Failed sign-ins",
        "Version",
    ];
    for head in HEADS {
        let class = if matches!(head, "To read" | "Refused" | "Other causes" | "Failed sign-ins") {
            " class=\"n\""
        } else {
            ""
        };
        write!(text, "<th scope=\"col\"{class}>{head}</th>")?;
    }
    writeln!(text, "</tr></thead><tbody>")?;
    for (state, site) in shown {
        let class = if state.needs_attention() { " class=\"alert\"" } else { "" };
        let name = if site.name.is_empty() { "(no name)" } else { &site.name };
        let (sign, words) = state.words();
        write!(
            text,
            "<tr{class} data-site=\"{0}\"><th scope=\"row\"><bdi>{1}</bdi> <small>no. {0}</small></th>\
             <td data-label=\"State\"><span><span class=\"state\"><span aria-hidden=\"true\">{sign}</span> {words}</span>",
            site.id,
            Escaped(name)
        )?;
        if site.is_removed {
            write!(text, " <small>the site was removed</small>")?;
        }
        if let Some(at) = state.began_at(site) {
            write!(text, " <small>{}</small>", Time(at, view.at))?;
        }
        write!(text, "</span></td>")?;
        for (label, at) in [("Last seen", site.seen_at), ("Last pull", site.pulled_at), ("Last push", site.pushed_at)] {
            match at {
                Some(at) => write!(text, "<td data-label=\"{label}\">{}</td>", Time(at, view.at))?,
                None => write!(text, "<td data-label=\"{label}\">never</td>")?,
            }
        }
        let behind = site.behind.map_or("all".to_owned(), grouped);
        write!(text, "<td class=\"n\" data-label=\"To read\">{behind}</td>")?;
        let failed = ("Failed sign-ins", site.failed_sign_ins, site.sign_in_failed_at);
        for (label, count, at) in [("Refused", site.refused, None), ("Other causes", site.quarantined, None), failed] {
            match count {
                0 => write!(text, "<td class=\"n zero\" data-label=\"{label}\">0</td>")?,
                _ => {
                    write!(text, "<td class=\"n\" data-label=\"{label}\"><span><b>{}</b>", grouped(count))?;
                    if let Some(at) = at {
                        write!(text, " <small>{}</small>", Time(at, view.at))?;
                    }
                    write!(text, "</span></td>")?;
                }
            }
        }
        let version = if site.app_version.is_empty() { "–" } else { &site.app_version };
        writeln!(text, "<td data-label=\"Version\">{}</td></tr>", Escaped(version))?;
    }
    writeln!(text, "</tbody></table>")
}

/// A time, shown as how long it was before the second one.
struct Time(Timestamp, Timestamp);

impl Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(at, now) = self;
        write!(f, "<time datetime=\"{at}\" title=\"{at}\">{}</time>", ago(now.since(*at)))
    }
}

/// A duration for people.
fn ago(passed: Duration) -> String {
    let seconds = passed.as_secs();
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A number with narrow spaces between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_site_says_is_read_as_html() {
        let said = "<script>alert('x')</script> & \"q\" \u{202e}\u{7}";
        let escaped = Escaped(said).to_string();
        assert_eq!(escaped, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot; \u{fffd}\u{fffd}");
    }

    #[test]
    fn what_is_asked_is_read_and_linked_alike() {
        for (query, attention, name, page) in [
            ("", false, "", 0),
            ("show=attention&page=3", true, "", 2),
            ("name=caf%C3%A9+%26+b&page=x", false, "café & b", 0),
            ("name=%zz%4&page=0&show=", false, "%zz%4", 0),
            ("page=99999999999999999999999", false, "", 0),
        ] {
            let asked = PageQuery::of(query);
            assert_eq!(asked, PageQuery { attention, name: name.to_owned(), page }, "{query}");
            let link = asked.link(asked.attention, asked.page).replace("&amp;", "&");
            assert_eq!(PageQuery::of(link.trim_start_matches("/?")), asked, "{link}");
        }
    }

    #[test]
    fn numbers_and_times_as_people_read_them() {
        assert_eq!(
            (grouped(0), grouped(999), grouped(1_234_567)),
            ("0".into(), "999".into(), "1\u{202f}234\u{202f}567".into())
        );
        for (seconds, text) in [(3, "just now"), (90, "1 min ago"), (7300, "2 h ago"), (900_000, "10 days ago")] {
            assert_eq!(ago(Duration::from_secs(seconds)), text);
        }
    }
}
