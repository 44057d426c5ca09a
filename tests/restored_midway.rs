//! Databases of real files that are put back while something is on its way between the ends: a push that waits to be integrated,
//! an edit whose answer was lost, records that only a newer release can read.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sync_core::record::{RecordData, SiteId};
use sync_core::storage::Source;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Replica, SyncConfig, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, get, settings};
use tempfile::TempDir;

/// The files of a central server and of the sites `a` and `b`. Whoever uses them closes them before they are put back.
struct Files(TempDir);

impl Files {
    /// After a first cycle of each site.
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let central = files.central();
        for name in ["a", "b"] {
            central.add_site(name);
            let site = files.site(name, central.transport());
            site.site.set_up(&settings(name), &mut NoopObserver).unwrap();
            site.sync();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.sqlite"))
    }

    /// The server, which integrates all that is pushed in turns.
    fn central(&self) -> CentralEnd {
        let replica = Replica::open(self.path("central")).unwrap();
        CentralEnd::over_storage(replica.storage().clone()).integrating_at_once(0)
    }

    fn site(&self, name: &str, line: Arc<dyn Transport>) -> SiteEnd {
        let replica = Replica::open(self.path(name)).unwrap();
        let mut quick = SyncConfig::default();
        (quick.attempts, quick.gzip_from) = (1, usize::MAX);
        quick.integration_poll = std::time::Duration::from_millis(1);
        quick.integration_wait = std::time::Duration::from_millis(20);
        let site = replica.site(line).with_config(quick);
        SiteEnd { storage: replica.storage().clone(), records: replica.records(), site }
    }

    fn back_up(&self, name: &str, as_of: &str) {
        Replica::open(self.path(name)).unwrap().back_up(&self.path(as_of)).unwrap();
    }

    fn put_back(&self, name: &str, as_of: &str) {
        let aside = self.path(&format!("{name} before {as_of} was put back"));
        Replica::restore(self.path(as_of), self.path(name), aside).unwrap();
    }

    /// Some cycles of both sites, which must go well; then everybody is content.
    fn settle(&self) -> (CentralEnd, SiteEnd, SiteEnd) {
        let central = self.central();
        let (a, b) = (self.site("a", central.transport()), self.site("b", central.transport()));
        for _ in 0..4 {
            a.sync();
            b.sync();
        }
        for site in [&a, &b] {
            let last = site.sync();
            assert_eq!((last.pushed, last.pulled, last.warnings.len()), (0, 0, 0), "{last:?}");
        }
        let txn = central.storage.read().unwrap();
        assert!(txn.central().unwrap().integrations().unwrap().is_empty());
        for site in [2, 3] {
            assert!(txn.staged_tables(Source::Site(SiteId(site))).unwrap().is_empty(), "nothing stays staged");
        }
        drop(txn);
        (central, a, b)
    }
}

/// A line to a central server that takes what comes and integrates nothing.
struct Busy(CentralEnd);

impl Transport for Busy {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let whole = url::Url::parse(&request.url).unwrap();
        let url = whole[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let mut received = HttpRequest { url, ..request.clone() };
        received.headers.push(("host".to_owned(), whole.authority().to_owned()));
        Ok(self.0.central.handle(&received))
    }
}

/// A cycle that may end with an error, since central is busy.
fn cycle(site: &SiteEnd) {
    let _ = site.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
}

