//! Names and ids from a peer: whatever they are, no byte leaves the folder.

use std::path::Path;

use sync_core::files::safe_file_name;
use sync_core::record::RecordId;

use super::{FileBench, content, reference};

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files_below(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

#[test]
fn no_name_and_no_id_leads_out_of_the_folder() {
    let bench = FileBench::new();
    let long = "n".repeat(200);
    let ids = ["../../escaped", "/tmp/escaped", "..", "NUL", "con", "CON", "a\u{1}b", "é", "a/b", r"a\b", &long];
    let names =
        ["../../../etc/passwd", "NUL", "a\u{1}\r\n\"b", &"x".repeat(5000), "", "..", "C:\\x", "é", "/abs", ".", "a:b"];
    for (id, name) in ids.into_iter().zip(names) {
        reference(&bench.bench.central.records, id, name, r#","total_bytes":20"#);
        let path = bench.of_central.store().path(&RecordId::from(id));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content(20)).unwrap();
    }
    bench.bench.sync_well();
    assert_eq!(bench.turn_well().downloaded, ids.len() as u64);
    let folder = bench.files.store().folder();
    for id in ids {
        let path = bench.files.path(&id.into()).unwrap().expect("it is here");
        let name = path.strip_prefix(folder).expect("in the folder").to_str().expect("text").to_owned();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-/".contains(c)), "{name}");
        assert_eq!(std::fs::read(path).unwrap(), content(20));
    }
    // One more: the lock.
    assert_eq!(files_below(folder).len(), ids.len() + 1);
    let beside: Vec<_> = files_below(bench.bench.folder.path());
    assert!(beside.iter().all(|path| !path.to_string_lossy().contains("escaped")), "{beside:?}");
    for info in bench.files.list(None, 99).unwrap() {
        assert_eq!(info.name, safe_file_name(&info.name));
        assert!(!info.name.is_empty() && !info.name.contains(['/', '\\', '\0']), "{}", info.name);
    }
}

/// A name goes into a header of the upload and into central's answer: it ends neither.
#[test]
fn a_name_ends_no_header() {
    let bench = FileBench::new();
    let id = bench.attach(&content(9));
    let json = bench.bench.records.get("sync_file_reference", &id).unwrap().unwrap();
    let evil = json.as_str().replace("photo.jpg", r#"a\"\r\n\r\nX-Evil: 1\r\n; name=\"json_part"#);
    bench.bench.records.put("sync_file_reference", [sync_tests::world::data(&evil)]).unwrap();
    bench.bench.sync_well();
    assert_eq!(bench.turn_well().uploaded, 1);
    assert_eq!(bench.at_central(&id), Some(content(9)));
    std::fs::remove_file(bench.files.store().path(&id)).unwrap();
    bench.files.verify(|| Ok(())).unwrap();
    assert_eq!(bench.turn_well().downloaded, 1);
    assert_eq!(bench.here(&id), Some(content(9)));
}
