//! The texts of [`Error::NotAllowed`]. They are declared with the [`Refusal`] that it holds.

use super::Error;
use crate::ownership::Refusal;
use crate::record::RecordId;
use crate::text::{Declared, Details};

pub(super) fn declared(refusal: &Refusal, _: &Option<RecordId>) -> &'static Declared {
    refusal.declared()
}

pub(super) fn details(refusal: &Refusal, id: &Option<RecordId>) -> Details {
    refusal.details_with(id.as_ref())
}

pub(super) fn examples() -> impl Iterator<Item = Error> {
    Refusal::examples().into_iter().map(|refusal| Error::NotAllowed { refusal, id: Some("a1".into()) })
}
