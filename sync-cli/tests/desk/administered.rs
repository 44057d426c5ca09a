//! What an administrator gets told about the list of sites, and about a backup of another database.

use super::support::Desk;

/// A desk with commands for its central server.
struct Office(Desk);

impl Office {
    fn new(sites: &[&str]) -> Self {
        let office = Self(Desk::new());
        for site in sites {
            office.run(&["site", "add", site, "--password-file", "pw"], 0);
        }
        office
    }

    fn run(&self, args: &[&str], status: i32) -> super::Said {
        self.0.run(&[&["--db", "central.sqlite"], args].concat()).ends(status)
    }

    fn store(&self, name: &str, code: &str, site: &str, id: &str) {
        self.run(&["store", "add", name, "--code", code, "--site", site, "--id", id], 0);
    }

    /// Imports a table; with `more` arguments.
    fn import(&self, table: &str, status: i32) -> super::Said {
        std::fs::write(self.0.path("sites.csv"), table).expect("a table");
        self.run(&["site", "import", "sites.csv", "--passwords", "passwords.csv"], status)
    }

    /// The site of each store, by the store's id.
    fn sites_of_stores(&self) -> Vec<(String, String)> {
        let stores = self.run(&["store", "list", "--json"], 0).json_lines();
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let mut all: Vec<_> =
            stores.iter().map(|store| (text(&store["store_id"]), text(&store["site_name"]))).collect();
        all.sort();
        all
    }
}

