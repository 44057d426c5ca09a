//! The generated page of the record types.

use std::path::Path;

use sync_tests::record_types_page::record_types_page;

#[test]
fn the_page_is_what_the_declarations_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/record-types.md");
    let page = record_types_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("a writable page");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).position(|(old, new)| old != new);
    assert!(
        written == page,
        "docs/record-types.md is out of date (first difference in line {}); renew it with: \
         UPDATE_DOCS=1 cargo test -p sync-tests page",
        differs.unwrap_or(written.lines().count().min(page.lines().count())) + 1
    );
}
