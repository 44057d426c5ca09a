//! The process that holds a database locked, as the system says.

use std::path::Path;

/// Which locks of another process stand in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InTheWay {
    /// Locks to write, in the way of another writer.
    Writing,
    /// Any lock: a process that has the database open and does nothing is in the way of who needs it alone.
    Any,
}

/// The number and the name of another process that has such a lock on a database. `None` if there is none that this user may see, and on
/// systems that do not say it.
#[cfg(target_os = "linux")]
pub(super) fn lock_holder(path: &Path, locks: InTheWay) -> Option<(u32, String)> {
    use std::os::unix::fs::MetadataExt as _;

    // In WAL mode the turn to write is a lock on the shared file.
    let mut shared = path.as_os_str().to_owned();
    shared.push("-shm");
    let files = [path, Path::new(&shared)].into_iter().filter_map(|file| file.metadata().ok());
    let files: Vec<String> = files.map(|data| format!("{}:{}", device(data.dev()), data.ino())).collect();
    let held = std::fs::read_to_string("/proc/locks").ok()?;
    let number = held.lines().find_map(|line| holder_of(line, &files, locks))?;
    let name = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    let arguments = std::fs::read_to_string(format!("/proc/{number}/cmdline")).unwrap_or_default();
    Some((number, with_command(name.trim(), &arguments)))
}

/// The name of a process; of the program `oms-sync` with the command that keeps a database open, by which people know it. Of other
/// programs no argument is shown, because it may be secret.
#[cfg(target_os = "linux")]
fn with_command(name: &str, arguments: &str) -> String {
    const KEEP_IT_OPEN: [&str; 2] = ["serve", "run"];
    let command = arguments.split('\0').skip(1).find(|argument| KEEP_IT_OPEN.contains(argument));
    match command.filter(|_| name == "oms-sync") {
        Some(command) => format!("{name} {command}"),
        None => name.to_owned(),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn lock_holder(_: &Path, _: InTheWay) -> Option<(u32, String)> {
    None
}

/// The number of a disk as `/proc/locks` writes it: Linux packs both parts of it into one word.
#[cfg(target_os = "linux")]
fn device(packed: u64) -> String {
    let major = (packed >> 8 & 0xfff) | (packed >> 32 & 0xffff_f000);
    let minor = (packed & 0xff) | (packed >> 12 & 0xffff_ff00);
    format!("{major:02x}:{minor:02x}")
}

/// The other process of a line of `/proc/locks`, such as `1: POSIX  ADVISORY  WRITE 4711 fe:00:131 120 120`, if it has such a lock on one of these
/// files. A process in another container has the number 0 or below.
#[cfg(target_os = "linux")]
fn holder_of(line: &str, files: &[String], locks: InTheWay) -> Option<u32> {
    let stands_in_the_way = |word: &str| word == "WRITE" || (word == "READ" && locks == InTheWay::Any);
    let mut words = line.split_whitespace().skip_while(|word| !stands_in_the_way(word)).skip(1);
    let (number, file) = (words.next()?.parse().ok()?, words.next()?);
    let is_other = number != 0 && number != std::process::id();
    (is_other && files.iter().any(|known| known == file)).then_some(number)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_disk_is_unpacked() {
        assert_eq!([device(0xfe00), device(0x0012_3456_789a_bcde)], ["fe:00", "123abc:456789de"]);
    }

    #[test]
    fn only_a_lock_to_write_of_another_process_on_this_file_counts() {
        let files = ["fe:00:131".to_owned()];
        let own = std::process::id();
        for (line, holder) in [
            ("1: POSIX  ADVISORY  WRITE 4711 fe:00:131 120 120", Some(4711)),
            ("1: POSIX  ADVISORY  READ  4711 fe:00:131 120 120", None),
            ("1: POSIX  ADVISORY  WRITE 4711 fe:00:132 120 120", None),
            // In another container, and an open file description.
            ("1: POSIX  ADVISORY  WRITE 0 fe:00:131 120 120", None),
            ("2: OFDLCK ADVISORY  WRITE -1 fe:00:131 0 EOF", None),
            (&format!("1: POSIX  ADVISORY  WRITE {own} fe:00:131 120 120"), None),
            ("1: -> POSIX  ADVISORY  WRITE", None),
            ("", None),
        ] {
            assert_eq!(holder_of(line, &files, InTheWay::Writing), holder, "{line}");
        }
        let reads = "1: POSIX  ADVISORY  READ  4711 fe:00:131 120 120";
        assert_eq!(holder_of(reads, &files, InTheWay::Any), Some(4711), "it has the database open");
    }

    #[test]
    fn the_program_is_named_with_its_command_and_others_without_arguments() {
        let serve = "/usr/bin/oms-sync\0--db\0central.sqlite\0serve\0--listen\0localhost:8000\0";
        assert_eq!(with_command("oms-sync", serve), "oms-sync serve");
        assert_eq!(with_command("oms-sync", "oms-sync\0status\0"), "oms-sync");
        assert_eq!(with_command("my-app", "my-app\0run\0--password=x\0"), "my-app");
    }
}
