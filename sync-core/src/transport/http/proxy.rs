//! Proxies from the environment: which address uses which (`docs/troubleshooting.md`, "Proxies").
//!
//! The variables have the meaning that curl and Open mSupply give them: one for each scheme, one for both, and one with
//! the hosts to connect to directly.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::ProxyProtocol;
use url::Url;

use crate::address::{is_loopback, is_loopback_host};
use crate::redaction::masked_url;
use crate::text::Detail;
use crate::text::sentences::error_detail as words;
use crate::transport::TransportError;

/// A usable proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Where it was set: its variable, or the call of the host.
    pub variable: &'static str,
    pub host: String,
    pub port: u16,
    /// The header value with its credentials.
    pub authorization: Option<String>,
    /// The proxy for the part that makes tunnels.
    pub tunnel: ureq::Proxy,
}

impl std::fmt::Debug for Proxy {
    /// Shows the address without the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Proxy {
    /// The proxy in messages.
    pub(super) fn shown(&self) -> String {
        format!("{}:{} ({})", self.host, self.port, self.variable)
    }
}

/// An unusable setting.
#[derive(Debug, Clone)]
struct UnusableProxy {
    variable: &'static str,
    /// Without user name and password.
    url: String,
    reason: Detail,
}

type ProxySetting = Option<Result<Proxy, UnusableProxy>>;

/// The proxy settings of the environment.
#[derive(Debug, Clone)]
pub(super) struct Proxies {
    http: ProxySetting,
    https: ProxySetting,
    except: Vec<NoProxyRule>,
}

impl Proxies {
    /// Reads the environment of this process.
    pub(super) fn of_environment() -> Self {
        Self::of(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// This proxy for every address.
    pub(super) fn only(url: &str) -> Self {
        let setting = |is_tls| Some(read("HttpOptions::proxy", url, is_tls));
        Self { http: setting(false), https: setting(true), except: Vec::new() }
    }

    /// Reads an environment. The first variable that is not empty counts, small letters before capital ones.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            let value = |name: &'static str| Some((name, variable(name)?.trim().to_owned()));
            names.iter().filter_map(|name| value(name)).find(|(_, value)| !value.is_empty())
        };
        // In a CGI program the client sets HTTP_PROXY, because it is a header of the request. Windows does not
        // distinguish the two.
        let http: &[_] = match variable("REQUEST_METHOD") {
            Some(_) if cfg!(windows) => &["all_proxy", "ALL_PROXY"],
            Some(_) => &["http_proxy", "all_proxy", "ALL_PROXY"],
            None => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let https: &[_] = &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let setting = |names, is_tls| first(names).map(|(name, value)| read(name, &value, is_tls));
        let except = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        let except = except.split([',', ' ', ';']).filter_map(NoProxyRule::read).collect();
        Self { http: setting(http, false), https: setting(https, true), except }
    }

    /// The proxy for an address; `None` for a direct connection.
    ///
    /// # Errors
    /// A variable names an unusable proxy: a direct connection is not what its user wants.
    pub(super) fn to(&self, url: &str) -> Result<Option<&Proxy>, TransportError> {
        let Ok(url) = Url::parse(url) else { return Ok(None) };
        let setting = if url.scheme() == "https" { &self.https } else { &self.http };
        let Some(setting) = setting else { return Ok(None) };
        if self.except.iter().any(|except| except.covers(&url)) {
            return Ok(None);
        }
        // A proxy on another machine cannot reach this one, and would read what is sent to it.
        if is_loopback(&url) && setting.as_ref().is_ok_and(|proxy| !is_loopback_host(&proxy.host)) {
            return Ok(None);
        }
        setting.as_ref().map(Some).map_err(|UnusableProxy { variable, url, reason }| TransportError::ProxyUnusable {
            variable,
            url: url.clone(),
            reason: reason.clone(),
        })
    }

    pub(super) fn http(&self) -> Option<&Proxy> {
        self.http.as_ref()?.as_ref().ok()
    }

    pub(super) fn https(&self) -> Option<&Proxy> {
        self.https.as_ref()?.as_ref().ok()
    }
}

fn read(variable: &'static str, value: &str, is_for_tls: bool) -> Result<Proxy, UnusableProxy> {
    let unusable = |reason: Detail| Err(UnusableProxy { variable, url: masked_url(value), reason });
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let scheme = whole.split("://").next().unwrap_or_default().to_ascii_lowercase();
    match scheme.as_str() {
        "http" => {}
        "https" if is_for_tls => {}
        "https" => return unusable(words::proxy_only_for_tls().into()),
        _ => return unusable(words::proxy_of_scheme(scheme).into()),
    }
    // Its reader takes port 80 for a port that is no number. A password with an unencoded '/', '?' or '#' ends the
    // address before its '@', and the user name would be asked as a host.
    let is_whole = |url: Url| !url[url::Position::BeforePath..].contains('@');
    if !Url::parse(&whole).is_ok_and(is_whole) {
        return unusable(words::no_address_of_proxy().into());
    }
    let Ok(tunnel) = ureq::Proxy::new(&whole) else { return unusable(words::no_address_of_proxy().into()) };
    if tunnel.host().is_empty() || !matches!(tunnel.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
        return unusable(words::no_address_of_proxy().into());
    }
    let login = tunnel.username().map(|user| format!("{user}:{}", tunnel.password().unwrap_or_default()));
    let authorization = login.map(|login| format!("Basic {}", STANDARD.encode(login)));
    Ok(Proxy { variable, host: tunnel.host().to_owned(), port: tunnel.port(), authorization, tunnel })
}

/// A part of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoProxyRule {
    All,
    /// A host, and every host of its domain; only at this port, if there is one.
    Host(String, Option<u16>),
    /// Addresses that begin with so many bits.
    Net(IpAddr, u8),
}

