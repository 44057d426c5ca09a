//! The commands, one file each; the short ones are here.

mod audit;
mod backup;
mod bundle;
mod changelog;
mod compat;
pub(crate) mod completions;
mod conflicts;
mod decode;
mod doctor;
mod errors;
mod explain;
mod files;
mod identity;
mod inspect;
pub(crate) mod layout;
mod list_changes;
mod log;
mod man;
mod migrate;
mod net;
mod patient;
mod preview;
mod quarantine;
mod records;
mod rekey;
mod repair;
mod run;
mod serve;
mod set_up;
mod site_import;
mod site_table;
mod sites;
mod status;
mod sync;

use sync_core::{Error, Message};

use crate::args::{Args, Command, CursorCommand};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::on_server;

/// Why a command does not work with a database on a PostgreSQL server.
fn not_on_a_server(command: &Command) -> Option<Message> {
    match command {
        Command::Backup(_) | Command::Restore(_) => Some(on_server::backed_up_by_its_server()),
        Command::Rekey(_) => Some(on_server::encrypted_by_its_server()),
        Command::Cursor(CursorCommand::Rewind { .. }) | Command::Resend(_) => Some(on_server::no_copy_before()),
        Command::Serve(options) if options.backup_to.is_some() => Some(on_server::backed_up_by_its_server()),
        _ => None,
    }
}

/// Runs a command.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<CommandOutcome, Failure> {
    if args.db.is_on_server()
        && let Some(why) = not_on_a_server(&args.command)
    {
        args.db.server()?;
        return Err(Error::bad_input(why).into());
    }
    match &args.command {
        Command::Init(init) => set_up::init(args, init, out),
        Command::Discover(discover) => set_up::discover(args, discover, out),
        Command::Sync(options) => sync::run(args, options, out),
        Command::Run(options) => run::run(args, options, out),
        Command::Status(options) => status::run(args, options, out),
        Command::Doctor(options) => doctor::run(args, options, out),
        Command::Net(options) => net::run(args, options, out),
        Command::Explain(options) => explain::run(args, options, out),
        Command::Preview(command) => preview::run(args, command, out),
        Command::Audit => audit::run(args, out),
        Command::Backup(options) => backup::take(args, options, out),
        Command::Restore(options) => backup::restore(args, options, out),
        Command::Check { backup } => backup::check(args, backup, out),
        Command::Rekey(options) => rekey::run(args, options, out),
        Command::Migrate(options) => migrate::run(args, options, out),
        Command::Bundle(options) => bundle::run(args, options, out),
        Command::Patient(command) => patient::run(args, command, out),
        Command::Cursor(command) => repair::run_cursor(args, command, out),
        Command::Resend(options) => repair::run_resend(args, options, out),
        Command::Identity(options) => identity::run(args, options, out),
        Command::Log(command) => log::run(args, command, out),
        Command::Conflicts(command) => conflicts::run(args, command, out),
        Command::Records(command) => records::run(args, command, out),
        Command::Files(command) => files::run(args, command, out),
        Command::Changelog(options) => changelog::run(args, options, out),
        Command::Serve(options) => serve::run(args, options, out),
        Command::Pause => sites::pause(args, true, out),
        Command::Resume => sites::pause(args, false, out),
        Command::Site(command) => sites::run_site(args, command, out),
        Command::Store(command) => sites::run_store(args, command, out),
        Command::Quarantine(command) => quarantine::run(args, command, out),
        Command::Compat(options) => compat::run(options, out),
        Command::Decode(options) => decode::run(options, out),
        Command::Errors { template: true, .. } => errors::template(out),
        Command::Errors { code, .. } => errors::run(code.as_deref(), out),
        Command::Inspect(options) => inspect::run(options, out),
        Command::Demo(options) => crate::demo::run(options, out),
        Command::Completions { shell } => {
            out.text(completions::script(*shell).trim_end())?;
            Ok(CommandOutcome::Done)
        }
        Command::Man(options) => man::run(options, out),
    }
}
