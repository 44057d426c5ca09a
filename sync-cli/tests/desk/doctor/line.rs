//! TLS, proxies and clocks.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::super::front::Front;
use super::{ADDRESS_PASSWORD, Answer, Ward, of};

/// An authority with its certificate in `authority.pem`, which this machine trusts only with [`TRUST`].
struct Authority(CertifiedIssuer<'static, KeyPair>);

const TRUST: (&str, &str) = ("SSL_CERT_FILE", "authority.pem");

impl Authority {
    fn new(ward: &Ward) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        std::fs::write(ward.clinic.desk.path(TRUST.1), issuer.pem()).expect("a file");
        Self(issuer)
    }

    /// The key and certificate of a server for this host, until the end of this year.
    fn vouches(&self, host: &str, year: i32) -> ServerConfig {
        self.vouches_for(host, |params| {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 12, 31);
        })
    }

    /// The same with a certificate that differs.
    fn vouches_for(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a certificate");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("a certificate");
        shows(made, &key)
    }
}

/// A server with this certificate.
fn shows(made: Certificate, key: &KeyPair) -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone()], key.into())
        .expect("a configuration")
}

/// A ward whose legacy server is reached over TLS.
fn over_tls(ward: &mut Ward, config: ServerConfig) {
    ward.legacy = Front::over_tls(&ward.clinic.server.address, config);
    ward.tell_of_central();
    ward.legacy_at(&format!("https://127.0.0.1:{}", ward.legacy.port()));
}

#[test]
fn certificates() {
    let mut ward = Ward::new();
    let authority = Authority::new(&ward);
    over_tls(&mut ward, authority.vouches("127.0.0.1", 2090));
    let refused = |words| of("legacy_server", 3, "legacy TLS", "certificate_refused", words);

    let well = ward.doctor_with(&[TRUST], "over TLS", &of("nobody", 0, "", "", &[]));
    let tls = well["checks"].as_array().and_then(|all| all.iter().find(|check| check["name"] == "legacy TLS"));
    assert_eq!(tls.expect("the check")["says"], "its certificate is trusted");

    ward.doctor(
        "an authority that is not known here",
        &refused(&["not issued by an authority that this machine trusts", "install their certificate authority"]),
    );
    // The file of the authorities is missing, which is no fault of the server.
    let unread = &["SSL_CERT_FILE names no/such.pem", "cannot be read"];
    let of_this_device = |words| of("device", 3, "legacy TLS", "certificate_refused", words);
    ward.doctor_with(&[("SSL_CERT_FILE", "no/such.pem")], "no authorities", &of_this_device(unread));
    std::fs::write(ward.clinic.desk.path("letter.pem"), "a letter").expect("a file");
    let none =
        &["SSL_CERT_FILE names letter.pem", "no certificate in PEM format", "let it name a file with certificates"];
    ward.doctor_with(&[("SSL_CERT_FILE", "letter.pem")], "a file without authorities", &of_this_device(none));
    ward.legacy_at(&format!("https://localhost:{}", ward.legacy.port()));
    ward.doctor_with(&[TRUST], "another name", &refused(&["it is another host's", "Use the name"]));
    over_tls(&mut ward, authority.vouches("127.0.0.1", 2010));
    ward.doctor_with(&[TRUST], "expired", &refused(&["it is out of date", "renew the certificate"]));

    // The other server shows that the clock is at fault.
    ward.central.doing().date = Some("Sun, 06 Nov 2005 08:49:37 GMT".to_owned());
    let clock = &["days ahead of that of the central server", "Set date, time and time zone of this machine"];
    ward.doctor_with(&[TRUST], "expired, by a clock", &of("device", 6, "clock", "clock_wrong", clock));
}