impl NoProxyRule {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((net, bits)) = text.split_once('/') {
            let net: IpAddr = net.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            return (bits <= if net.is_ipv4() { 32 } else { 128 }).then_some(Self::Net(net, bits));
        }
        let bare = text.trim_start_matches('[');
        if let Ok(address) = bare.trim_end_matches(']').parse::<IpAddr>() {
            return Some(Self::Net(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        let (host, port) = match text.rsplit_once(':').map(|(host, port)| (host, port.parse().ok())) {
            Some((host, Some(port))) => (host, Some(port)),
            _ => (text.as_str(), None),
        };
        let host = host.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self::Host(host.to_owned(), port))
    }

    fn covers(&self, url: &Url) -> bool {
        let host =
            url.host_str().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::All => true,
            Self::Net(net, bits) => host.parse().is_ok_and(|address| begins_alike(*net, address, *bits)),
            Self::Host(_, Some(port)) if url.port_or_known_default() != Some(*port) => false,
            Self::Host(of, _) => host == *of || host.strip_suffix(of.as_str()).is_some_and(|sub| sub.ends_with('.')),
        }
    }
}

fn begins_alike(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let top = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let shift = 128 - u32::from(bits);
    one.is_ipv4() == other.is_ipv4() && top(one).checked_shr(shift) == top(other).checked_shr(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::of(|name| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned()))
    }

    fn way(variables: &[(&str, &str)], url: &str) -> String {
        match proxies(variables).to(url) {
            Ok(None) => "direct".to_owned(),
            Ok(Some(proxy)) => proxy.shown(),
            Err(error) => error.to_string(),
        }
    }

    const HTTP: &str = "http://oms.example.org:8000/x";
    const HTTPS: &str = "https://oms.example.org/x";

    #[test]
    fn each_scheme_has_its_variable() {
        for (variables, http, https) in [
            (&[][..], "direct", "direct"),
            (&[("http_proxy", "http://p:3128")], "p:3128 (http_proxy)", "direct"),
            (&[("https_proxy", "http://p:3128")], "direct", "p:3128 (https_proxy)"),
            (&[("HTTPS_PROXY", "p:3128\r\n")], "direct", "p:3128 (HTTPS_PROXY)"),
            (&[("ALL_PROXY", "http://p/")], "p:80 (ALL_PROXY)", "p:80 (ALL_PROXY)"),
            (&[("http_proxy", ""), ("HTTP_PROXY", "p:1")], "p:1 (HTTP_PROXY)", "direct"),
            (&[("http_proxy", "a:1"), ("HTTP_PROXY", "b:1")], "a:1 (http_proxy)", "direct"),
            (&[("http_proxy", "a:1"), ("all_proxy", "b:1")], "a:1 (http_proxy)", "b:1 (all_proxy)"),
            (&[("https_proxy", "https://p")], "direct", "p:443 (https_proxy)"),
            // The client may set this one.
            (&[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")], "direct", "direct"),
        ] {
            assert_eq!((way(variables, HTTP).as_str(), way(variables, HTTPS).as_str()), (http, https), "{variables:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_tells_no_password() {
        for value in [
            "socks5://me:secret@p:1080",
            "socks5h://p",
            "ftp://p",
            "http://",
            "http://a b",
            "https://me:secret@p",
            "p:99999",
            "http://me:secret/x@p:1",
            "http://me:80/secret@p:1",
            "http://me:80?secret@p:1",
            "http://me:80#secret@p:1",
        ] {
            let said = way(&[("http_proxy", value)], HTTP);
            assert!(said.contains("http_proxy") && !said.contains("secret"), "{value}: {said}");
            assert_eq!(way(&[("http_proxy", value), ("no_proxy", "example.org")], HTTP), "direct", "{value}");
        }
    }

    #[test]
    fn credentials_are_for_the_proxy_alone() {
        let proxies = proxies(&[("http_proxy", "http://me:s%40cret@p:3128")]);
        let proxy = proxies.http().unwrap();
        assert_eq!(proxy.authorization.as_deref(), Some("Basic bWU6c0BjcmV0"));
        let shown = format!("{proxies:?} {}", proxy.shown());
        assert!(!shown.contains("cret") && !shown.contains("bWU6"), "{shown}");
    }

    /// It cannot be reached from there, and the other machine would read what is sent.
    #[test]
    fn this_machine_is_not_asked_through_a_proxy_on_another_one() {
        for (proxy, url, is_direct) in [
            ("http://p:3128", "http://127.0.0.1:8000/x", true),
            ("http://p:3128", "http://localhost:8000/x", true),
            ("http://127.0.0.1:3128", "http://127.0.0.1:8000/x", false),
            ("http://localhost:3128", "http://[::1]:8000/x", false),
            ("http://p:3128", "http://192.168.0.1/x", false),
        ] {
            let proxies = proxies(&[("http_proxy", proxy)]);
            assert_eq!(proxies.to(url).unwrap().is_none(), is_direct, "{proxy} {url}");
        }
    }

    #[test]
    fn hosts_that_are_asked_directly() {
        for (list, url, is_direct) in [
            ("*", HTTP, true),
            ("oms.example.org", HTTP, true),
            ("OMS.Example.org", HTTP, true),
            ("example.org", HTTP, true),
            (".example.org", HTTP, true),
            ("*.example.org", HTTP, true),
            ("other.org, example.org", HTTP, true),
            ("other.org example.org", HTTP, true),
            ("ample.org", HTTP, false),
            ("oms.example.org:8000", HTTP, true),
            ("oms.example.org:443", HTTP, false),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("10.1.2.3", "http://10.1.2.3:8000/", true),
            ("0.0.0.0/0", "http://10.1.2.3/", true),
            ("::1", "http://[::1]:8000/", true),
            ("[::1]", "http://[::1]/", true),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("10.0.0.0/99", "http://10.1.2.3/", false),
            ("", HTTP, false),
        ] {
            let way = way(&[("http_proxy", "p:1"), ("NO_PROXY", list)], url);
            assert_eq!(way == "direct", is_direct, "{list} {url}: {way}");
        }
    }
}
