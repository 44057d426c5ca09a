//! A real browser, driven over WebDriver as far as the tests need it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::ask;

/// Blocked for the browser: everything except the page.
const FLAGS: [&str; 10] = [
    "--headless",
    // It runs as root in CI, and opens only a page of this machine.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A browser with one window. It ends with this value.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    _profile: TempDir,
}

fn find(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()))
}

impl Browser {
    /// Starts one; `None` if there is none on this machine, which is told, and a failure where `OMS_SYNC_BROWSER` is
    /// `required`.
    pub(crate) fn start() -> Option<Self> {
        let (browser, driver) = (find(&["chromium", "google-chrome", "chrome"]), find(&["chromedriver"]));
        let (Some(browser), Some(driver)) = (browser, driver) else {
            assert_ne!(
                std::env::var("OMS_SYNC_BROWSER").as_deref(),
                Ok("required"),
                "chromium and chromedriver are missing"
            );
            eprintln!(
                "SKIPPED: chromium and chromedriver are not on this machine, so the status page was not looked at"
            );
            return None;
        };
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let mut said = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = said.find_map(|line| {
            let line = line.expect("text");
            line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
        });
        // Its later output is read too; otherwise it would block.
        std::thread::spawn(move || said.for_each(drop));
        let address = format!("http://127.0.0.1:{}", port.expect("its port"));
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "binary": browser, "args": flags }
        }}});
        let mut started = Self { driver, address, session: String::new(), _profile: profile };
        let answer = started.call("POST", "/session", &wanted);
        started.session = format!("/session/{}", answer["sessionId"].as_str().expect("a session"));
        Some(started)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let reply = ask(&self.address, method, path, &[], body.as_bytes());
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()["value"].take()
    }

    #[track_caller]
    fn command(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    /// Opens a page and waits until it is there.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.command("/url", &json!({ "url": url }));
    }

    /// Runs a function's body in the page; returns its result.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The visible texts of all elements of a selector.
    #[track_caller]
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let script = format!("return [...document.querySelectorAll({})].map(e => e.innerText)", json!(selector));
        serde_json::from_value(self.run(&script)).expect("texts")
    }

    #[track_caller]
    fn element(&self, using: &str, value: &str) -> String {
        let found = self.command("/element", &json!({ "using": using, "value": value }));
        let id = found.as_object().and_then(|object| object.values().next()).and_then(Value::as_str);
        format!("/element/{}", id.expect("an element"))
    }

    /// Clicks a visible element as a user does, and waits for the next page.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element("css selector", selector);
        self.command(&format!("{element}/click"), &json!({}));
    }

    /// Clicks a link by the beginning of its text.
    #[track_caller]
    pub(crate) fn follow(&self, text: &str) {
        let element = self.element("partial link text", text);
        self.command(&format!("{element}/click"), &json!({}));
    }

    /// Types into a field.
    #[track_caller]
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element("css selector", selector);
        self.command(&format!("{element}/value"), &json!({ "text": text }));
    }

    /// A window of this width, on a phone if it is narrow.
    #[track_caller]
    pub(crate) fn resize(&self, width: u32) {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// The user's wish for light or dark.
    #[track_caller]
    pub(crate) fn wish_for(&self, scheme: &str) {
        let wish = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &wish);
    }

    /// A picture of the whole page, in PNG.
    #[track_caller]
    pub(crate) fn picture(&self) -> Vec<u8> {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let command = json!({ "cmd": "Page.captureScreenshot", "params": params }).to_string();
        let path = format!("{}/goog/cdp/execute", self.session);
        // A page that refreshes itself at that moment ends the command with an error.
        let mut replies = (0..5).map(|_| ask(&self.address, "POST", &path, &[], command.as_bytes()));
        let reply = replies.find(|reply| reply.status == 200).expect("a picture within five tries");
        let taken = reply.json()["value"].take();
        STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("base64")
    }

    #[track_caller]
    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.command("/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &self.session, &Value::Null);
        } else if !self.session.is_empty() {
            // A second panic would end the process and hide the first.
            let path = self.session.clone();
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.call("DELETE", &path, &Value::Null)));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
