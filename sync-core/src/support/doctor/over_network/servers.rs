//! Checks a server step by step: its name, the connection, TLS, its kind, the sign-in, the versions.

use url::Url;

use super::Doctor;
use super::judge::{self, Stage, party_of_address, party_of_server, stage};
use super::reach::{Reachability, ServerContact};
use super::watch::ObservedTransport;
use crate::address::shown;
use crate::error::{Error, Result, Server};
use crate::protocol::v5::V5_VERSION;
use crate::protocol::v6::V6_VERSION;
use crate::site::identity::Identity;
use crate::site::release_3::Release3;
use crate::support::doctor::{Check, CheckOutcome, Party};
use crate::text::sentences::doctor as say;
use crate::transport::Reach;

impl Doctor<'_> {
    /// Sends a request to a server, and judges each step towards the answer. The names are those of look-up and
    /// connection, then of the stages in order.
    pub(crate) fn ask<T>(
        &mut self,
        server: Server,
        url: &Url,
        names: [&'static str; 6],
        order: [Stage; 4],
        ask: impl FnOnce(&Self) -> Result<T>,
    ) -> Result<(ServerContact, Option<T>)> {
        let mut asked = ServerContact {
            host: url.host_str().map(str::to_owned),
            port: url.port_or_known_default(),
            ..ServerContact::default()
        };
        let [lookup, connection, stages @ ..] = names;
        if !self.reach(server, url, [lookup, connection], &mut asked)? {
            let why = || say::server_out_of_reach(server);
            stages.into_iter().try_for_each(|name| self.add(Check::not_checked(name, why())))?;
            return Ok((asked, None));
        }
        self.watched.take();
        let answer = self.or_of_release_3(server, url, ask(self))?;
        let seen = self.watched.take();
        self.note_date(server, seen.date);
        let (answer, fault) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => (None, Some(error)),
        };
        asked.answered = answer.is_some();
        let mut failed_at = fault.as_ref().map(stage);
        let mut is_wrong_scheme = false;
        if let Some(error) = &fault {
            let is_strange =
                matches!(error, Error::NotAServer { .. } | Error::CutOff { .. } | Error::Refused { status: 400, .. });
            is_wrong_scheme = judge::sends_to_https(&seen, url)
                || (is_strange
                    && self.unless_stopped(|transport| ObservedTransport::speaks_other_scheme(transport, url))?);
            if is_wrong_scheme && url.scheme() == "https" {
                failed_at = Some(Stage::Tls);
            } else if !is_wrong_scheme
                && judge::is_foreign_page(&seen)
                && matches!(error, Error::NotAServer { .. } | Error::Refused { .. } | Error::ServerTrouble { .. })
            {
                asked.reach = Reachability::Page;
            } else if matches!(error, Error::Unreachable { .. }) {
                asked.reach = Reachability::NoConnection;
            } else if matches!(error, Error::TimedOut { .. }) && !is_wrong_scheme {
                asked.reach = Reachability::Silent;
            } else if matches!(error, Error::CutOff { .. }) && !is_wrong_scheme {
                asked.reach = Reachability::CutOff;
            } else if judge::is_untrusted_here(error) {
                asked.reach = Reachability::Untrusted;
            }
        }
        // Without an answer the proxy is at fault.
        let by_proxy = asked.proxy.as_deref().filter(|_| seen.status.is_none());
        let mut failed: Option<&'static str> = None;
        for (name, stage) in stages.into_iter().zip(order) {
            let check = match (&fault, failed) {
                (_, Some(before)) => Check::not_checked(name, say::see_check(before)),
                (Some(_), None) if failed_at == Some(stage) && is_wrong_scheme => {
                    judge::wrong_scheme(name, server, url)
                }
                (Some(error), None) if failed_at == Some(stage) && stage == Stage::Tls => {
                    judge::certificate(name, server, error)
                }
                (Some(error), None)
                    if failed_at == Some(stage)
                        && by_proxy.is_some()
                        && !matches!(error, Error::ProxyUnusable { .. }) =>
                {
                    judge::stopped_by_proxy(name, server, by_proxy.unwrap_or_default(), error)
                }
                (Some(error), None) if failed_at == Some(stage) => {
                    let mut check = Check::fault(name, error, judge::party(error, server));
                    if matches!(error, Error::SyncPaused { .. }) {
                        check = check.into_warning();
                    }
                    if matches!(error, Error::NotAServer { .. })
                        && self.has_worked_at_its_address(server)
                        && let Some(finding) = check.finding.as_mut()
                    {
                        finding.party = party_of_server(server);
                        finding.advice = say::worked_before(server);
                    }
                    if self.leads_to_legacy(server, url, error)
                        && stage == Stage::Server
                        && let Some(finding) = check.finding.as_mut()
                    {
                        self.is_one_server = false;
                        finding.party = Party::LegacyServer;
                        finding.advice = say::central_is_legacy_itself();
                    }
                    if let Error::SpeaksV7Only { .. } = error
                        && let Some(finding) = check.finding.as_mut().filter(|_| server == Server::Central)
                        && finding.party == Party::CentralServer
                    {
                        finding.advice = say::central_speaks_v7_only();
                    }
                    if matches!(error, Error::UnknownSite { .. })
                        && let Some(since) = self.worked_at
                        && let Some(finding) = check.finding.as_mut()
                    {
                        finding.advice = say::site_gone(since, server);
                    }
                    let is_alone = server == Server::Central && self.is_let_in && judge::is_of_credentials(error);
                    if let Some(finding) = check.finding.as_mut().filter(|_| is_alone) {
                        finding.party = Party::CentralServer;
                        finding.advice = say::central_alone_refuses();
                    }
                    check
                }
                (Some(_), None) if stage == Stage::Tls && seen.status.is_none() && url.scheme() == "https" => {
                    Check::not_checked(name, say::no_answer_through_it())
                }
                // Only an answer shows that the steps before it are well.
                (Some(error), None) if stage == Stage::SignIn => {
                    Check::not_checked(name, say::server_did_not_come_to_it(server, error.code()))
                }
                _ => self.well(name, stage, server, url),
            };
            if check.outcome == CheckOutcome::Fault {
                failed = Some(name);
            }
            self.add(check)?;
        }
        Ok((asked, answer))
    }

    /// The answer of a server, or what it is in place of one that answers as it should: of Open mSupply 3.x. A central server that
    /// answers is asked too, because its version says it.
    fn or_of_release_3<T>(&mut self, server: Server, url: &Url, answer: Result<T>) -> Result<Result<T>> {
        let asks = match &answer {
            Ok(_) => server == Server::Central,
            Err(error) => matches!(error, Error::NotAServer { .. }),
        };
        let release = match asks {
            true => self.unless_stopped(|transport| Release3::at(transport, url))?,
            false => None,
        };
        self.is_release_3 = server == Server::Central && release.is_some();
        Ok(answer.map_err(|error| release.and_then(|release| release.error(server, url)).unwrap_or(error)))
    }

    /// True if the address of central is that of the legacy server, and the network has two servers: one that lets the site in, and has
    /// never answered as central, is not both.
    fn leads_to_legacy(&self, server: Server, url: &Url, error: &Error) -> bool {
        let is_its_address = server == Server::Central && self.is_let_in && self.legacy_origin == url.origin();
        let is_no_central = self.central_worked_at.is_none() && matches!(error, Error::NotAServer { .. });
        is_its_address && (!self.is_one_server || is_no_central)
    }

    /// True if a server answered this site before at the address that it has now, so that nobody entered a wrong one.
    fn has_worked_at_its_address(&self, server: Server) -> bool {
        match server {
            Server::Central => self.has_worked && self.central_moved.is_none(),
            Server::Legacy => self.has_worked,
        }
    }

    fn well(&self, name: &'static str, stage: Stage, server: Server, url: &Url) -> Check {
        let says = match stage {
            Stage::Tls if url.scheme() == "https" => say::trusted(),
            Stage::Tls => say::no_tls(),
            Stage::Server => say::is_server(shown(url), server),
            Stage::SignIn => say::let_in(),
            Stage::Version if server == Server::Central && self.is_release_3 => say::release_3_takes_v6(V6_VERSION),
            Stage::Version => {
                let (protocol, version) = match server {
                    Server::Legacy => ("V5", V5_VERSION),
                    Server::Central => ("V6", V6_VERSION),
                };
                say::version_taken(version, protocol)
            }
        };
        Check::ok(name, says)
    }

    /// Looks the name up and connects; returns whether it is useful to go on.
    fn reach(
        &mut self,
        server: Server,
        url: &Url,
        names: [&'static str; 2],
        asked: &mut ServerContact,
    ) -> Result<bool> {
        let [lookup, connection] = names;
        let host = url.host_str().unwrap_or_default().to_owned();
        let unreachable = |source| Error::Unreachable { server, url: shown(url), source };
        match self.unless_stopped(|transport| transport.reach(url.as_str()))? {
            None => {
                self.add(Check::not_checked(lookup, say::no_lookup_here()))?;
                self.add(Check::not_checked(connection, say::no_connection_here()))?;
            }
            Some(Reach::ThroughProxy(proxy)) => {
                let why = say::proxy_does(&proxy);
                asked.proxy = Some(proxy);
                self.add(Check::not_checked(lookup, why.clone()))?;
                self.add(Check::not_checked(connection, why))?;
            }
            Some(Reach::NoName(source)) => {
                asked.reach = Reachability::NoName;
                let mut check = Check::fault(lookup, &unreachable(source), Party::Network);
                check.says = say::name_not_known(host, server);
                if let Some(finding) = &mut check.finding {
                    finding.advice = say::check_name();
                }
                self.add(check)?;
                self.add(Check::not_checked(connection, say::name_not_known_there()))?;
                return Ok(false);
            }
            Some(Reach::NoConnection { refused, source }) => {
                self.add(Check::ok(lookup, say::host_known(host)))?;
                asked.reach = if refused { Reachability::Refused } else { Reachability::NoConnection };
                let party = if refused { judge::party_of_server(server) } else { Party::Network };
                let mut check = Check::fault(connection, &unreachable(source), party);
                if let Some(finding) = check.finding.as_mut().filter(|_| refused) {
                    finding.advice = say::start_it();
                }
                check.says =
                    if refused { say::connection_refused(shown(url), server) } else { say::nobody_answers(shown(url)) };
                self.add(check)?;
                return Ok(false);
            }
            Some(Reach::Connected { addresses, took }) => {
                if let Some(patience) = &self.patience {
                    patience.note_connection(took);
                }
                let known = if addresses == 1 { say::one_address(host) } else { say::addresses(host, addresses) };
                self.add(Check::ok(lookup, known))?;
                let millis = took.as_millis().max(1);
                let port = url.port_or_known_default().unwrap_or_default();
                self.add(Check::ok(connection, say::connected(port, millis)))?;
            }
        }
        Ok(true)
    }

    /// Decides the party at fault if one or both servers cannot be reached, or a page comes in place of an answer: if
    /// one of two hosts is reached, the network is not at fault.
    pub(crate) fn compare_ways(
        &mut self,
        identity: &Identity,
        legacy: (usize, &ServerContact),
        central: (usize, &ServerContact),
    ) {
        let of_two_hosts = match (&legacy.1.host, &central.1.host) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        };
        let of_two_ends = of_two_hosts || legacy.1.port != central.1.port;
        let pairs = [
            (Server::Legacy, legacy.0..central.0, legacy.1, central.1),
            (Server::Central, central.0..self.checks.len(), central.1, legacy.1),
        ];
        let mut changes = Vec::new();
        for (server, checks, asked, other) in pairs {
            // Another port of the same machine is enough: the way there is well.
            let other_is_reached = of_two_ends && other.reach == Reachability::Open;
            let party = match asked.reach {
                Reachability::Open | Reachability::Refused => continue,
                Reachability::NoName if other_is_reached && !identity.initialised => party_of_address(server),
                Reachability::NoName | Reachability::NoConnection if other_is_reached => party_of_server(server),
                Reachability::Silent | Reachability::CutOff if other_is_reached => party_of_server(server),
                // Each server has a fault of its own: one network would do the same to both.
                Reachability::Silent | Reachability::CutOff if of_two_ends && is_ill(other.reach, asked.reach) => {
                    party_of_server(server)
                }
                Reachability::Silent | Reachability::CutOff if !(of_two_hosts && other.reach == asked.reach) => {
                    continue;
                }
                Reachability::Page if other_is_reached || of_two_ends && is_ill(other.reach, asked.reach) => {
                    match self.has_worked_at_its_address(server) {
                        true => party_of_server(server),
                        false => party_of_address(server),
                    }
                }
                Reachability::Page if !(identity.initialised || of_two_hosts && other.reach == Reachability::Page) => {
                    party_of_address(server)
                }
                Reachability::Untrusted if !(of_two_hosts && other.reach == Reachability::Untrusted) => continue,
                Reachability::NoName
                | Reachability::NoConnection
                | Reachability::Silent
                | Reachability::CutOff
                | Reachability::Page
                | Reachability::Untrusted => Party::Network,
            };
            let advice = match asked.reach {
                Reachability::Page => Some(say::log_in_first()),
                Reachability::Untrusted => Some(say::network_opens_lines()),
                _ => None,
            };
            changes.push((checks, party, advice));
        }
        let is_answered = legacy.1.answered;
        for (checks, party, advice) in changes {
            for check in self.checks[checks].iter_mut().filter(|check| check.outcome == CheckOutcome::Fault) {
                let Some(finding) = &mut check.finding else { continue };
                finding.party = party;
                if let Some(advice) = advice.clone().filter(|_| party == Party::Network) {
                    finding.advice = advice;
                }
            }
        }
        self.lay_on_changed_address(central.0, is_answered);
    }

    /// If central cannot be asked at an address that the legacy server names since the last cycle, that address is at fault.
    fn lay_on_changed_address(&mut self, central: usize, is_legacy_well: bool) {
        let Some(advice) = self.central_moved.clone().filter(|_| is_legacy_well) else { return };
        for check in self.checks[central..].iter_mut().filter(|check| check.outcome == CheckOutcome::Fault) {
            let Some(finding) = &mut check.finding else { continue };
            let is_told_why = finding.advice == say::central_is_legacy_itself();
            if !is_told_why
                && matches!(
                    finding.code,
                    "unreachable"
                        | "timed_out"
                        | "cut_off"
                        | "not_an_msupply_server"
                        | "speaks_v7_only"
                        | "server_trouble"
                        | "refused"
                        | "unreadable_answer"
                )
            {
                finding.party = Party::LegacyServer;
                finding.advice = advice.clone();
            }
        }
    }
}

/// True if a server is out of order in another way than the other one, and so not because of a network that both are behind.
fn is_ill(other: Reachability, asked: Reachability) -> bool {
    let of_a_server =
        matches!(other, Reachability::Silent | Reachability::CutOff | Reachability::Page | Reachability::Refused);
    of_a_server && other != asked
}
