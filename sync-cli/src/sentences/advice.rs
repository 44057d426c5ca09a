//! The library's texts with the commands and flags of this program: each replaces the text of that group and name.

use sync_core::text::MessageTemplate;

/// Every replaced text. Its placeholders are those of the library's text.
pub(super) const ALL: &[MessageTemplate] = &[
    // Errors.
    advice(
        "not_a_database",
        "Check the path; give the database of a site, or a new file name. The key of an encrypted one is given with --db-key-file.",
    ),
    advice(
        "database_key_refused",
        "Give the key with which the database was made, or to which it was changed last, with --db-key-file or OMS_SYNC_DB_KEY. Keep the \
         file: what was not pushed is in it alone. Only if the key is lost, set the site up again in a new file.",
    ),
    advice(
        "database_not_encrypted",
        "Encrypt the file with the key first, which keeps all that is in it: `oms-sync rekey --new-key-file FILE`; or leave --db-key-file and OMS_SYNC_DB_KEY out.",
    ),
    advice(
        "certificate_refused",
        "Check the address and this machine's clock. Let this machine trust a private authority: name a file with its certificate in SSL_CERT_FILE, \
         which then takes the place of the system's authorities, or add it to the system's, on Debian and Ubuntu with \
         update-ca-certificates. Of every other fault tell the server's administrator, who has to replace the certificate.",
    ),
    advice(
        "client_certificate_refused",
        "This program shows no certificate: ask the administrator of the server or of the network for an address that needs none.",
    ),
    advice("database_busy", "Close the other program, or try again when it is done."),
    advice("not_set_up", "Run `oms-sync init` with the legacy server's address and the site's name."),
    cause("not_set_up", "This database is new, or the path given with --db is another one."),
    advice(
        "no_database",
        "Give the path of the database with --db. For a new site run `oms-sync init`; for a new central server run `oms-sync site add`, or \
         `oms-sync serve` with --create.",
    ),
    cause(
        "no_database",
        "The path given with --db or OMS_SYNC_DB is another one, or the command runs in another folder.",
    ),
    advice(
        "https_required",
        "Give the server's https:// address. If it has none, and the line is trusted, run `oms-sync init` with --allow-http.",
    ),
    advice(
        "central_url_unconfirmed",
        "Ask the network's administrator whether central moved there. If it did, run `oms-sync discover --accept URL` with that \
         address.",
    ),
    advice(
        "incorrect_password",
        "Run `oms-sync init` again with the password that the server has for this site; of a database that is set up it needs nothing else.",
    ),
    advice(
        "database_copied",
        "Stop this copy, and go on with the other one. To go on with this one instead, stop the other, run `oms-sync init` \
         again here and `oms-sync sync` twice: it reads what the other sent, and the other is refused from then on. Each copy keeps what it has not sent.",
    ),
    advice(
        "no_machine_id",
        "Give this machine an id that stays the same, with --hardware-id or OMS_SYNC_HARDWARE_ID when it is set up.",
    ),
    advice(
        "legacy_keeps_sites",
        "Add sites and stores on the legacy server, and serve with --auth legacy, or without --auth; a central server without a \
         legacy server needs a new database.",
    ),
    advice(
        "answer_too_large",
        "Have the record made smaller at the server, or raise the limit of this site (OMS_SYNC_ANSWER_MAX) on a machine with \
         enough memory.",
    ),
    advice("database_failed", "See the causes (with -v); check the disk, and restore a backup if the file is damaged."),
    advice(
        "backup_of_another",
        "Give the database of which the backup is with --db, or a new file. Only to give up the database that is there, add \
         --replace-another: it goes out of use, and is kept beside the backup's.",
    ),
    advice(
        "database_moved",
        "Use the database at its new place. To come back, run `oms-sync migrate` from there into a new database; if it was never used \
         there, run `oms-sync migrate --undo`.",
    ),
    advice(
        "migration_unfinished",
        "Run `oms-sync migrate` again with the same two databases: it continues where it stopped. To give it up, go on with the \
         original, and remove the copy.",
    ),
    advice("unknown_table", "See `oms-sync records types` for the names; capital letters matter."),
    advice("unknown_site", "See `oms-sync site list` for the sites."),
    cause("wrong_role", "The command is for the other kind of server."),
    cause("bad_input", "The input, a file or an option is not what the command takes."),
    // Findings.
    advice(
        "database_older",
        "Run `oms-sync status`: it brings the database up to date, and older programs then refuse it.",
    ),
    advice(
        "wrong_scheme",
        "Correct the address where it was entered: here with `oms-sync init`, central's at the legacy server.",
    ),
    advice(
        "address_unusable",
        "Run `oms-sync init` again with the right address; central's comes from the legacy server.",
    ),
    advice(
        "other_site",
        "Nothing was changed, and what was not pushed is kept here. Use the credentials of this site, or a new database for the other one. If \
         the server forgot this site, by a restore or because it was deleted, its administrator has to put the former one back: from \
         a backup, or at a central server of oms-sync, there: `oms-sync site add NAME --number N --uuid UUID`. Here `oms-sync identity` shows \
         the site id and the UUID.",
    ),
    advice("other_site_id", DISCOVER),
    advice("other_role", DISCOVER),
    advice("other_legacy_site_id", DISCOVER),
    advice(
        "changelog_nears_its_end",
        "Bring the sites to a release that counts further, and find out what writes so many changes: `oms-sync status` shows how \
         fast the newest position rises.",
    ),
    advice(
        "stores_lost",
        "Run `oms-sync cursor rewind pull-legacy` with --yes and a reason, then `oms-sync sync`: the server still has them.",
    ),
    advice(
        "records_set_aside",
        "Run `oms-sync quarantine list` to see what each waits for or which rule it breaks; nothing is lost.",
    ),
    advice(
        "records_refused",
        "`oms-sync explain TABLE ID` says why each was refused, `oms-sync status --json` lists them; write the record again, on the \
         site where its store is active now, or ask central's administrator, who has the refused version in quarantine.",
    ),
    advice(
        "hook_missing",
        "Let the app synchronise. To write all the same, add --without-hook, and let the app replay its hook afterwards.",
    ),
    advice("files_stuck", "See `oms-sync files list` for all of them; they are tried again, and block nothing."),
    // What a diagnosis adds to them.
    text(
        "doctor",
        "correct_scheme_here",
        "Write {should}:// instead of {is}://. Run `oms-sync init` again with the right address.",
    ),
    text(
        "doctor",
        "look_why_it_is_silent",
        "It takes connections and gives no answer: ask its administrator whether it hangs, and to restart it. Nothing is lost. Over a very slow \
         line: `oms-sync doctor --max-time 1m`.",
    ),
    text(
        "doctor",
        "install_authority",
        "If the server's administrator made the certificate, install their certificate authority on this machine: name a file with its \
         certificate in SSL_CERT_FILE, or add it to the system's, on Debian and Ubuntu with update-ca-certificates; otherwise ask them for a \
         certificate from a public authority.",
    ),
    text(
        "doctor",
        "attach_again",
        "Attach the file to its record again, then run `oms-sync records delete sync_file_reference {id}`.",
    ),
    text(
        "doctor",
        "ask_for_tls",
        "Ask the server's administrator for its https:// address: what is sent to this one is not encrypted. Only if the server has \
         no TLS, and the line is trusted, run `oms-sync init` with its http:// address and --allow-http.",
    ),
    text(
        "identity",
        "enter_central_url",
        "Ask the legacy server's administrator to enter central's address, then run `oms-sync discover`.",
    ),
    text(
        "identity",
        "correct_address",
        "Ask the legacy server's administrator to correct it, or run `oms-sync init` again.",
    ),
    text(
        "identity",
        "activate_store",
        "Ask the server's administrator to make a store active on this site; the next sync brings it. If one is active there, it \
         was lost here: `oms-sync cursor rewind pull-legacy` reads it again.",
    ),
    text(
        "identity",
        "other_site",
        "These credentials are another site's: run `oms-sync init` with this site's, or use another database for that one.",
    ),
    text(
        "identity",
        "discover_again",
        "Run `oms-sync discover`, or the next sync: it takes over what the server says.",
    ),
    // Comparing with central.
    text(
        "audit",
        "lost_here_advice",
        "`oms-sync cursor rewind pull --own` reads it again; edits that are not pushed are kept.",
    ),
    text(
        "audit",
        "not_taken_advice",
        "Look for it at central, there: `oms-sync explain TABLE ID`, `oms-sync quarantine list`; if central does not have it, run, here, \
         `oms-sync resend TABLE ID`.",
    ),
    text(
        "audit",
        "deleted_at_central_advice",
        "`oms-sync cursor rewind pull --own` reads the deletion again; if it is to stay, run `oms-sync resend TABLE ID`.",
    ),
    text(
        "audit",
        "lost_at_central_advice",
        "If central was restored, its administrator must know; `oms-sync resend TABLE ID --received` sends a record of this site \
         there again.",
    ),
    text("audit", "waits_for_another_advice", "`oms-sync quarantine list` says for which."),
    text("audit", "set_aside_advice", WHY),
    text("audit", "refused_by_central_advice", "`oms-sync explain TABLE ID` says why."),
    text("audit", "ignored_advice", "Nothing to do; `oms-sync quarantine retry NUMBER` takes it back."),
    // The alarms of a central server.
    text("alarm", "paused", "the server is paused: sites wait until `oms-sync resume`"),
    text(
        "alarm",
        "records_in_quarantine",
        "{count} {count|record is|records are} in quarantine; `oms-sync quarantine list` shows each with its reason",
    ),
    text(
        "alarm",
        "sign_ins_fail",
        "the sign-ins of {count} {count|site|sites} were refused since the last visit: {sites}. The password here and on the device differ: \
         `oms-sync site set-password NAME`, and `oms-sync init` at the device; or another machine comes as the site: `oms-sync site \
         reset-hardware NAME` lets it in",
    ),
    text(
        "alarm",
        "files_lost",
        "{count} {count|file is|files are} missing or damaged here, {first} first, and no site can fetch {count|it|them}. On the \
         device of a site that has {count|it|them}, there: `oms-sync files resend all` and `oms-sync files sync`. Or copy {count|it|them} from the \
         files of a backup into the folder of files; `oms-sync files verify` shows what is still missing, and ends this alarm",
    ),
    // The list of a central server.
    text(
        "input",
        "store_still_active",
        "1 store is still active on site \"{site}\": {store}; move it with --move-stores-to SITE",
    ),
    text(
        "input",
        "stores_still_active",
        "{count} {count|store is|stores are} still active on site \"{site}\": {stores}; move them with --move-stores-to SITE",
    ),
    // What has to be done first.
    text("input", "first_sync_first", "the first sync of this site is not complete: run `oms-sync sync` first"),
    text("input", "restored_sync_first", "this database was restored from a backup: run `oms-sync sync` first"),
    text("input", "rereading_sync_first", "everything is being read again from central: run `oms-sync sync` first"),
];

