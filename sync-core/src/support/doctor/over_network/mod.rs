//! Diagnosis of a site: the checks that ask servers. They change nothing, here or there: they ask the legacy server for
//! the site's identity and one position of its central data, and central for the site's status and one record at the
//! site's cursor, as every sync does first.

mod ends;
mod judge;
mod reach;
mod servers;
mod watch;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::Duration;

use url::Url;

use self::judge::Stage;
use self::reach::ServerContact;
use self::watch::ObservedTransport;
use crate::address::shown;
use crate::alarm::CentralAlarm;
use crate::error::{Error, ErrorClass, Result, Server};
use crate::protocol::PasswordHash;
use crate::protocol::v5::{SiteInfo, path as v5_path};
use crate::protocol::v6;
use crate::redaction::masked_url;
use crate::role::Role;
use crate::site::Site;
use crate::site::client::Client;
use crate::site::config::SyncConfig;
use crate::site::identity::{Hardware, Identity, Settings};
use crate::site::legacy::discover::{OTHER_SITE, discovered_settings};
use crate::site::observer::{SyncEvent, SyncObserver};
use crate::site::watch::{ExchangeProgress, watched};
use crate::storage::state;
use crate::storage::state::{is_one_server, role};
use crate::support::alarms::alarms;
use crate::support::doctor::{self, CENTRAL, Check, CheckOutcome, Diagnosis, Finding, LEGACY, NAMES, Party};
use crate::support::patience::Patience;
use crate::support::status::last_success;
use crate::support::{SiteSupport, Support};
use crate::text::sentences::{doctor as say, identity as of_identity};
use crate::text::{Message, quoted};
use crate::transport::Transport;

/// Receives each check as it is done, and may stop the rest. Conclusions from both servers' answers are only in the
/// diagnosis.
type CheckObserver<'a> = &'a mut dyn FnMut(&Check) -> ControlFlow<()>;

impl SiteSupport {
    /// Checks everything that a sync needs, in order, and names the party at fault. `before` has the checks of the
    /// database file; `each` receives every check. Changes nothing, here or at a server; each request is tried once.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if `each` or the observer stops; all other errors are in the diagnosis.
    pub fn doctor(
        &self,
        before: Vec<Check>,
        each: CheckObserver<'_>,
        observer: &mut dyn SyncObserver,
    ) -> Result<Diagnosis> {
        self.examined(each, observer, |doctor| {
            for check in before {
                doctor.add(check)?;
            }
            doctor.run()
        })
    }

    /// Checks both servers for a site that is to be set up with these settings, before there is a database of it. Like the
    /// set-up itself, the sign-in at the legacy server may bind the site to this machine.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a name that no site can have; [`Error::InvalidUrl`], [`Error::NoMachineId`]; [`Error::Cancelled`] if `each` or the observer stops; all other
    /// errors are in the diagnosis.
    pub fn doctor_before_set_up(
        &self,
        settings: &Settings,
        each: CheckObserver<'_>,
        observer: &mut dyn SyncObserver,
    ) -> Result<Diagnosis> {
        let mut identity = self.identity_of(settings)?;
        // A database that is set up already knows whether its network has one server.
        let txn = self.site.storage.read()?;
        let stored = state::CENTRAL_URL.find(txn.as_ref())?;
        identity.central_url = stored.filter(|url| is_one_server(identity.legacy_url.as_str(), Some(url)));
        drop(txn);
        self.examined(each, observer, |doctor| {
            doctor.servers(&identity, None)?;
            // The name was typed just now, and no server knew it before.
            doctor.blame(Party::Device, |finding| finding.code == "site_name_not_found");
            Ok(())
        })
    }

