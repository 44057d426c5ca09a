//! What stands below the help of commands that have no flags worth a file: what to know of them, and examples.

pub(super) const AUDIT: &str = "\
Reads all of it from the beginning into a temporary file, which needs as much
room as the records do; TMPDIR says where. Nothing is changed here or at
central, and no sync runs meanwhile. Stores, names and items are not compared:
they come from the legacy server. Ends with 1 if something differs that should
not, or is set aside.

Examples:
  oms-sync audit
  oms-sync audit --json | jq '.lost[] | [.table, .id, .why]'";

pub(super) const PATIENT: &str = "\
For somebody who stands at the counter: vaccinations and whatever else V6 has of
the patient come at once. Central gives them to a site in one of whose stores the
patient is visible. Edits made here are kept. Needs Open mSupply 2.7.0 or later
at central. Ends with 1 if something is set aside.

Examples:
  oms-sync patient pull 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001
  oms-sync patient pull 0190f7b2-4f0e-7a83-b0de-5b7cf2a9d001 --json";

pub(super) const BUNDLE: &str = "\
Status, log, what is set aside, identity, cursors, settings and the system, as
text files in one archive. What is in it is listed before it is written. No
password, hash or machine id is in it, and of records only tables, ids and names
of fields. Works without network, and with a database that cannot be opened.
Ends with 1 if a part could not be gathered.

Examples:
  oms-sync bundle
  oms-sync bundle --list
  oms-sync bundle /media/stick/clinic.tar.gz --cycles 200";
