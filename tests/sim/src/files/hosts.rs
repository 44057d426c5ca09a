//! Who attaches files, who changes them behind the program's back, and the other program that says no hash.

use std::fs;
use std::io::Write as _;

use serde_json::json;
use sync_core::files::{Attach, FileStore};
use sync_core::record::RecordData;
use sync_core::storage::FileState;
use sync_core::{Error, Replica};

use super::book::{BookedFile, content};
use super::{FilesHalf, all_in, files};
use crate::lock;
use crate::promises::Promise;
use crate::rules::{fields, text};
use crate::run::{Chance, Sim};

const REFERENCES: &str = "sync_file_reference";

/// How long files are: around the sizes at which something else begins, and the last too long for some servers.
const LENGTHS: [usize; 12] = [0, 0, 1, 2, 65, 999, 4095, 4096, 4097, 9000, 19_000, 140_000];

impl Sim {
    /// Somebody attaches a file to an asset of an end.
    pub(crate) fn some_attachment(&self, half: &FilesHalf, end: usize) {
        if self.ends[end].is_down() || (end > 0 && !self.is_set_up(end)) {
            return;
        }
        if end == 0 && self.happens(Chance::Files, half.swarm.foreign) {
            return self.other_program(half);
        }
        let Some(asset) = self.some_asset(end) else { return };
        let (number, id, length) = self.some_file(half, end);
        let bytes = content(self.seed, number, length);
        let booked = BookedFile {
            record: ("asset".to_owned(), asset.clone()),
            versions: vec![bytes.clone()],
            is_foreign: false,
        };
        lock(&half.book).files.insert(id.clone(), booked);
        let process = self.ends[end].process();
        let failed = process.faulty.failed();
        let name = format!("../photo {number}.jpg");
        let attach = Attach::new("asset", &asset, &name);
        let done = files(self, half, end, true).attach_as(&id.as_str().into(), &attach, &mut bytes.as_slice());
        half.stamp(self, end);
        self.note(|| {
            let (name, done) = (&self.ends[end].name, done.as_ref().map_err(Error::code));
            format!("{name} attaches {id}, {length} bytes, to {asset} -> {done:?}")
        });
        self.notice_crash(end);
        match done {
            Ok(()) => {
                self.reference_written(end, &id, None);
                if end == 0 {
                    lock(&half.book).taken.insert(id);
                }
            }
            Err(_) if process.faulty.failed() > failed => {}
            // The asset has left the site's stores.
            Err(Error::NotAllowed { .. }) if end > 0 && !self.has_for_its_own(end, &asset) => {
                lock(&half.book).files.remove(&id);
            }
            Err(error) => {
                let what = format!("{} cannot attach {id}: {error}", self.ends[end].name);
                self.violate(Promise::ErrorsAreSaid, what);
            }
        }
    }

    /// Whether an end holds an asset as one of its own stores, or of none.
    fn has_for_its_own(&self, end: usize, asset: &str) -> bool {
        let own = self.own_stores(end);
        let raw = self.ends[end].process().raw;
        let data = raw.read().and_then(|txn| txn.record(&"asset".into(), &asset.into())).expect("a readable record");
        let store = data.and_then(|data| text(&fields(data.as_str()), "store_id"));
        store.is_none_or(|store| own.contains(&store))
    }

    fn some_asset(&self, end: usize) -> Option<String> {
        let txn = self.ends[end].process().raw;
        let txn = txn.read().ok()?;
        let mut assets = txn.records(&"asset".into(), None, 100).expect("readable records");
        (!assets.is_empty()).then(|| assets.swap_remove(self.roll(Chance::Files, assets.len())).0.to_string())
    }

    /// The number, the id and the length of a new file. Ids are of the kind that this program gives out, or of another one.
    fn some_file(&self, half: &FilesHalf, end: usize) -> (usize, String, usize) {
        let number = {
            let mut book = lock(&half.book);
            book.made += 1;
            book.made
        };
        let id = match self.roll(Chance::Files, 4) {
            0 => format!("FILE-{end}-{number}/.."),
            _ => format!("0193a0c4-0000-7000-8000-{end:04x}{number:08x}"),
        };
        (number, id, LENGTHS[self.roll(Chance::Files, LENGTHS.len())])
    }

    /// Tells the judge of a reference that was written at an end.
    fn reference_written(&self, end: usize, id: &str, held: Option<&str>) {
        let key = (REFERENCES.to_owned(), id.to_owned());
        let raw = self.ends[end].process().raw;
        let now = raw.read().and_then(|txn| txn.record(&REFERENCES.into(), &id.into())).expect("a readable record");
        lock(&self.ledger).wrote(end, key, held, now.map(|data| data.as_str().to_owned()));
        lock(&self.state).written.insert((REFERENCES, end == 0));
    }

    /// At central, another program writes a reference that says no hash, with its bytes or without; or it puts other bytes
    /// of the same length in the place of some.
    fn other_program(&self, half: &FilesHalf) {
        let known = Self::replaceable(half);
        if !known.is_empty() && self.happens(Chance::Files, 500) {
            let id = &known[self.roll(Chance::Files, known.len())];
            let (number, _, _) = self.some_file(half, 0);
            let length = lock(&half.book).files[id].versions[0].len();
            return self.put_bytes(half, id, content(self.seed, number, length));
        }
        let Some(asset) = self.some_asset(0) else { return };
        let (number, id, length) = self.some_file(half, 0);
        let process = self.ends[0].process();
        let reference = json!({
            "id": id, "table_name": "asset", "record_id": asset, "file_name": format!("photo {number}.jpg"),
            "mime_type": null, "total_bytes": length, "created_datetime": "2026-01-01T00:00:00",
            "deleted_datetime": null,
        });
        let records = Replica::builder().clock(self.ends[0].clock.clone()).with_storage(process.faulty).records();
        let done = records.put(REFERENCES, [RecordData::of(&reference)]).is_ok();
        self.note(|| format!("another program at central refers to {id}, {length} bytes, of {asset}: {done}"));
        self.notice_crash(0);
        if !done {
            return;
        }
        let booked = BookedFile { record: ("asset".to_owned(), asset), versions: Vec::new(), is_foreign: true };
        lock(&half.book).files.insert(id.clone(), booked);
        self.reference_written(0, &id, None);
        if !self.happens(Chance::Files, 300) {
            self.put_bytes(half, &id, content(self.seed, number, length));
        }
    }

