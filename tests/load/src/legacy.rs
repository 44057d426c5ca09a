//! A legacy server that answers the central server and the known site at once, and anybody else slowly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use sync_core::protocol::PasswordHash;
use sync_core::protocol::v5::SiteHeaders;

use crate::seed::{PASSWORD, site_name};

/// The name of the central server there.
const CENTRAL: &str = "central";
/// How long the others wait for their refusal.
const SLOW: Duration = Duration::from_secs(10);

/// Starts the legacy server, which ends with this process, and sets a central server up at it.
pub(crate) fn central_beside(program: &Path, db: &Path) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let address = format!("http://{}", listener.local_addr().map_err(text)?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    let password = db.with_extension("password");
    std::fs::write(&password, PASSWORD).map_err(text)?;
    for args in [
        &["init", "--hardware-id", "load", "--legacy-url", &address, "--site", CENTRAL, "--password-file"][..],
        &["sync", "-q"],
    ] {
        let mut command = Command::new(program);
        command.arg("--db").arg(db).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        if args[0] == "init" {
            command.arg(&password);
        }
        if !command.status().map_err(text)?.success() {
            return Err(format!("oms-sync {} failed", args[0]));
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = reader.by_ref().lines();
    let request = lines.next()?.ok()?;
    let lines = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())))
        .collect();
    let find = |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
    let length = find("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.read_exact(&mut vec![0; length]).ok()?;
    let site = SiteHeaders::from_headers(find).filter(|site| site.password == PasswordHash::of_password(PASSWORD));
    let number = match site {
        Some(site) if site.site_name == CENTRAL => 2,
        Some(site) if site.site_name == site_name(0) => 3,
        _ => {
            thread::sleep(SLOW);
            let body = r#"{"error":{"code":"site_incorrect_password","message":"x","data":null}}"#;
            return reply(&mut stream, "401 Unauthorized", body);
        }
    };
    let body = if request.contains("/sync/v5/site ") {
        let is_central = number == 2;
        format!(
            r#"{{"id":"UUID{number}","siteId":{number},"code":"c","name":"n","initialisationStatus":"completed","isOmSupplyCentralServer":{is_central},"omSupplyCentralServerUrl":"http://127.0.0.1:1","mSupplyCentralSiteId":1}}"#
        )
    } else if request.contains("cursor=0&") {
        r#"{"maxCursor":1,"data":[{"ID":1,"tableName":"store","recordId":"S3","action":"insert","recordData":{"ID":"S3","name_ID":"N","code":"S3","sync_id_remote_site":3,"store_mode":"dispensary"}}]}"#.to_owned()
    } else if request.contains("/sync/v5/central_records?") {
        r#"{"maxCursor":1,"data":[]}"#.to_owned()
    } else if request.contains("/sync/v5/site_status") {
        r#"{"code":"idle","message":"Idle","data":null}"#.to_owned()
    } else {
        r#"{"queueLength":0,"data":[]}"#.to_owned()
    };
    reply(&mut stream, "200 OK", &body)
}

fn reply(stream: &mut TcpStream, status: &str, body: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).ok()
}
