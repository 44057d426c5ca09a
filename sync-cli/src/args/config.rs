//! Settings from a file, which count where neither a flag nor the environment says anything.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, Error};
use sync_core::text::similar;
use sync_core::text_input::read_text;
use toml::{Table, Value};

use crate::input::{TEXT_MAX, bytes_of_file};
use crate::user::user_in_words;

/// The file that counts if it is in the current folder and no other one is named.
const NAME: &str = "oms-sync.toml";

/// Options that are no settings.
const NO_SETTINGS: [&str; 5] = ["config", "help", "version", "password-stdin", "check"];

/// Options by which a person confirms one thing once, or gives a protection up: a file would do so silently, and for ever.
const CONFIRMATIONS: [&str; 9] =
    ["yes", "reason", "accept", "allow-http", "without-hook", "give-up", "move-stores-to", "create", "replace-another"];

/// The settings of a file.
pub(super) struct Config {
    pub(super) path: PathBuf,
    settings: Table,
}

impl Config {
    /// The file of `--config`, or of the environment, or the one in the current folder; `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is no TOML.
    pub(super) fn chosen(typed: &[OsString], command: &mut Command) -> Result<Option<Self>, Error> {
        let of_environment = || std::env::var_os("OMS_SYNC_CONFIG").filter(|path| !path.is_empty());
        use std::io::ErrorKind::NotFound;
        let named = typed_value(typed, "--config").or_else(of_environment).map(PathBuf::from);
        let path = named.clone().unwrap_or_else(|| PathBuf::from(NAME));
        let read = bytes_of_file(&path, TEXT_MAX);
        let text = match read.and_then(|bytes| read_text(&bytes).map(Cow::into_owned).map_err(std::io::Error::other)) {
            Ok(text) => text,
            Err(error) if named.is_none() && (error.kind() == NotFound || is_out_of_reach(&path)) => return Ok(None),
            // Nothing was typed wrong, so the usage would not help.
            Err(error) => {
                let what = format!("{}: cannot be read: {error}{}\n", path.display(), user_in_words(&error));
                return Err(Error::raw(ErrorKind::InvalidValue, what));
            }
        };
        match text.parse::<Table>() {
            Ok(settings) => Ok(Some(Self { path, settings })),
            Err(error) => {
                let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
                Err(fault(command, &path, &format!("line {line}: {}", error.message())))
            }
        }
    }

    /// The command line with these settings as its defaults. What was typed wins also over settings that do not go with it.
    ///
    /// # Errors
    /// A setting that there is not, or of the wrong kind.
    pub(super) fn applied(&self, command: Command, typed: &[OsString]) -> Result<Command, Error> {
        self.table(command, &self.settings, typed)
    }

    fn table(&self, mut command: Command, table: &Table, typed: &[OsString]) -> Result<Command, Error> {
        for (key, value) in table {
            if let Value::Table(below) = value {
                let Some(sub) = command.find_subcommand(key).cloned() else {
                    let known: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
                    return Err(self.unknown(&mut command, "command", key, &known));
                };
                let sub = self.table(sub, below, typed)?;
                command = command.mut_subcommand(key, |_| sub);
                continue;
            }
            let is_setting = |arg: &&Arg| {
                arg.get_long().is_some_and(|long| !NO_SETTINGS.contains(&long) && !CONFIRMATIONS.contains(&long))
            };
            let is_confirmation = CONFIRMATIONS.contains(&key.as_str());
            if is_confirmation && command.get_arguments().any(|arg| arg.get_long() == Some(key)) {
                let what = format!("{key} is no setting: it confirms something, so give --{key} on the command line");
                return Err(fault(&mut command, &self.path, &what));
            }
            let Some(arg) = command.get_arguments().filter(is_setting).find(|arg| arg.get_long() == Some(key)).cloned()
            else {
                let known: Vec<_> = command.get_arguments().filter(is_setting).filter_map(Arg::get_long).collect();
                let known: Vec<_> = known.into_iter().map(str::to_owned).collect();
                return Err(self.unknown(&mut command, "setting", key, &known));
            };
            let Some(values) = values(&arg, value) else {
                let kind = if takes_value(&arg) { "a text or a number" } else { "true or false" };
                return Err(fault(&mut command, &self.path, &format!("{key} has to be {kind}")));
            };
            // A conflict may stand at either of the two.
            let conflicts = |one: &Arg, other: &Arg| {
                command.get_arg_conflicts_with(one).iter().any(|found| found.get_id() == other.get_id())
            };
            let yields = command
                .get_arguments()
                .filter(|other| is_typed(typed, other))
                .any(|other| conflicts(&arg, other) || conflicts(other, &arg));
            if !yields {
                command = command.mut_arg(arg.get_id(), |arg| arg.default_values(values).required(false));
            }
        }
        Ok(command)
    }