    /// The same for somebody who does not know the password: the way to the legacy server, what answers there, and whether it
    /// knows the site. It asks with an empty password, which the server refuses and may count as one failed sign-in.
    ///
    /// # Errors
    /// As [`doctor_before_set_up`](Self::doctor_before_set_up).
    pub fn doctor_without_password(
        &self,
        legacy_url: &str,
        site_name: &str,
        each: CheckObserver<'_>,
        observer: &mut dyn SyncObserver,
    ) -> Result<Diagnosis> {
        let nobodys = Settings::new(legacy_url, site_name, PasswordHash::from_hex(String::new()))
            .hardware_id(Some("oms-sync doctor".to_owned()))
            // It carries no password.
            .https_only(false);
        let identity = self.identity_of(&nobodys)?;
        let mut found = self.examined(each, observer, |doctor| {
            doctor.servers(&identity, None)?;
            doctor.blame(Party::Device, |finding| finding.code == "site_name_not_found");
            let sign_in = doctor.checks.iter_mut().find(|check| check.name == LEGACY[4]);
            if let Some(check) = sign_in.filter(|check| check.finding.as_ref().is_some_and(is_wrong_password)) {
                *check = Check::not_checked(check.name, say::no_password_given());
            }
            Ok(())
        })?;
        if found.outcome == CheckOutcome::Ok {
            found.says = say::well_without_password();
        }
        Ok(found)
    }

    /// The identity of a site that is to be set up.
    pub(in crate::support) fn identity_of(&self, settings: &Settings) -> Result<Identity> {
        Identity::check_site_name(&settings.site_name)?;
        let chosen = settings.hardware_id.as_ref().filter(|id| !id.is_empty()).map(|id| Hardware::given(id));
        let hardware = chosen.map_or_else(|| Hardware::of(&self.site.device.machine), Ok)?;
        Identity::of_settings(settings, hardware, self.site.device.app.clone())
    }

    fn examined(
        &self,
        each: CheckObserver<'_>,
        observer: &mut dyn SyncObserver,
        run: impl FnOnce(&mut Doctor<'_>) -> Result<()>,
    ) -> Result<Diagnosis> {
        let watched = ObservedTransport::new(self.site.transport.as_ref(), self.site.clock.as_ref());
        let config = SyncConfig { attempts: 1, ..self.site.config.clone() };
        let mut doctor = Doctor {
            site: &self.site,
            support: self.of_database(),
            watched: &watched,
            config: &config,
            each,
            observer: RefCell::new(observer),
            checks: Vec::new(),
            dates: Vec::new(),
            at_servers: None,
            is_let_in: false,
            central_moved: None,
            is_one_server: false,
            is_release_3: false,
            legacy_origin: url::Origin::new_opaque(),
            has_worked: false,
            worked_at: None,
            central_worked_at: None,
            patience: self.silence.map(Patience::of),
            files_fault: self.files_fault.as_ref(),
            alarms: Vec::new(),
        };
        run(&mut doctor)?;
        doctor.checks.iter_mut().filter_map(|check| check.finding.as_mut()).for_each(judge::advise_on_silence);
        if doctor.is_one_server {
            // That one is meant wherever the legacy server is.
            doctor.blame(Party::CentralServer, |finding| finding.party == Party::LegacyServer);
        }
        Ok(Diagnosis { alarms: doctor.alarms, ..Diagnosis::of(doctor.checks) })
    }
}

/// True for a refusal that an empty password brings about at a server which knows the site.
fn is_wrong_password(finding: &Finding) -> bool {
    matches!(finding.code, "incorrect_password" | "hardware_id_mismatch")
}

struct Doctor<'a> {
    site: &'a Site,
    support: Support,
    watched: &'a ObservedTransport<'a>,
    config: &'a SyncConfig,
    each: CheckObserver<'a>,
    observer: RefCell<&'a mut dyn SyncObserver>,
    checks: Vec<Check>,
    /// The times of the servers, and how many milliseconds the clock here is ahead of each.
    dates: Vec<(Server, i64)>,
    /// The check of the cursors at the servers, until its turn comes.
    at_servers: Option<Check>,
    /// True once the legacy server has said who this site is.
    is_let_in: bool,
    /// What to do about the address of central if nobody answers there: the legacy server names another one than is stored here, or
    /// than the one at which central answered last.
    central_moved: Option<Message>,
    /// True if one server is both the legacy server and central, so that nobody looks for another one.
    is_one_server: bool,
    /// True if central is of Open mSupply 3.x.
    is_release_3: bool,
    /// Scheme, host and port of the legacy server.
    legacy_origin: url::Origin,
    /// True if a sync of this site has succeeded.
    has_worked: bool,
    /// When the last one did that the log still has.
    worked_at: Option<crate::clock::Timestamp>,
    /// The address at which central answered last.
    central_worked_at: Option<String>,
    /// How long to wait for an answer; `None` leaves that to the transport.
    patience: Option<Patience>,
    /// Why the folder of files cannot be used.
    files_fault: Option<&'a Error>,
    /// The alarms of a central server.
    alarms: Vec<CentralAlarm>,
}