const DISCOVER: &str = "Run `oms-sync discover`, and ask the server's administrator what was changed.";

const WHY: &str = "`oms-sync quarantine list` says why.";

const fn advice(code: &'static str, english: &'static str) -> MessageTemplate {
    text(code, "advice", english)
}

const fn cause(code: &'static str, english: &'static str) -> MessageTemplate {
    text(code, "cause", english)
}

const fn text(group: &'static str, name: &'static str, english: &'static str) -> MessageTemplate {
    MessageTemplate::new(group, name, english)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;
    use sync_core::Texts;

    use super::*;
    use crate::args::Args;

    /// The names in braces.
    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    /// What only this program has: flags, environment variables, and commands with their subcommand.
    fn names(command: &clap::Command, path: &str, names: &mut BTreeSet<String>) {
        for arg in command.get_arguments() {
            names.extend(arg.get_long().map(|long| format!("--{long}")));
            names.extend(arg.get_short().map(|short| format!("-{short}")));
            names.extend(arg.get_env().and_then(|name| name.to_str()).map(str::to_owned));
        }
        for sub in command.get_subcommands() {
            names.insert(format!("{path}{}", sub.get_name()));
            self::names(sub, &format!("{} ", sub.get_name()), names);
        }
    }

    #[test]
    fn no_text_of_the_library_names_a_command_or_a_flag() {
        let mut known = BTreeSet::from(["doctor".to_owned(), "rewind".to_owned(), "resend".to_owned()]);
        names(&Args::command(), "", &mut known);
        // A command of one word is an English word too.
        known.retain(|name| name.contains(['-', '_', ' ']) || ["doctor", "rewind", "resend"].contains(&name.as_str()));
        assert!(known.contains("quarantine list") && known.contains("--db") && known.contains("OMS_SYNC_DB"));
        for (group, texts) in Texts::english(&[]).groups() {
            for (name, text) in texts {
                let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c))).collect();
                let pairs = words.windows(2).map(|pair| pair.join(" "));
                let named = words.iter().map(|word| (*word).to_owned()).chain(pairs).find(|word| known.contains(word));
                assert_eq!(named, None, "{group}.{name}: {text}");
                assert!(!text.contains("oms-sync") && !text.contains("OMS_SYNC"), "{group}.{name}: {text}");
            }
        }
    }

    #[test]
    fn every_replaced_text_is_one_of_the_library_with_the_same_details() {
        let library = Texts::english(&[]);
        let mut seen = BTreeSet::new();
        for text in ALL {
            let (group, name) = (text.group, text.name);
            let english = library.of(group, name).unwrap_or_else(|| panic!("the library has no {group}.{name}"));
            assert_eq!(placeholders(english), placeholders(text.english), "{group}.{name}");
            assert!(english != text.english && seen.insert((group, name)), "{group}.{name}");
            assert!(!text.english.contains("  "), "{group}.{name} is one line");
        }
    }
}
