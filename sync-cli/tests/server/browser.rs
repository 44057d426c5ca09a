//! The status page in a real browser. Without one the tests say so and pass.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use sync_core::protocol::PasswordHash;

use crate::client::{PULL, ask, pull};
use crate::seeds::{self, HOSTILE};
use crate::support::{Desk, PASSWORD, Server};
use crate::webdriver::Browser;

/// A server with so many sites, and a browser that shows its page.
fn page(sites: usize) -> Option<(Desk, Server, Browser)> {
    let browser = Browser::start()?;
    let desk = Desk::new();
    seeds::plant(&desk, sites);
    let server = desk.serve("central.sqlite");
    browser.resize(1280);
    browser.open(&server.address);
    Some((desk, server, browser))
}

/// Waits for something that comes in a moment, on a slow day in a minute.
#[track_caller]
fn until(what: &str, comes: impl Fn() -> bool) {
    for _ in 0..600 {
        if comes() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} does not come");
}

/// The row of a site: name, state, seen, pulled, pushed, to read, refused, set aside, version.
#[track_caller]
fn row(browser: &Browser, site: u32) -> Vec<String> {
    browser.texts(&format!("tr[data-site='{site}'] > *"))
}

#[test]
fn every_site_is_shown_as_it_stands_and_the_bar_marks_a_central_server() {
    let Some((desk, server, browser)) = page(8) else { return };
    // Nothing can be integrated while another program writes, so the page shows it as waiting.
    let other = Connection::open(desk.path("central.sqlite")).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE; INSERT OR IGNORE INTO sync_integration VALUES (6, '2026-11-23T08:00:00.000Z'); COMMIT; BEGIN IMMEDIATE")
        .expect("nobody else writes for long");
    let waiting = || browser.texts("#sites-waiting dd") == ["1"];
    // The page may be two seconds old.
    until("the integration", || {
        browser.open(&server.address);
        waiting() && row(&browser, 6)[1].contains("integrating")
    });
    assert_eq!(browser.texts("header h1"), ["Open mSupply central server"]);
    let bar = browser.run("const e = document.querySelector('header'), b = e.getBoundingClientRect(); return [b.top, b.left, b.width, innerWidth, getComputedStyle(e).backgroundColor]");
    assert_eq!((&bar[0], &bar[1], &bar[2]), (&0.into(), &0.into(), &bar[3]), "it goes over the whole top");
    assert_eq!(bar[4], "rgb(11, 79, 163)");

    for (site, expected) in [
        (
            2,
            [
                "Amana district store no. 2",
                "✓ up to date",
                "just now",
                "just now",
                "3 min ago",
                "0",
                "0",
                "0",
                "0",
                "2.19.0",
            ],
        ),
        (
            3,
            [
                "Banadir hospital no. 3",
                "↓ has more to read",
                "4 min ago",
                "4 min ago",
                "4 min ago",
                "1 250",
                "0",
                "0",
                "0",
                "2.19.0",
            ],
        ),
        (
            4,
            [
                "Central medical warehouse no. 4",
                "▲ records in quarantine",
                "1 min ago",
                "1 min ago",
                "2 min ago",
                "0",
                "12",
                "1",
                "0",
                "2.19.0",
            ],
        ),
        (
            5,
            [
                "Daru clinic no. 5",
                "◆ silent for a day",
                "12 days ago",
                "12 days ago",
                "13 days ago",
                "1 500",
                "0",
                "0",
                "0",
                "2.19.0",
            ],
        ),
        (
            7,
            [
                "Fresh clinic that never came no. 7",
                "○ never seen",
                "never",
                "never",
                "never",
                "all",
                "0",
                "0",
                "0",
                "–",
            ],
        ),
    ] {
        let shown: Vec<String> = row(&browser, site).iter().map(|text| text.replace('\u{202f}', " ")).collect();
        // A minute may pass on a slow day; everything independent of the time must be so.
        let same = |i: usize| {
            shown[i] == expected[i]
                || (expected[i].ends_with("ago") || expected[i] == "just now") && shown[i].ends_with("ago")
        };
        assert!(shown.len() == 10 && (0..10).all(same), "{shown:?} is not {expected:?}");
    }
    assert!(row(&browser, 6)[1].ends_with("integrating"));
    let order = browser.texts("#sites tbody th small");
    assert_eq!(order, ["no. 8", "no. 4", "no. 5", "no. 6", "no. 7", "no. 3", "no. 2", "no. 9"], "the worst first");
    assert_eq!(browser.texts("#in-quarantine dd"), ["14"]);
    drop(other);
    server.stop().ends(0);
}