    /// The files of the other program in whose place it may put others.
    fn replaceable(half: &FilesHalf) -> Vec<String> {
        let book = lock(&half.book);
        let may = |file: &BookedFile| file.is_foreign && file.versions.last().is_some_and(|version| version.len() > 8);
        book.files.iter().filter(|(_, file)| may(file)).map(|(id, _)| id.clone()).collect()
    }

    /// The other program puts other bytes in the place of a file of which some site has the beginning.
    pub(crate) fn replace_begun(&self, half: &FilesHalf) {
        let has_part = |id: &String| {
            let name = half.name_of(id);
            (1..self.ends.len()).any(|site| half.folder(site).join("unfinished").join(format!("{name}.part")).exists())
        };
        let Some(id) = Self::replaceable(half).into_iter().find(has_part) else { return };
        let (number, _, _) = self.some_file(half, 0);
        let length = lock(&half.book).files[&id].versions[0].len();
        self.put_bytes(half, &id, content(self.seed, number, length));
    }

    fn put_bytes(&self, half: &FilesHalf, id: &str, bytes: Vec<u8>) {
        self.note(|| format!("another program at central puts the bytes of {id} there"));
        let path = FileStore::new(half.folder(0)).path(&id.into());
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let beside = path.with_extension("of another program");
        fs::write(&beside, &bytes).expect("a file");
        fs::rename(&beside, &path).expect("a name");
        half.stamp(self, 0);
        let mut book = lock(&half.book);
        book.files.get_mut(id).expect("a file of the book").versions.push(bytes);
        book.taken.insert(id.to_owned());
    }

    /// Somebody removes or changes a file in the folder of a site: a whole one, or the part of one that is on its way.
    pub(crate) fn damage(&self, half: &FilesHalf) {
        let end = 1 + self.roll(Chance::Files, self.ends.len() - 1);
        let is_busy = self.ends[end].is_down();
        let paths: Vec<_> = all_in(&half.folder(end)).into_iter().filter(|path| !path.ends_with("lock")).collect();
        if is_busy || paths.is_empty() {
            return;
        }
        let path = &paths[self.roll(Chance::Files, paths.len())];
        let store = FileStore::new(half.folder(end));
        let known: Vec<(String, bool)> =
            lock(&half.book).files.iter().map(|(id, file)| (id.clone(), file.is_foreign)).collect();
        let is_whole = |id: &str| store.path(&id.into()) == *path;
        let whole = known.iter().find(|(id, _)| is_whole(id));
        let is_part = path.extension().is_some_and(|extension| extension == "part");
        // Nobody could tell that a part is not what came of a file without a hash.
        let any_foreign = known.iter().any(|(_, is_foreign)| *is_foreign);
        if whole.is_none() && (!is_part || any_foreign) || whole.is_some_and(|(_, is_foreign)| *is_foreign) {
            return;
        }
        let how = self.roll(Chance::Files, 4);
        let mut bytes = fs::read(path).expect("a readable file");
        match how {
            0 => {
                let _ = fs::remove_file(path);
            }
            1 if !bytes.is_empty() => {
                let at = self.roll(Chance::Files, bytes.len());
                bytes[at] ^= 1;
            }
            2 => bytes.truncate(self.roll(Chance::Files, bytes.len())),
            _ => bytes.push(b'x'),
        }
        if how > 0 {
            // In place, as an editor does it: who has it open sees it.
            let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).expect("a file");
            file.write_all(&bytes).expect("written");
            drop(file);
            half.stamp(self, end);
        }
        self.note(|| format!("somebody changes (in way {how}) a file in the folder of site {end}: {whole:?}"));
        if let Some((id, _)) = whole {
            lock(&half.book).damaged.insert((end, id.clone()));
        }
    }

    /// A host has the files of a site compared with what was noted of them, and asks for one.
    pub(crate) fn look_at_files(&self, half: &FilesHalf, end: usize) {
        if self.ends[end].is_down() || !self.is_set_up(end) {
            return;
        }
        let process = self.ends[end].process();
        let failed = process.faulty.failed();
        let files = files(self, half, end, true);
        let outcome = files.verify(|| Ok(())).and_then(|verified| {
            let listed = files.list(None, 100)?;
            if let Some(info) = listed.get(self.roll(Chance::Files, listed.len()))
                && info.entry.state != FileState::Gone
            {
                files.fetch(&info.entry.id)?;
            }
            Ok(verified)
        });
        self.note(|| {
            format!("a host looks at the files of site {end}: {:?}", outcome.as_ref().map(|v| v.findings.len()))
        });
        self.notice_crash(end);
        if let Err(error) = outcome
            && process.faulty.failed() == failed
        {
            self.violate(Promise::ErrorsAreSaid, format!("site {end} cannot look at its files: {error}"));
        }
    }
}