/// No server tells the time, because every one is reached over TLS: the cycles of this database tell that the date is wrong.
#[test]
fn a_date_that_the_last_sync_shows_to_be_wrong_is_why_a_certificate_is_refused() {
    let mut ward = Ward::new();
    let authority = Authority::new(&ward);
    let synced = |ward: &Ward, days: i64| {
        let moved = |column: &str| format!("{column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '{days} days')");
        ward.clinic.damage(&format!("UPDATE sync_log SET {}, {}", moved("finished_at"), moved("started_at")));
    };
    ward.central.doing().date = Some("no date at all".to_owned());
    over_tls(&mut ward, authority.vouches("127.0.0.1", 2010));
    let refused = |words| of("legacy_server", 3, "legacy TLS", "certificate_refused", words);
    ward.doctor_with(&[TRUST], "synchronised just now", &refused(&["it is out of date"]));
    synced(&ward, -365);
    let clock = |words| of("device", 6, "clock", "clock_wrong", words);
    let ahead = &["365 days after the sync of", "Set date, time and time zone", "certificate that is valid now"];
    ward.doctor_with(&[TRUST], "a year ahead", &clock(ahead));
    // A cycle that failed since has the wrong date too.
    ward.clinic.desk.run_with(&[TRUST], &["sync", "-q"]).ends(3);
    ward.doctor_with(&[TRUST], "a year ahead, and tried", &clock(ahead));

    let later = authority.vouches_for("127.0.0.1", |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1));
    over_tls(&mut ward, later);
    ward.doctor_with(&[TRUST], "not yet valid", &refused(&["valid only later"]));
    synced(&ward, 2 * 365);
    ward.doctor_with(
        &[TRUST],
        "a year behind",
        &clock(&["the newest sync ended later", "Set date, time and time zone"]),
    );
}

/// The faults that `openssl` makes easily, and each in words without `-v`.
#[test]
fn certificates_that_are_not_for_a_server() {
    let mut ward = Ward::new();
    let authority = Authority::new(&ward);
    let refused = |words| of("legacy_server", 3, "legacy TLS", "certificate_refused", words);

    // As by `openssl req -x509`: the file is trusted here, and shown by the server.
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    std::fs::write(ward.clinic.desk.path("own.pem"), made.pem()).expect("a file");
    over_tls(&mut ward, shows(made, &key));
    let words =
        &["own certificate of an authority (CA:TRUE)", "Ask its administrator", "basicConstraints=critical,CA:FALSE"];
    ward.doctor_with(&[("SSL_CERT_FILE", "own.pem")], "an authority's own", &refused(words));
    let said = ward.clinic.desk.run_with(&[("SSL_CERT_FILE", "own.pem")], &["discover"]).ends(3);
    let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(err.contains("(CA:TRUE)") && err.contains("its administrator has to make one for the server"), "{said:?}");

    over_tls(
        &mut ward,
        authority.vouches_for("127.0.0.1", |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1)),
    );
    let later = &["valid only later, by the clock of this machine", "Set date, time and time zone"];
    ward.doctor_with(&[TRUST], "not yet valid", &refused(later));
}

#[test]
fn http_asked_of_a_port_that_speaks_https() {
    let mut ward = Ward::new();
    let authority = Authority::new(&ward);
    over_tls(&mut ward, authority.vouches("127.0.0.1", 2090));
    ward.legacy_at(&format!("http://127.0.0.1:{}", ward.legacy.port()));
    let wrong = of("device", 3, "legacy server", "wrong_scheme", &["Write https:// instead of http://"]);
    ward.doctor_with(&[TRUST], "a certificate that is trusted", &wrong);
    ward.doctor("one that is not", &wrong);
    // Every command says it, not only doctor.
    let says = |ward: &Ward, words: &str| {
        let said = ward.clinic.desk.run(&["discover"]).ends(3);
        let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(err.contains(words), "{words:?}: {err}");
    };
    says(&ward, "it speaks https at this port: write https:// in place of http://");
    ward.legacy_at(&ward.clinic.server.address.replace("http://", "https://"));
    says(&ward, "something speaks http at this port");
    // As nginx answers.
    ward.legacy_at(&format!("http://127.0.0.1:{}", ward.central.port()));
    let page = "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>";
    ward.central.instead("/", Answer::new(400, "text/html", page));
    says(&ward, "it speaks https at this port: write https:// in place of http://");
}

#[test]
fn clocks() {
    let ward = Ward::new();
    let both = |date: Option<&str>| {
        for front in [&ward.legacy, &ward.central] {
            front.doing().date = date.map(str::to_owned);
        }
    };
    both(Some("Sun, 06 Nov 2005 08:49:37 GMT"));
    const SET: &str = "Set date, time and time zone of this machine";
    ward.doctor("years ahead", &of("device", 6, "clock", "clock_wrong", &["days ahead of that", SET]));
    both(Some("Sun, 06 Nov 2095 08:49:37 GMT"));
    ward.doctor("years behind", &of("device", 6, "clock", "clock_wrong", &["days behind that", SET]));
    both(Some(&minutes_from_now(20)));
    ward.doctor("a little behind", &of("device", 0, "clock", "clock_wrong", &["minutes behind that", SET]));
    both(Some("no date at all"));
    ward.doctor("no date", &of("nobody", 0, "", "", &[]));

    both(None);
    ward.central.doing().date = Some("Sun, 06 Nov 2005 08:49:37 GMT".to_owned());
    let theirs = &["the central server differs by", "and that of the other server", "Tell the server's administrator"];
    ward.doctor("only central's", &of("central_server", 0, "clock", "clock_wrong", theirs));
}

