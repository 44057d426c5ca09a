//! Bodies of uploads. An input is the body, with the boundary of the captured uploads.

use std::io::Read;
use std::sync::Arc;

use sync_core::Replica;
use sync_core::files::FileStore;
use sync_core::protocol::v6::{Answer, WireError, decode_answer};
use sync_core::record::RecordId;

use super::promises::{assert_refusal, assert_text};
use super::small_world::{B, SmallWorld};
use crate::capture::captures;
use crate::world::{asset, data};

const CONTENT_TYPE: &str = "multipart/form-data; boundary=boundary0815";
/// The file of the captured upload, and the hash of its bytes.
const ID: &str = "ae7c262d-a58b-481b-b9f6-8c015b59fba1";
const HASH: &str = "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73";
const BYTES: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// Gives a few bytes at a time.
struct Slow<'b>(&'b [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let bodies = captures(&["v6"]).into_iter().filter(|capture| capture.stem().starts_with("upload-"));
    let mut seeds: Vec<Vec<u8>> = bodies.map(|capture| capture.request.as_str().as_bytes().to_vec()).collect();
    let good = String::from_utf8_lossy(&good()).into_owned();
    let parts: Vec<&str> = good.split("--boundary0815").collect();
    // The parts the other way round, twice, and one of them alone.
    for order in [[0, 2, 1, 3].as_slice(), &[0, 1, 2, 2, 3], &[0, 1, 1, 2, 3], &[0, 1, 3], &[0, 2, 3], &[0, 3]] {
        let body: Vec<&str> = order.iter().map(|part| parts[*part]).collect();
        seeds.push(body.join("--boundary0815").into_bytes());
    }
    seeds
}

fn good() -> Vec<u8> {
    let capture = captures(&["v6"]).into_iter().find(|capture| capture.stem() == "upload-ok").expect("an exchange");
    capture.request.as_str().as_bytes().to_vec()
}

pub(super) fn run(input: &[u8]) {
    let world = SmallWorld::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let replica = Replica::builder().clock(world.clock.clone()).with_storage(world.storage.clone());
    let files = replica.files(folder.path());
    let central = replica.stand_alone_central();
    let central = Arc::new(central.with_files(FileStore::new(folder.path())));
    let reference = format!(
        r#"{{"id":"{ID}","table_name":"asset","record_id":"x3","file_name":"n","total_bytes":26,"created_datetime":"2025-02-11T08:41:55","sha256":"{HASH}"}}"#
    );
    world.records.put("asset", [asset("x3", B.2, "")]).expect("an asset of the site");
    world.records.put("sync_file_reference", [data(&reference)]).expect("a reference");
    let mut body = Slow(input, 1 + input.len() % 97);
    let response = central.upload_file(Some(CONTENT_TYPE), &mut body, None).response;
    let said = String::from_utf8(response.body).expect("UTF-8");
    let kept = files.path(&RecordId::from(ID)).expect("a folder").map(|path| std::fs::read(path).expect("a file"));
    let taken = match response.status {
        200 => match decode_answer(said.as_bytes()) {
            Ok(Answer::Data(_)) => true,
            Ok(Answer::Error(WireError::OtherServerError(text))) => {
                assert_text(&text);
                false
            }
            Ok(Answer::Error(_)) => false,
            other => panic!("{said}: {other:?}"),
        },
        status => {
            assert_refusal(status, &said);
            false
        }
    };
    // An acknowledged file is complete and here; nothing is left of any other.
    assert_eq!(kept.as_deref(), taken.then_some(BYTES), "{said}");
    let found = files.verify(|| Ok(())).expect("a folder");
    assert_eq!((found.sound, found.findings.len()), (u64::from(taken), 0), "{found:?}");
    let unfinished = std::fs::read_dir(folder.path().join("unfinished")).map_or(0, Iterator::count);
    assert_eq!(unfinished, 0, "{said}");
    let response = central.upload_file(Some(CONTENT_TYPE), &mut good().as_slice(), None).response;
    assert_eq!(response.body, br#"{"data":null}"#, "a good upload is taken afterwards");
}