/// The properties of a name, which every site may write.
fn fields(text: &str) -> RecordData {
    data(&format!(r#"{{"id":"n","properties":"{text}"}}"#))
}

fn write(site: &SiteEnd, text: &str) {
    site.records.put("name_oms_fields", [fields(text)]).unwrap();
}

fn everywhere(ends: [&sync_core::Records; 3]) -> [Option<String>; 3] {
    ends.map(|records| get(records, "name_oms_fields", "n"))
}

fn assert_everywhere(what: &str, (central, a, b): &(CentralEnd, SiteEnd, SiteEnd), text: &str) {
    let found = everywhere([&central.records, &a.records, &b.records]);
    assert_eq!(found, [(); 3].map(|()| Some(fields(text).as_str().to_owned())), "{what}");
}

/// The push of site a is acknowledged, and waits to be integrated while an end is put back.
#[test]
fn a_push_that_waits_is_integrated_whichever_end_is_put_back() {
    for put_back in [&[][..], &["central before"], &["central with it"], &["a before"], &["central before", "a before"]]
    {
        let files = Files::new();
        for name in ["central", "a"] {
            files.back_up(name, &format!("{name} before"));
        }
        {
            let busy = Arc::new(Busy(files.central()));
            let a = files.site("a", busy.clone());
            a.records.put("asset", [asset("x", "STORE_a", "1")]).unwrap();
            cycle(&a);
            let txn = busy.0.storage.read().unwrap();
            assert!(txn.central().unwrap().integration_waits(SiteId(2)).unwrap(), "it waits");
            assert_eq!(get(&busy.0.records, "asset", "x"), None);
        }
        files.back_up("central", "central with it");
        for as_of in put_back {
            files.put_back(as_of.split(' ').next().unwrap(), as_of);
        }
        {
            let central = files.central();
            let a = files.site("a", central.transport());
            a.records.put("asset", [asset("y", "STORE_a", "1")]).unwrap();
        }
        let (central, a, _) = files.settle();
        // Where no end has the push any more, it is lost, and so is the record.
        let is_lost = put_back.len() == 2;
        for records in [&central.records, &a.records] {
            assert_eq!(get(records, "asset", "x").is_none(), is_lost, "{put_back:?}");
            assert!(get(records, "asset", "y").is_some(), "{put_back:?}");
        }
        assert!(central.storage.read().unwrap().quarantined(0, 9).unwrap().is_empty(), "{put_back:?}");
    }
}

/// Central is put back to where the push of site a waited; site b had read it, and written on top of it. A version that is
/// integrated after the restore counts as simultaneous with the one that was lost: b keeps its own in quarantine.
#[test]
fn a_push_that_waits_in_a_backup_loses_nothing_that_was_written_on_top_of_it() {
    for b_comes_before_the_turn_of_a in [false, true] {
        let files = Files::new();
        {
            let busy = Arc::new(Busy(files.central()));
            let a = files.site("a", busy.clone());
            write(&a, "of a");
            cycle(&a);
            assert!(busy.0.storage.read().unwrap().central().unwrap().integration_waits(SiteId(2)).unwrap());
        }
        files.back_up("central", "central as it waited");
        {
            let central = files.central();
            central.central.integrate_waiting().unwrap();
            let b = files.site("b", central.transport());
            b.sync();
            write(&b, "of b, who had read it");
            b.sync();
            assert_eq!(
                get(&central.records, "name_oms_fields", "n").unwrap(),
                fields("of b, who had read it").as_str()
            );
        }
        files.put_back("central", "central as it waited");
        if b_comes_before_the_turn_of_a {
            let busy = Arc::new(Busy(files.central()));
            for _ in 0..2 {
                cycle(&files.site("b", busy.clone()));
            }
        }
        let ends = files.settle();
        if b_comes_before_the_turn_of_a {
            assert_everywhere("b came before the turn of a", &ends, "of b, who had read it");
            continue;
        }
        assert_everywhere("a had its turn before b came", &ends, "of a");
        let (row, why) = ends.2.storage.read().unwrap().quarantined(0, 9).unwrap().remove(0);
        assert!(row.incoming.data.as_str().contains("of b, who had read it"), "nothing is lost: {row:?}");
        assert!(why.reason.contains("a backup was put back"), "{}", why.reason);
    }
}

/// A line that loses the answers to pushes.
struct LosesAnswers(Arc<dyn Transport>);

impl Transport for LosesAnswers {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer = self.0.send(request);
        if request.url.ends_with("/push") { Err(TransportError::TimedOut("planned".into())) } else { answer }
    }
}

/// Site a does not know that central has its edit, and is put back to then. A store comes to it, so it reads everything again,
/// its own edit included, after site b has written on top of that.
#[test]
fn an_edit_that_comes_back_after_a_restore_undoes_nothing_that_was_written_on_top_of_it() {
    for (puts_central_back, b_is_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let files = Files::new();
        {
            let central = files.central();
            let a = files.site("a", Arc::new(LosesAnswers(central.transport())));
            write(&a, "of a");
            cycle(&a);
            assert_eq!(get(&central.records, "name_oms_fields", "n").unwrap(), fields("of a").as_str());
        }
        files.back_up("a", "a without the answer");
        files.back_up("central", "central with the edit of a");
        {
            let central = files.central();
            let (a, b) = (files.site("a", central.transport()), files.site("b", central.transport()));
            b.sync();
            write(&b, "of b, who had read it");
            b.sync();
            a.sync();
        }
        files.put_back("a", "a without the answer");
        if puts_central_back {
            files.put_back("central", "central with the edit of a");
        }
        {
            let central = files.central();
            central.sites.add_store("S", "S", "a", Some("S".into())).unwrap();
            if b_is_first {
                files.site("b", central.transport()).sync();
            }
            let a = files.site("a", central.transport());
            a.sync();
        }
        let what = format!("central put back {puts_central_back}, b first {b_is_first}");
        assert_everywhere(&what, &files.settle(), "of b, who had read it");
    }
}

/// A line on which the site is of this release. Its first pull may be answered from the beginning, as older central servers
/// answer once a newer release reads what they had withheld.
struct OfRelease {
    to_central: Arc<dyn Transport>,
    release: &'static str,
    answers_from_the_beginning: AtomicBool,
}

impl OfRelease {
    fn over(central: &CentralEnd, release: &'static str) -> Self {
        Self { to_central: central.transport(), release, answers_from_the_beginning: AtomicBool::new(false) }
    }
}

impl Transport for OfRelease {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut request = request.clone();
        if let Ok(mut said) = serde_json::from_slice::<serde_json::Value>(&request.body)
            && said.get("syncV5Settings").is_some()
        {
            said["syncV5Settings"]["appVersion"] = self.release.into();
            if request.url.ends_with("/pull") && self.answers_from_the_beginning.swap(false, Ordering::SeqCst) {
                (said["cursor"], said["batchSize"]) = (1.into(), 2.into());
            }
            request.body = said.to_string().into_bytes();
        }
        self.to_central.send(&request)
    }
}