/// The words of a message, wherever its lines were folded.
fn words(said: &super::Said) -> String {
    format!("{} {}", said.out, said.err).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_code_that_two_stores_have_is_not_guessed_by_an_import() {
    let office = Office::new(&["old", "new", "other"]);
    office.store("New", "NEW", "new", "N1");
    office.store("Newer", "NEW", "other", "N2");
    let before = office.sites_of_stores();
    let refused = words(&office.import("site,store_code,store_name\nfresh,F,Fresh\nold,NEW,New\n", 2));
    for part in
        ["sites.csv, line 3", "NEW is ambiguous", "N1 \"New\" of site \"new\"", "N2 \"Newer\" of site \"other\""]
    {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert_eq!(office.sites_of_stores(), before, "nothing moved");
    assert_eq!(office.run(&["site", "list", "--json"], 0).json_lines().len(), 3, "nor was a site added");
    assert!(!office.0.path("passwords.csv").exists());
    // One of the two is where the line wants it.
    office.import("site,store_code,store_name\nother,NEW,Newer\n", 0);
    assert_eq!(office.sites_of_stores(), before);
}

#[test]
fn an_import_names_each_store_that_it_adds_or_moves_and_the_names_that_it_does_not_change() {
    let office = Office::new(&["north", "south"]);
    office.store("Ward", "W", "north", "WARD");
    let said = words(&office.import("site,store_code,store_name\nsouth,W,Ward\neast,E,East\nnorth,,\n", 0));
    for part in [
        "store WARD \"Ward\" (W) moved from site \"north\" to site \"south\"",
        "\"East\" (E) is active on site \"east\"",
        "New sites: 1. New or moved stores: 2.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = words(&office.import("site,store_code,store_name\nsouth,W,Ward 2\n", 0));
    assert!(said.contains("store WARD keeps its name \"Ward\"") && said.contains("\"Ward 2\""), "{said}");
    std::fs::write(office.0.path("sites.csv"), "site,store_code,store_name\nnorth,W,\n").expect("a table");
    let document = office.run(&["site", "import", "sites.csv", "--passwords", "p.csv", "--json"], 0).json();
    let expected = serde_json::json!([{
        "change": "moved", "store_id": "WARD", "code": "W", "name": "Ward", "from_site": "south", "to_site": "north"
    }]);
    assert_eq!(document["stores"], expected, "{document}");
}

#[test]
fn a_table_that_is_none_is_refused_in_plain_words() {
    let office = Office::new(&["north"]);
    for (table, expected) in [
        ("", "sites.csv: the first line must name the columns; the column site is missing"),
        ("\n\n", "the column site is missing"),
        ("Site,store_code\nnorth,N\n", "line 1: the column site is missing; the columns are Site, store_code"),
        ("name\nnorth\n", "line 1: the column site is missing; the columns are name"),
        (
            "site,store_code,store_name\nnorth,N\n",
            "sites.csv, line 2: the line has 2 columns, and the first line has 3",
        ),
    ] {
        let said = words(&office.import(table, 2));
        assert!(said.contains(expected), "{table:?}: {said}");
        assert!(!said.contains("CSV") && !said.contains("byte:"), "{said}");
    }
    std::fs::write(office.0.path("sites.csv"), "site,password\nnorth,x\n").expect("a table");
    let same = words(&office.run(&["site", "import", "sites.csv", "--passwords", "./sites.csv"], 2));
    assert!(same.contains("./sites.csv is the table itself"), "{same}");
    std::fs::write(office.0.path("sites.csv"), "site\nwest\n").expect("a table");
    std::fs::write(office.0.path("no.csv"), "site\nwest\n").expect("a table");
    let none = words(&office.run(&["site", "import", "sites.csv", "--passwords", "no.csv"], 2));
    assert!(none.contains("no.csv, line 1: the column password is missing"), "{none}");
}

#[test]
fn an_unknown_name_is_followed_by_the_one_that_was_meant() {
    let office = Office::new(&["north"]);
    for (args, meant) in [
        (&["site", "reset-hardware", "nort"][..], Some("there is no site \"nort\"; did you mean north?")),
        (&["site", "remove", "North"], Some("did you mean north?")),
        (&["site", "remove", "elsewhere"], None),
        (&["errors", "sync_pauset"], Some("there is no error code \"sync_pauset\"; did you mean sync_paused?")),
        (&["errors", "[Sync-Paused]"], Some("did you mean sync_paused?")),
        (&["errors", "no_such_thing_at_all"], None),
        (&["man", "docter"], Some("did you mean doctor?")),
        (&["man", "site", "lst"], Some("did you mean list?")),
    ] {
        let said = office.run(args, 2).err;
        match meant {
            Some(meant) => assert!(said.contains(meant), "{args:?}: {said}"),
            None => assert!(said.contains("there is no") && !said.contains("did you mean"), "{args:?}: {said}"),
        }
    }
}

#[test]
fn a_site_with_stores_is_not_removed_and_the_error_names_them_and_the_way() {
    let office = Office::new(&["north", "south"]);
    office.store("Ward 2", "W2", "north", "WARD");
    let one = words(&office.run(&["site", "remove", "north"], 2));
    assert!(one.contains(r#"1 store is still active on site "north": WARD "Ward 2" (W2)"#), "{one}");
    for number in 3..9 {
        office.store(&format!("Ward {number}"), &format!("W{number}"), "north", &format!("WARD{number}"));
    }
    let many = words(&office.run(&["site", "remove", "north"], 2));
    let named = many.contains(r#"7 stores are still active on site "north": WARD "Ward 2" (W2), WARD3"#);
    assert!(named && many.contains("(W6), …") && !many.contains("W7"), "{many}");
    for said in [one, many] {
        assert!(said.contains("with --move-stores-to SITE"), "{said}");
    }
    office.run(&["site", "remove", "north", "--move-stores-to", "south"], 0);
}

#[test]
fn an_alarm_of_refused_sign_ins_says_what_to_run() {
    let office = Office::new(&["north"]);
    let server = office.0.serve("central.sqlite");
    let from = ["--site", "north", "--password-file", "wrong", "--hardware-id", super::HARDWARE_ID];
    office.0.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(3);
    server.stop().ends(0);
    let said = words(&office.run(&["doctor"], 0));
    for part in
        ["site set-password NAME`, and `oms-sync --db central.sqlite init` at the device", "site reset-hardware NAME"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("/status.json and the metrics show their codes"), "{said}");
}

#[test]
fn the_list_of_silent_sites_says_that_it_is_one() {
    let office = Office::new(&[]);
    office.run(&["site", "add", "north", "--password-file", "pw"], 0);
    let server = office.0.serve("central.sqlite");
    let from = ["--site", "north", "--password-file", "pw", "--hardware-id", super::HARDWARE_ID];
    office.0.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(0);
    office.0.run(&["sync", "-q"]).ends(0);
    server.stop().ends(0);
    let said = office.run(&["site", "list", "--max-age", "2d"], 0);
    assert!(said.out.contains("No site is silent for longer than 2 d"), "{said:?}");
    std::fs::write(office.0.path("oms-sync.toml"), "[site.list]\nmax-age = \"2d\"\n").expect("settings");
    let said = office.run(&["site", "list"], 0);
    assert!(said.out.contains("No site is silent for longer than 2 d"), "{said:?}");
    std::fs::remove_file(office.0.path("oms-sync.toml")).expect("removed");
    office.run(&["site", "add", "silent", "--password-file", "pw"], 0);
    std::fs::write(office.0.path("oms-sync.toml"), "[site.list]\nmax-age = \"2d\"\n").expect("settings");
    let said = office.run(&["site", "list"], 1);
    assert!(said.out.contains("silent") && !said.out.contains("north"), "{said:?}");
    let quiet = office.run(&["site", "list", "-q"], 1);
    let told = "Sites that came before and are silent for longer than 2 d: 0; sites that never came: 1.";
    assert_eq!(words(&quiet).matches(told).count(), 1, "{quiet:?}");
    // Those that came before stand above those that never came, whatever their numbers.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let order = office.run(&["site", "add", "later", "--password-file", "pw"], 0);
    let listed = office.run(&["site", "list", "--max-age", "1s"], 1);
    let at = |name: &str| listed.out.find(name).unwrap_or_else(|| panic!("{name}: {listed:?}"));
    assert!(at("north") < at("silent") && at("silent") < at("later"), "{order:?} {listed:?}");
    assert!(words(&listed).contains("longer than 1 s: 1; sites that never came: 2."), "{listed:?}");
    assert!(said.err.contains("Only sites that are silent for longer than 2 d are listed"), "{said:?}");
    assert!(words(&said).contains("1 of them never came: it was added and never set up"), "{said:?}");
}

#[test]
fn the_log_shows_a_command_whole_where_there_is_room() {
    let office = Office::new(&["north"]);
    office.store("A ward with a rather long name", "W", "north", "WARD");
    let whole = "store add \"A ward with a rather long name\" --code W --site north --id WARD";
    for env in [&[][..], &[("COLUMNS", "200")]] {
        let said = office.0.run_with(env, &["--db", "central.sqlite", "log", "list"]).ends(0);
        assert!(said.out.contains(whole), "{env:?}: {said:?}");
    }
    let narrow = office.0.run_with(&[("COLUMNS", "80")], &["--db", "central.sqlite", "log", "list"]).ends(0);
    super::fits(&narrow);
    assert!(narrow.out.contains("--site"), "folded, not cut: {narrow:?}");
}

#[test]
fn a_variable_that_cannot_be_used_is_named_and_not_the_file_of_settings() {
    let office = Office::new(&["north"]);
    let list = ["--db", "central.sqlite", "site", "list"];
    for settings in [None, Some("[serve]\npatience = \"20s\"\n")] {
        if let Some(settings) = settings {
            std::fs::write(office.0.path("oms-sync.toml"), settings).expect("settings");
        }
        let said = office.0.run_with(&[("OMS_SYNC_WITHOUT_HOOK", "maybe")], &list).ends(2);
        assert!(said.err.contains("OMS_SYNC_WITHOUT_HOOK") && !said.err.contains("oms-sync.toml"), "{said:?}");
    }
    // A wrong setting is still the file's.
    std::fs::write(office.0.path("oms-sync.toml"), "[site.list]\nmax-age = \"maybe\"\n").expect("settings");
    let said = office.0.run(&list).ends(2);
    assert!(said.err.contains("oms-sync.toml"), "{said:?}");
}