    fn unknown(&self, command: &mut Command, what: &str, key: &str, known: &[String]) -> Error {
        let name = command.get_name().to_owned();
        let meant = similar(key, known.iter().map(String::as_str));
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        fault(command, &self.path, &format!("{name} has no {what} {key:?}{meant}"))
    }

    /// Says of a value that cannot be used where it stands, if it was not typed.
    pub(super) fn named_in(&self, error: Error, command: &mut Command, typed: &[OsString]) -> Error {
        // The environment goes before the file.
        let error = match named_by_variable(error, command, typed) {
            named if named.get(ContextKind::InvalidArg).is_none() => return named,
            error => error,
        };
        let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return error };
        let ends_so = |one: &OsString| one.to_string_lossy().ends_with(value.as_str());
        let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return error };
        if !is_of_value(&error) || typed.iter().any(ends_so) {
            return error;
        }
        let what = format!("{value:?} is no value for {}", arg.trim_start_matches("--"));
        fault(command, &self.path, &what)
    }
}

fn is_of_value(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation)
}

/// If the unusable value comes from an environment variable, and not from a flag or a setting, names that variable in the error.
pub(super) fn named_by_variable(error: Error, command: &mut Command, typed: &[OsString]) -> Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return error };
    let long = flag.split_whitespace().next().unwrap_or_default().trim_start_matches("--");
    let Some(arg) = arg_of(command, long).filter(|arg| is_of_value(&error) && !is_typed(typed, arg)) else {
        return error;
    };
    let Some(variable) = arg.get_env().filter(|name| std::env::var_os(name).is_some_and(|is| is == value.as_str()))
    else {
        return error;
    };
    let what = format!("the variable {} has the value {value:?}, which is no value for --{long}", variable.display());
    command.error(ErrorKind::InvalidValue, what)
}

/// The option of this name, of the program or of a command below it.
fn arg_of<'c>(command: &'c Command, long: &str) -> Option<&'c Arg> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(long));
    own.or_else(|| command.get_subcommands().find_map(|sub| arg_of(sub, long)))
}

/// True for a file in a folder that the user may not enter. Such a folder may have no such file, and nobody named it.
fn is_out_of_reach(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The values of a setting as they would be typed; `None` if they do not fit.
fn values(arg: &Arg, value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    match (value, arg.get_action()) {
        (Value::Boolean(is_on), ArgAction::SetTrue) => Some(vec![is_on.to_string()]),
        (Value::Array(all), ArgAction::Append) => all.iter().map(text).collect(),
        (one, _) if takes_value(arg) => text(one).map(|text| vec![text]),
        _ => None,
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// The value of an option on the command line, before anything is parsed.
fn typed_value(typed: &[OsString], flag: &str) -> Option<OsString> {
    let before = typed.iter().take_while(|one| *one != "--");
    let mut rest = before.clone();
    let after_flag = rest.position(|one| one == flag).and_then(|at| typed.get(at + 1).cloned());
    let joined =
        || before.clone().find_map(|one| one.to_str()?.strip_prefix(flag)?.strip_prefix('=').map(OsString::from));
    after_flag.or_else(joined)
}

fn is_typed(typed: &[OsString], arg: &Arg) -> bool {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let is_it = |one: &OsStr, name: &str| {
        one == name || one.to_str().is_some_and(|one| one.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
    };
    [long, short].iter().flatten().any(|name| typed.iter().any(|one| is_it(one, name)))
}

fn fault(command: &mut Command, path: &Path, what: &str) -> Error {
    command.error(ErrorKind::InvalidValue, format!("{}: {what}", path.display()))
}
