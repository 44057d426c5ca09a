//! The central server in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    process: Child,
    url: String,
}

impl Server {
    pub(crate) fn start(program: &Path, db: &Path) -> Result<Self, String> {
        let mut process = Command::new(program)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--db"])
            .arg(db)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        match said["listening"].as_str() {
            Some(address) => Ok(Self { url: format!("http://{address}"), process }),
            None => {
                // It has not begun to listen, and may have ended by itself.
                let _ = process.kill();
                let _ = process.wait();
                Err(format!("the server did not say where it listens, but {line:?}"))
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The peak of its memory so far; 0 where the system does not tell.
    pub(crate) fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    pub(crate) fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
