//! Interprets an error of a server: the failed check, and the party at fault.

use url::Url;

use super::watch::ObservedResponse;
use crate::address::{is_loopback, shown};
use crate::error::{Error, ErrorClass, Server};
use crate::support::doctor::{Check, CheckOutcome, Finding, LEGACY, Party};
use crate::text::Message;
use crate::text::sentences::doctor as say;
use crate::transport::{CertificateFault, certificate_fault, unreadable_trust};

/// How far a request to a server came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Tls,
    Server,
    SignIn,
    Version,
}

/// The stage of an error.
pub(crate) fn stage(error: &Error) -> Stage {
    match error {
        Error::CertificateRefused { .. } | Error::ClientCertificateRefused { .. } => Stage::Tls,
        Error::UnknownSite { .. }
        | Error::WrongPassword { .. }
        | Error::HardwareIdMismatch { .. }
        | Error::SiteHasNoStore { .. }
        | Error::SiteAuthTimeout
        | Error::TooManyAttempts { .. }
        | Error::CentralCannotReachLegacy
        | Error::OtherSite { .. } => Stage::SignIn,
        Error::VersionMismatch { .. } | Error::LegacyVersionMismatch { .. } => Stage::Version,
        _ => Stage::Server,
    }
}

pub(crate) fn party_of_server(server: Server) -> Party {
    match server {
        Server::Legacy => Party::LegacyServer,
        Server::Central => Party::CentralServer,
    }
}

/// The party that entered the address of a server.
pub(crate) fn party_of_address(server: Server) -> Party {
    match server {
        Server::Legacy => Party::Device,
        Server::Central => Party::LegacyServer,
    }
}

/// The party at fault, as far as the error alone shows it.
pub(crate) fn party(error: &Error, asked: Server) -> Party {
    match error {
        Error::WrongPassword { .. }
        | Error::TooManyAttempts { .. }
        | Error::OtherSite { .. }
        | Error::InvalidUrl { .. }
        | Error::ProxyUnusable { .. }
        | Error::NotSetUp
        | Error::NoMachineId { .. }
        | Error::DatabaseCopied { .. }
        | Error::CopyUndecided { .. }
        | Error::WrongRole { .. }
        | Error::CentralUrlUnconfirmed { .. }
        | Error::SecretMissing { .. }
        | Error::LegacyKeepsSites => Party::Device,
        // The name was known when this site was set up.
        Error::UnknownSite { .. }
        | Error::HardwareIdMismatch { .. }
        | Error::SiteHasNoStore { .. }
        | Error::SiteAuthTimeout
        | Error::CentralUrlMissing
        | Error::LegacyVersionMismatch { .. }
        | Error::NotCentral { .. } => Party::LegacyServer,
        // Nothing is trusted here, whatever a server shows.
        error if is_untrusted(error) && unreadable_trust().is_some() => Party::Device,
        Error::VersionMismatch { max, sent, .. } if sent > max => Party::CentralServer,
        Error::VersionMismatch { .. } => Party::Device,
        Error::CutOff { .. } => Party::Network,
        // Its administrators upgraded it, or switched V6 off.
        Error::SpeaksV7Only { .. } if asked == Server::Central => Party::CentralServer,
        Error::NotAServer { .. } | Error::SpeaksV7Only { .. } | Error::CentralOfRelease3 { .. } => {
            party_of_address(asked)
        }
        error if error.class() == ErrorClass::LocalFault => Party::Device,
        _ => party_of_server(asked),
    }
}

/// HTTP in place of HTTPS, or the reverse.
pub(crate) fn wrong_scheme(name: &'static str, server: Server, url: &Url) -> Check {
    let (is, should) = if url.scheme() == "http" { ("http", "https") } else { ("https", "http") };
    let says = say::wrong_scheme(shown(url), is, should);
    // Nobody gives TLS up because of an advice: the records and the hash of the password would travel in the clear.
    let is_safe = should == "https" || is_loopback(url);
    // In a network with one server its address was entered here too.
    let server = if LEGACY.contains(&name) { Server::Legacy } else { server };
    let advice = match (server, is_safe) {
        (Server::Legacy, true) => say::correct_scheme_here(is, should),
        (Server::Central, true) => say::correct_scheme_there(is, should),
        (Server::Legacy, false) => say::ask_for_tls(),
        (Server::Central, false) => say::ask_for_tls_there(),
    };
    let code = ("wrong_scheme", ErrorClass::Configure, party_of_address(server));
    Check::found(name, CheckOutcome::Fault, says, code, advice)
}

/// A refused certificate, with its fault as far as the causes show it.
pub(crate) fn certificate(name: &'static str, server: Server, error: &Error) -> Check {
    let mut check = Check::fault(name, error, party(error, server));
    let Some(finding) = &mut check.finding else { return check };
    finding.advice = match fault_of(error) {
        Some(CertificateFault::Untrusted) if unreadable_trust().is_some() => say::correct_trust(),
        Some(CertificateFault::Untrusted) => say::install_authority(),
        Some(CertificateFault::Expired) => say::renew(),
        Some(CertificateFault::NotYetValid) => say::later_date(),
        Some(CertificateFault::OtherName) => say::use_its_name(),
        Some(CertificateFault::OfAuthority | CertificateFault::Version1) => say::certificate_for_server(),
        Some(CertificateFault::OtherPurpose | CertificateFault::Revoked) => say::replace_certificate(),
        Some(CertificateFault::Other) | None => return check,
    };
    check
}

