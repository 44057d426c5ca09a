//! The setting with the role of a database.

use super::{Setting, SettingValue};
use crate::error::Result;
use crate::role::Role;
use crate::storage::ReadTxn;

/// The role of the database.
pub const ROLE: Setting<Role> = Setting::lenient("role");

/// The role of a database, once it is known.
pub(crate) fn role(txn: &dyn ReadTxn) -> Result<Option<Role>> {
    ROLE.find(txn)
}

impl SettingValue for Role {
    fn from_text(text: &str) -> Option<Self> {
        [Self::Central, Self::Remote].into_iter().find(|role| role.as_str() == text)
    }

    fn to_text(&self) -> String {
        self.as_str().to_owned()
    }
}