/// A cycle works with any clock, so a warning tells.
#[test]
fn a_sync_notices_a_clock_that_is_a_year_off() {
    let ward = Ward::new();
    const YEAR: i64 = 366 * 24 * 60;
    for (servers_are_at, way) in [(-YEAR, "366 days ahead"), (YEAR, "days behind")] {
        for front in [&ward.legacy, &ward.central] {
            front.doing().date = Some(minutes_from_now(servers_are_at));
        }
        let warned = ward.clinic.sync(0)["warnings"].to_string();
        assert!(warned.contains(way), "{way}: {warned}");
        let status = ward.clinic.desk.run(&["status"]).ends(0);
        // The clock may have been set since.
        assert!(status.err.contains("at the last sync, ") && status.err.contains(way), "{status:?}");
    }
    for front in [&ward.legacy, &ward.central] {
        front.doing().date = None;
    }
    assert_eq!(ward.clinic.sync(0)["warnings"], serde_json::json!([]), "a right clock is no news");
    assert_eq!(ward.clinic.desk.run(&["status"]).ends(0).err, "");
    // The clock was set back after the last sync: seen without a server.
    ward.clinic.damage("UPDATE sync_log SET finished_at = '2126' || substr(finished_at, 5)");
    let status = ward.clinic.desk.run(&["status"]).ends(0);
    assert!(status.err.contains("days from now: the clock is wrong, or was wrong then"), "{status:?}");
}

/// So many minutes from now, in the format of answers.
fn minutes_from_now(minutes: i64) -> String {
    let at = time::OffsetDateTime::now_utc() + time::Duration::minutes(minutes);
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.format(format).expect("a date")
}

#[test]
fn proxies() {
    let mut ward = Ward::new();
    let mut proxy = Front::before(&ward.clinic.server.address);
    let address = format!("http://me:{ADDRESS_PASSWORD}@127.0.0.1:{}", proxy.port());
    let through = [("http_proxy", address.as_str()), ("https_proxy", &address), ("no_proxy", ""), ("NO_PROXY", "")];
    let wrong = |status, code| {
        let words = &["The proxy 127.0.0.1", "does not lead to the legacy server", "address, user name and password"];
        of("network", status, "legacy server", code, words)
    };
    proxy.instead("", Answer::page(407));
    ward.doctor_with(&through, "a proxy that wants a log-in", &wrong(3, "not_an_msupply_server"));
    proxy.shut();
    ward.doctor_with(&through, "a proxy that is stopped", &wrong(4, "unreachable"));
    ward.heal();
}

/// A network that decrypts TLS shows its own certificates for every server.
#[test]
fn certificates_of_the_network() {
    let mut ward = Ward::new();
    let (authority, address) = (Authority::new(&ward), ward.clinic.server.address.clone());
    over_tls(&mut ward, authority.vouches("127.0.0.1", 2090));
    ward.central = Front::over_tls(&address, authority.vouches("localhost", 2090));
    ward.central_at(&format!("https://localhost:{}", ward.central.port()));
    let opens = &[
        "not issued by an authority that this machine trusts",
        "the network decrypts the traffic",
        "ask the network's administrator",
    ];
    ward.doctor("for both", &of("network", 3, "legacy TLS", "certificate_refused", opens));
}

/// What the environment names is no proxy that can be used: the words are those of a sync, and this machine has to be set right.
#[test]
fn proxies_that_cannot_be_used() {
    let ward = Ward::new();
    for (url, words) in [
        ("socks5://127.0.0.1:1080", &["proxies of socks5:// are not supported"][..]),
        ("http://", &["no address of a proxy"]),
    ] {
        let through = [("http_proxy", url), ("all_proxy", url), ("no_proxy", ""), ("NO_PROXY", "")];
        ward.doctor_with(&through, url, &of("device", 3, "legacy server", "proxy_unusable", words));
        let found = ward.clinic.desk.run_with(&through, &["doctor", "--json"]).json();
        let sync = ward.clinic.desk.run_with(&through, &["sync", "--json", "-q"]).ends(3).json();
        assert_eq!((&found["says"], &found["also"]), (&sync["error"]["message"], &serde_json::json!([])), "{found:#}");
    }
}