/// True if a database is no site, which is not a fault of its settings.
fn is_no_site(error: &Error) -> bool {
    matches!(error, Error::NotSetUp | Error::WrongRole { .. })
}

impl Doctor<'_> {
    fn add(&mut self, check: Check) -> Result<()> {
        let goes_on = (self.each)(&check);
        self.checks.push(check);
        if goes_on.is_break() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Names this party in these findings.
    fn blame(&mut self, party: Party, which: impl Fn(&Finding) -> bool) {
        for finding in self.checks.iter_mut().filter_map(|check| check.finding.as_mut()).filter(|found| which(found)) {
            finding.party = party;
        }
    }

    /// Adds a check that reads the database; if that fails, this machine is at fault.
    fn add_read(&mut self, name: &'static str, check: Result<Check>) -> Result<()> {
        self.add(check.unwrap_or_else(|error| Check::fault(name, &error, Party::Device)))
    }

    /// Marks the checks from one name up to another as not checked, with the reason.
    fn skip(&mut self, from: &str, to: &str, why: fn() -> Message) -> Result<()> {
        let names = NAMES.iter().skip_while(|name| **name != from);
        let names: Vec<_> = names.take_while(|name| **name != to).chain(NAMES.iter().filter(|n| **n == to)).collect();
        names.into_iter().try_for_each(|name| self.add(Check::not_checked(name, why())))
    }

    /// Asks a server at an address.
    fn client<T>(&self, server: Server, url: &Url, ask: impl FnOnce(&mut Client<'_>) -> Result<T>) -> Result<T> {
        let clock = self.site.clock.as_ref();
        let (mut observer, mut is_silent) = (self.observer.borrow_mut(), false);
        let mut until_silent = |event: &SyncEvent| {
            let waited = if let SyncEvent::RequestUnderWay { waited } = event { *waited } else { Duration::ZERO };
            is_silent = self.patience.as_ref().is_some_and(|patience| waited > patience.limit());
            if is_silent { ControlFlow::Break(()) } else { observer.on_event(event) }
        };
        let answer = ask(&mut Client::new(self.watched, clock, self.config, &mut until_silent));
        match answer {
            Err(Error::Cancelled) if is_silent => Err(Error::TimedOut { server, url: shown(url), source: None }),
            // Central names the legacy server, as which it answers itself there.
            answer => answer.map_err(|error| if self.is_one_server { error.of(Server::Central) } else { error }),
        }
    }

    /// Does a part of an exchange, unless the observer breaks it off.
    fn unless_stopped<T: Send>(&self, exchange: impl FnOnce(&dyn Transport) -> T + Send) -> Result<T> {
        let (clock, mut observer) = (self.site.clock.as_ref(), self.observer.borrow_mut());
        let (began, mut goes_on) = (clock.monotonic(), true);
        let mut watch = |_: ExchangeProgress| {
            let waited = clock.monotonic().saturating_sub(began);
            goes_on = observer.on_event(&SyncEvent::RequestUnderWay { waited }).is_continue();
            goes_on
        };
        let done = watched(self.site.transport.as_ref(), &mut watch, |transport, _| exchange(transport));
        if goes_on { Ok(done) } else { Err(Error::Cancelled) }
    }

    fn run(&mut self) -> Result<()> {
        let storage = self.site.storage.clone();
        let identity = self.site.identity();
        let settings = match (doctor::settings(&self.support), &identity) {
            // A secret is not where it is kept, or an address may not be used.
            (Ok(check), Err(error)) if check.outcome != CheckOutcome::Fault && !is_no_site(error) => {
                Ok(Check::fault("settings", error, Party::Device))
            }
            (settings, _) => settings,
        };
        let is_set_up = settings.as_ref().is_ok_and(|check| check.outcome != CheckOutcome::Fault);
        let is_readable = settings.is_ok();
        self.add_read("settings", settings)?;
        self.add_read("copies", doctor::copies(storage.as_ref(), self.site.clock.now()))?;
        let read = || {
            let txn = storage.read()?;
            Ok::<_, Error>((role(txn.as_ref())?, state::LEGACY_URL.is_set(txn.as_ref())?))
        };
        let (role, has_legacy) = read().unwrap_or((None, false));
        let identity = identity.ok().filter(|_| is_set_up);
        let stands_alone = role == Some(Role::Central) && !has_legacy;
        match &identity {
            Some(identity) => self.servers(identity, role)?,
            None => {
                let why = match () {
                    () if stands_alone => say::own_list,
                    () if is_readable => say::not_set_up,
                    () => say::database_not_read,
                };
                self.skip(LEGACY[0], "clock", why)?;
            }
        }
        if identity.is_none() && !stands_alone {
            return self.skip(
                "dispensary mode",
                "alarms",
                if is_readable { say::not_set_up } else { say::database_not_read },
            );
        }
        self.add_read("dispensary mode", self.dispensary(role))?;
        let cursors = match doctor::cursors_here(&self.support) {
            Ok(found) => found.or(self.at_servers.take()).unwrap_or_else(|| Check::ok("cursors", say::cursors_well())),
            Err(error) => Check::fault("cursors", &error, Party::Device),
        };
        self.add(cursors)?;
        self.add_read("quarantine", doctor::quarantine(storage.as_ref()))?;
        self.add_read("refused by central", doctor::refused_by_central(storage.as_ref()))?;
        let files = match self.files_fault {
            Some(error) => Ok(Check::fault("files", error, Party::Device)),
            None => doctor::files(storage.as_ref(), self.site.clock.now()),
        };
        self.add_read("files", files)?;
        match stands_alone {
            true => self.add(Check::not_checked("last sync", say::own_list()))?,
            false => self.add_read("last sync", doctor::last_sync(storage.as_ref()))?,
        }
        let alarms = doctor::central_alarms(storage.as_ref(), self.site.clock.now());
        let check = alarms.map(|(check, alarms)| {
            self.alarms = alarms;
            check
        });
        self.add_read("alarms", check)
    }

    /// The server that keeps the list of sites, by the part that people know it by.
    fn one_or_legacy(&self) -> Server {
        if self.is_one_server { Server::Central } else { Server::Legacy }
    }

    fn dispensary(&self, role: Option<Role>) -> Result<Check> {
        const NAME: &str = "dispensary mode";
        if role != Some(Role::Central) {
            return Ok(Check::ok(NAME, say::dispensary_not_central()));
        }
        let all = alarms(self.site.storage.read()?.as_ref(), self.site.clock.now())?;
        let wrong = all.iter().find(|concern| matches!(concern, CentralAlarm::StoreNotInDispensaryMode { .. }));
        Ok(match wrong {
            None => Check::ok(NAME, say::dispensary_well()),
            Some(concern) => Check::found(
                NAME,
                CheckOutcome::Warning,
                concern.says(),
                ("store_not_in_dispensary_mode", ErrorClass::Configure, Party::LegacyServer),
                Message::advice("store_not_in_dispensary_mode"),
            ),
        })
    }

    fn servers(&mut self, identity: &Identity, role: Option<Role>) -> Result<()> {
        let legacy_url = identity.legacy_url.as_str();
        self.central_worked_at =
            state::CENTRAL_ANSWERED.find(self.site.storage.read()?.as_ref())?.filter(|url| !url.is_empty());
        self.has_worked = identity.initialised;
        self.worked_at = self.site.storage.read().and_then(|txn| last_success(txn.as_ref())).unwrap_or_default();
        // A cycle takes over what the legacy server names as central, even if that is no central server.
        let worked_elsewhere = self.central_worked_at.as_ref().is_some_and(|url| !is_one_server(legacy_url, Some(url)));
        self.is_one_server = is_one_server(legacy_url, identity.central_url.as_deref()) && !worked_elsewhere;
        self.legacy_origin = identity.legacy_url.origin();
        let legacy_at = self.checks.len();
        let (legacy, info) = self.legacy(identity)?;
        self.is_let_in = info.is_some();
        let stored = identity.central_url.clone();
        self.add_read("identity", self.compare(info.as_ref()))?;
        // The next sync takes over the legacy server's present answer.
        let mut identity = identity.clone();
        if let Some(info) = &info {
            identity.central_url =
                Some(info.om_supply_central_server_url.trim().to_owned()).filter(|url| !url.is_empty());
        }
        if role == Some(Role::Central) {
            self.own_address(&identity)?;
            self.skip(CENTRAL[0], CENTRAL[5], say::is_central)?;
            return self.clock();
        }
        let central_at = self.checks.len();
        let mut central = ServerContact::default();
        match identity.central_url() {
            // Only the legacy server knows it.
            Err(Error::CentralUrlMissing) if info.is_none() => {
                self.add(Check::not_checked("central address", say::identity_not_told(self.one_or_legacy())))?;
                self.skip(CENTRAL[0], CENTRAL[5], say::no_address)?;
            }
            Err(error) => {
                // A person here confirms an address; the others are corrected at the legacy server.
                let is_to_confirm = matches!(error, Error::CentralUrlUnconfirmed { .. });
                let party = if is_to_confirm { Party::Device } else { Party::LegacyServer };
                self.add(Check::fault("central address", &error, party))?;
                self.skip(CENTRAL[0], CENTRAL[5], say::no_address)?;
            }
            Ok(url) => {
                self.central_address(&identity, &url, stored.as_deref(), info.is_some())?;
                central = self.central(&identity, &url)?;
            }
        }
        self.compare_ways(&identity, (legacy_at, &legacy), (central_at, &central));
        self.clock()?;
        self.at_servers = Some(self.cursors(&identity, legacy.answered, central.answered));
        Ok(())
    }

    /// Asks the legacy server for this site's identity.
    fn legacy(&mut self, identity: &Identity) -> Result<(ServerContact, Option<SiteInfo>)> {
        let (server, url) = (self.one_or_legacy(), &identity.legacy_url);
        let ask =
            |doctor: &Self| doctor.client(server, url, |client| client.legacy_get::<SiteInfo>(identity, v5_path::SITE));
        let order = [Stage::Tls, Stage::Server, Stage::SignIn, Stage::Version];
        self.ask(server, &identity.legacy_url, LEGACY, order, ask)
    }

    /// Asks central for this site's status.
    fn central(&mut self, identity: &Identity, url: &Url) -> Result<ServerContact> {
        let request = identity.status_request();
        let ask = |doctor: &Self| {
            let path = v6::path::SITE_STATUS;
            doctor
                .client(Server::Central, url, |client| client.central::<v6::SiteStatus>(identity, url, path, &request))
        };
        let order = [Stage::Tls, Stage::Server, Stage::Version, Stage::SignIn];
        let (contact, status) = self.ask(Server::Central, url, CENTRAL, order, ask)?;
        if status.is_some_and(|status| status.is_sync_api_paused) {
            self.pause_is_told();
        }
        Ok(contact)
    }

    /// Replaces the check of the sign-in at central, which is well, by the pause that central tells of.
    fn pause_is_told(&mut self) {
        let paused = Error::SyncPaused { server: Server::Central };
        let Some(last) = self.checks.last_mut() else { return };
        *last = Check::fault(last.name, &paused, Party::CentralServer).into_warning();
    }

    /// Compares the legacy server's answer about this site with the stored one.
    fn compare(&self, info: Option<&SiteInfo>) -> Result<Check> {
        const NAME: &str = "identity";
        let server = self.one_or_legacy();
        let Some(info) = info else {
            return Ok(Check::not_checked(NAME, say::identity_not_told(server)));
        };
        let txn = self.site.storage.read()?;
        for theirs in discovered_settings(info) {
            let stored = theirs.setting.find(txn.as_ref())?;
            let Some(ours) = stored.filter(|ours| *ours != theirs.value) else { continue };
            // The address has its own check.
            if theirs.setting.name() == state::CENTRAL_URL.name() {
                continue;
            }
            let code = (theirs.code, ErrorClass::Configure, Party::LegacyServer);
            // The name is right, so the site was made again under it.
            if theirs.code == OTHER_SITE {
                let (says, advice) = (say::site_made_again(server), say::made_again_advice(server));
                return Ok(Check::found(NAME, CheckOutcome::Fault, says, code, advice));
            }
            let advice = theirs.advice();
            let says = of_identity::differs(theirs.name, quoted(&ours), server, quoted(&theirs.value));
            return Ok(Check::found(NAME, CheckOutcome::Warning, says, code, advice));
        }
        Ok(Check::ok(NAME, say::identity_well(info.site_id.0, server)))
    }

    fn central_address(&mut self, identity: &Identity, url: &Url, stored: Option<&str>, is_told: bool) -> Result<()> {
        const NAME: &str = "central address";
        let code = |code| (code, ErrorClass::Configure, Party::LegacyServer);
        let server = self.one_or_legacy();
        let told = identity.central_url.as_deref().unwrap_or_default();
        self.central_moved = match (stored, &self.central_worked_at) {
            (Some(stored), _) if stored != told => Some(say::put_address_back()),
            (_, Some(answered)) if answered != told => Some(say::put_answered_back(masked_url(answered))),
            _ => None,
        };
        let check = match stored {
            Some(stored) if stored != told => Check::found(
                NAME,
                CheckOutcome::Warning,
                of_identity::differs(
                    of_identity::central_url(),
                    quoted(&masked_url(stored)),
                    server,
                    quoted(&masked_url(told)),
                ),
                code("other_central_url"),
                say::put_address_back(),
            ),
            _ => match CentralAlarm::of_own_url(told) {
                Some(concern) => Check::found(
                    NAME,
                    CheckOutcome::Warning,
                    concern.says(),
                    code("central_url_unusual"),
                    Message::advice("central_url_unusual"),
                ),
                None if is_told => Check::ok(NAME, say::address_as_told(shown(url), server)),
                None => Check::ok(NAME, say::address_as_told_before(shown(url), server)),
            },
        };
        self.add(check)
    }

    /// On a central server: checks the address that its sites get.
    fn own_address(&mut self, identity: &Identity) -> Result<()> {
        const NAME: &str = "central address";
        let url = identity.central_url.clone().unwrap_or_default();
        self.add(match CentralAlarm::of_own_url(&url) {
            None => Check::ok(NAME, say::address_for_sites(&url)),
            Some(concern) => Check::found(
                NAME,
                CheckOutcome::Warning,
                concern.says(),
                ("own_url_unusable", ErrorClass::Configure, Party::LegacyServer),
                Message::advice("own_url_unusable"),
            ),
        })
    }
}