#[test]
fn what_a_site_calls_itself_is_text_and_no_secret_is_shown() {
    let Some((desk, _server, browser)) = page(8) else { return };
    assert_eq!(row(&browser, 8)[0], format!("{HOSTILE} no. 8"));
    let found = browser.run(
        "return [document.title, document.scripts.length, document.images.length, document.documentElement.outerHTML]",
    );
    assert_eq!((&found[0], &found[1], &found[2]), (&"Open mSupply central server".into(), &0.into(), &0.into()));
    let html = found[3].as_str().expect("the page");
    let secret: String = Connection::open(desk.path("central.sqlite"))
        .and_then(|db| db.query_row("SELECT secret FROM sync_site", (), |row| row.get(0)))
        .expect("a secret");
    for word in [PASSWORD, PasswordHash::of_password(PASSWORD).expose(), &secret, "argon2", "uuid of"] {
        assert!(!html.contains(word), "{word}");
    }
    // The same if a name comes back from the address.
    browser.type_into("input[type=search]", HOSTILE);
    browser.click("form button");
    until("the one site", || browser.texts("#sites tbody th small") == ["no. 8"]);
    assert_eq!(
        browser.run("return [document.querySelector('input[type=search]').value, document.title]"),
        serde_json::json!([HOSTILE, "Open mSupply central server"])
    );
}

#[test]
fn sites_are_found_and_paged_without_a_script() {
    let Some((_desk, server, browser)) = page(250) else { return };
    let count = || browser.texts("#sites tbody tr").len();
    // A click returns before the next page is there.
    let comes = |what: &str, rows: usize, page: &str| {
        let there = || count() == rows && browser.texts("nav[aria-label=Pages] span").concat() == page;
        until(what, there);
    };
    assert_eq!(browser.run("return document.scripts.length"), 0);
    assert_eq!(count(), 100);
    browser.follow("Next");
    comes("the second page", 100, "Page 2 of 3");
    browser.follow("Next");
    comes("the third page", 50, "Page 3 of 3");
    assert_eq!(browser.texts("a[rel=next]").len(), 0);
    browser.follow("Previous");
    comes("the second page", 100, "Page 2 of 3");
    browser.follow("Need attention");
    comes("those that need attention", 3, "");
    assert_eq!(browser.texts("[aria-current=page]"), ["Need attention (3)"]);
    browser.follow("All sites");
    comes("all", 100, "Page 1 of 3");
    browser.type_into("input[type=search]", "site 0020");
    browser.click("form button");
    comes("those of that name", 10, "");
    browser.open(&format!("{}/?name=nobody&page=77", server.address));
    assert_eq!((count(), browser.texts("main > p")), (0, vec!["No site fits.".to_owned()]));
}