/// The fault of a certificate that is refused by its dates, if that is what a check found.
pub(crate) fn refused_by_date(check: &Check) -> Option<CertificateFault> {
    let finding = check.finding.as_ref().filter(|finding| finding.code == "certificate_refused")?;
    let of_date = [(CertificateFault::Expired, say::renew()), (CertificateFault::NotYetValid, say::later_date())];
    of_date.into_iter().find(|(_, advice)| finding.advice == *advice).map(|(fault, _)| fault)
}

/// True if a certificate is refused because no trusted authority issued it, of those that can be read here.
pub(crate) fn is_untrusted_here(error: &Error) -> bool {
    is_untrusted(error) && unreadable_trust().is_none()
}

/// True if a certificate is refused because no trusted authority issued it.
fn is_untrusted(error: &Error) -> bool {
    fault_of(error) == Some(CertificateFault::Untrusted)
}

fn fault_of(error: &Error) -> Option<CertificateFault> {
    match error {
        Error::CertificateRefused { source, .. } => certificate_fault(source.as_ref()),
        _ => None,
    }
}

/// A server was asked just now, and did not answer, or not to the end: "sync again" would not be what helps.
pub(crate) fn advise_on_silence(finding: &mut Finding) {
    if finding.advice != Message::advice(finding.code) {
        return;
    }
    let is_of_server = matches!(finding.party, Party::LegacyServer | Party::CentralServer);
    finding.advice = match (finding.code, is_of_server) {
        ("timed_out", true) => say::look_why_it_is_silent(),
        ("timed_out", false) => say::look_what_swallows_answers(),
        ("cut_off", true) => say::look_why_it_cuts(),
        ("cut_off", false) => say::look_what_cuts(),
        _ => return,
    };
}

/// A proxy from this machine's environment does not lead to a server.
pub(crate) fn stopped_by_proxy(name: &'static str, server: Server, proxy: &str, error: &Error) -> Check {
    let mut check = Check::fault(name, error, Party::Network);
    check.says = say::proxy_leads_nowhere(proxy, server);
    if let Some(finding) = &mut check.finding {
        finding.causes.insert(0, error.to_string());
        finding.advice = say::check_proxy();
    }
    check
}

/// True if an answer redirects to HTTPS on the same host.
pub(crate) fn sends_to_https(seen: &ObservedResponse, url: &Url) -> bool {
    let to = seen.location.as_deref().and_then(|to| Url::parse(to).ok());
    url.scheme() == "http" && to.is_some_and(|to| to.scheme() == "https" && to.host_str() == url.host_str())
}

/// True if the answer came from the network itself or from another program: nothing of the expected kind.
pub(crate) fn is_foreign_page(seen: &ObservedResponse) -> bool {
    match seen.status {
        Some(407 | 511) => true,
        Some(200..=299 | 401 | 403) => seen.is_page,
        Some(300..=399) => true,
        _ => false,
    }
}

/// True if a server knows the site under other data than the site's own.
pub(crate) fn is_of_credentials(error: &Error) -> bool {
    matches!(error, Error::WrongPassword { .. } | Error::UnknownSite { .. } | Error::HardwareIdMismatch { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_from_trouble_of_a_server() {
        let seen = |status, is_page| ObservedResponse { status: Some(status), is_page, ..ObservedResponse::default() };
        for (seen, foreign) in [
            (seen(200, true), true),
            (seen(302, false), true),
            (seen(511, false), true),
            (seen(401, true), true),
            (seen(401, false), false),
            (seen(502, true), false),
            (seen(404, true), false),
            (ObservedResponse::default(), false),
        ] {
            assert_eq!(is_foreign_page(&seen), foreign, "{seen:?}");
        }
    }

    #[test]
    fn nobody_is_advised_to_give_tls_up_for_another_machine() {
        let advice = |name, server, url: &str| {
            let check = wrong_scheme(name, server, &Url::parse(url).unwrap());
            check.finding.unwrap().advice.to_string()
        };
        // One server for everything is called central, and its address was entered at the site.
        let one = wrong_scheme("legacy TLS", Server::Central, &Url::parse("http://central.example.org").unwrap());
        let one = one.finding.unwrap();
        assert_eq!(one.party, Party::Device);
        assert!(one.advice.to_string().contains("set this site up again"), "{}", one.advice);
        for server in [Server::Legacy, Server::Central] {
            let name = if server == Server::Legacy { "legacy TLS" } else { "central TLS" };
            let advice = |server, url: &str| advice(name, server, url);
            for here in ["https://localhost:8000", "https://127.0.0.1:2048"] {
                assert!(advice(server, here).contains("Write http:// instead of https://"), "{here}");
            }
            for elsewhere in ["https://msupply.example.org:2048", "https://10.0.0.7:8000"] {
                let said = advice(server, elsewhere);
                assert!(!said.contains("Write http") && said.contains("https:// address"), "{said}");
            }
            assert!(advice(server, "http://msupply.example.org").contains("Write https:// instead of http://"));
        }
    }

    #[test]
    fn who_has_to_act() {
        let site = || "x".to_owned();
        let mismatch = |max, sent| Error::VersionMismatch { server: Server::Central, min: 3, max, sent };
        for (error, party) in [
            (Error::WrongPassword { site: site() }, Party::Device),
            (Error::UnknownSite { server: Server::Legacy, site: site() }, Party::LegacyServer),
            (Error::HardwareIdMismatch { site: site() }, Party::LegacyServer),
            (Error::NotCentral { url: site() }, Party::LegacyServer),
            (mismatch(4, 5), Party::CentralServer),
            (mismatch(4, 2), Party::Device),
            (
                Error::ServerTrouble { server: Server::Central, url: site(), status: 502, source: None },
                Party::CentralServer,
            ),
            (Error::DiskFull { source: "x".into() }, Party::Device),
        ] {
            assert_eq!(super::party(&error, Server::Central), party, "{error}");
        }
    }
}