const OLD: &str = "2.16.3";
const NEW: &str = "2.19.0";

/// Central withheld properties from the older release of site a, which rises; an end is put back before, in the midst of
/// the catching up, or after it.
#[test]
fn what_was_withheld_comes_with_the_release_whichever_end_is_put_back() {
    let dated = |n: usize| {
        data(&format!(r#"{{"id":"dated{n}","name":"n","key":"k{n}","value_type":"DATE","allowed_values":null}}"#))
    };
    let class = |id: &str| data(&format!(r#"{{"id":"{id}","name":"{id}"}}"#));
    let backups: [&[&str]; 4] = [&[], &["a"], &["central"], &["a", "central"]];
    for put_back in backups {
        for in_the_midst in [false, true] {
            let what = format!("{put_back:?}, in the midst {in_the_midst}");
            let files = Files::new();
            {
                let central = files.central();
                central.records.put("property", (0..3).map(dated)).unwrap();
                central.records.put("asset_class", [class("one"), class("two")]).unwrap();
                let a = files.site("a", Arc::new(OfRelease::over(&central, OLD)));
                a.sync();
                assert!(a.get("asset_class", "two").is_some() && a.get("property", "dated0").is_none());
                assert_eq!(central.sites.withheld(SiteId(2)).unwrap(), 3);
            }
            for name in ["a", "central"] {
                files.back_up(name, &format!("{name} of the old release"));
            }
            {
                let central = files.central();
                central.records.put("asset_class", [class("three")]).unwrap();
                let a = files.site("a", Arc::new(OfRelease::over(&central, NEW)));
                let mut one_by_one = SyncConfig::default();
                (one_by_one.pull_records, one_by_one.pull_records_max) = (1, 1);
                let site = a.site.clone().with_config(one_by_one);
                let options = if in_the_midst { SyncOptions::default().max_bytes(1) } else { SyncOptions::default() };
                let _ = site.sync(&options, &mut NoopObserver).unwrap().into_result().unwrap();
                let came = (0..3).filter(|n| a.get("property", &format!("dated{n}")).is_some()).count();
                assert_eq!(came < 3, in_the_midst, "{what}: {came}");
            }
            for name in put_back {
                files.put_back(name, &format!("{name} of the old release"));
            }
            {
                // It goes on in its older release for a while.
                let central = files.central();
                central.records.put("asset_class", [class("since")]).unwrap();
                files.site("a", Arc::new(OfRelease::over(&central, OLD))).sync();
                let line = Arc::new(OfRelease::over(&central, NEW));
                line.answers_from_the_beginning.store(in_the_midst, Ordering::SeqCst);
                let a = files.site("a", line);
                a.sync();
                a.sync();
                for n in 0..3 {
                    assert!(a.get("property", &format!("dated{n}")).is_some(), "{what}: dated{n}");
                }
                assert!(a.get("asset_class", "since").is_some(), "{what}");
                let again = a.sync();
                assert_eq!((again.pulled, again.warnings.len()), (0, 0), "{what}: {again:?}");
            }
        }
    }
}

/// A line that carries one record: an answer to a pull with more is cut off.
struct CarriesOne(OfRelease);

impl Transport for CarriesOne {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer = self.0.send(request)?;
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match said["data"]["records"].as_array() {
            Some(records) if request.url.ends_with("/pull") && records.len() > 1 => {
                Err(TransportError::Broken("the line broke".into()))
            }
            _ => Ok(answer),
        }
    }
}

#[test]
fn what_was_withheld_comes_over_a_line_that_carries_one_record() {
    let central = CentralEnd::over(Kind::Sqlite);
    let dated = r#"{"id":"dated","name":"n","key":"k","value_type":"DATE","allowed_values":null}"#;
    let class = |id: &str| data(&format!(r#"{{"id":"{id}","name":"n"}}"#));
    central.records.put("property", [data(dated)]).unwrap();
    central.add_site("a");
    let mut a = central.set_up_in("a", "a", Arc::new(OfRelease::over(&central, OLD)));
    a.sync();
    assert!(a.get("property", "dated").is_none());
    central.records.put("asset_class", [class("one"), class("two")]).unwrap();
    let line = Arc::new(CarriesOne(OfRelease::over(&central, NEW)));
    let mut config = SyncConfig::default();
    (config.attempts, config.pull_records) = (1, 1);
    a.site = Replica::with_storage(a.storage.clone()).site(line).with_config(config);
    a.sync();
    a.sync();
    assert!(a.get("asset_class", "two").is_some() && a.get("property", "dated").is_some());
}