/// The pictures of `docs/central.md`: `UPDATE_DOCS=1` takes them anew. The text beside them says which columns they show.
#[test]
fn the_pictures_in_the_description_show_the_columns_of_today() {
    let Some(browser) = Browser::start() else { return };
    let desk = Desk::new();
    seeds::plant_for_pictures(&desk);
    let server = desk.serve("central.sqlite");
    for site in ["Daru clinic", "Daru clinic", "Banadir hospital"] {
        let wrong = pull().replace(PasswordHash::of_password(PASSWORD).expose(), "wrong");
        let wrong = wrong.replace("\"clinic\"", &format!("\"{site}\""));
        assert_eq!(ask(&server.address, "POST", PULL, &[], wrong.as_bytes()).status, 200);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    let heads = || browser.texts("#sites thead th").join("\n") + "\n";
    // The page may be two seconds old.
    let shows = || {
        browser.open(&server.address);
        row(&browser, 5)[8] == "2 just now"
    };
    browser.resize(1280);
    until("the failed sign-ins", shows);
    let of_today = heads();
    for (width, name) in [(1280, "status-page.png"), (360, "status-page-phone.png")] {
        browser.resize(width);
        browser.open(&server.address);
        let picture = browser.picture();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{width}: {} bytes", picture.len());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(folder.join(name), picture).expect("written");
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(folder.join("status-page.txt"), &of_today).expect("written");
    }
    let shown = std::fs::read_to_string(folder.join("status-page.txt")).expect("the columns of the pictures");
    assert_eq!(shown, of_today, "take the pictures again: just pictures");
    let narrow = "return Math.min(...[...document.querySelectorAll('tbody th')].map(e => e.clientWidth))";
    browser.resize(1280);
    browser.open(&server.address);
    let narrow = browser.run(narrow).as_u64().expect("a width");
    assert!(narrow >= 200, "a name has room on a desktop: {narrow} px");
    server.stop().ends(0);
}

/// The contrast of each text with what is behind it, lowest first.
const CONTRASTS: &str = "
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
    const all = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
        && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
    return all.map(e => { const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)]; }).sort((x, y) => x[0] - y[0]);";

#[test]
fn it_can_be_read_on_a_phone_in_the_dark_and_without_colours() {
    let Some((_desk, server, browser)) = page(8) else { return };
    let mut backgrounds = Vec::new();
    for (width, scheme) in
        [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark"), (320, "light"), (800, "light")]
    {
        browser.resize(width);
        browser.wish_for(scheme);
        browser.open(&server.address);
        let what = format!("{width} px, {scheme}");
        let wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert!(wide[0].as_u64() <= wide[1].as_u64() && wide[1] == width, "{what}: it must be moved sideways: {wide}");
        let lost = browser.run("return [...document.querySelectorAll('td, th, dd, dt, h1')].filter(e => e.checkVisibility()
            && (e.getBoundingClientRect().right > innerWidth + 1 || e.scrollWidth > e.clientWidth + 1)).map(e => e.outerHTML)");
        let lost: Vec<Value> = serde_json::from_value(lost).expect("a list");
        assert!(
            lost.iter().all(|html| html.as_str().is_some_and(|html| html.contains("scope=\"col\""))),
            "{what}: {lost:?}"
        );
        let contrasts = browser.run(CONTRASTS);
        let lowest = contrasts[0][0].as_f64().expect("a number");
        assert!(contrasts.as_array().is_some_and(|all| all.len() > 50) && lowest >= 4.5, "{what}: {}", contrasts[0]);
        backgrounds.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
        // Each state has its own words, so colour is not needed.
        let mut states = browser.texts(".state");
        states.sort();
        states.dedup();
        assert!(states.len() >= 5, "{what}: {states:?}");
    }
    assert_eq!(backgrounds[0], backgrounds[2], "the same for the same wish");
    assert_ne!(backgrounds[0], backgrounds[1], "dark is dark");
    browser.resize(360);
    browser.open(&server.address);
    let labels = browser.run("return [...document.querySelectorAll('tr[data-site=\"4\"] td')].filter(e => e.checkVisibility()).map(e => getComputedStyle(e, '::before').content)");
    assert_eq!(labels.as_array().map(Vec::len), Some(8), "each value has its name beside it: {labels}");
    server.stop().ends(0);
}
