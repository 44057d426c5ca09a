//! The losses that answers claim for central, read independently of the engine, and the required reaction of a site.

use serde_json::Value;
use sync_core::protocol::v6::path;
use sync_core::storage::state;

use super::answers::{Served, state_number};
use super::small_world::SmallWorld;
use crate::world::{SiteEnd, get};

/// The first loss that answers claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loss {
    /// Which answer.
    pub at: usize,
    /// The lowest cursor that central claims to have kept.
    pub after: u64,
    /// The highest cursor with which it claims to have continued.
    pub before: u64,
}

/// From where a pull asks.
pub(super) fn asked_from(served: &Served) -> u64 {
    let request: Value = serde_json::from_slice(&served.request.body).expect("a pull is JSON");
    request["cursor"].as_u64().expect("a pull names a cursor")
}

/// The loss that is claimed first, if it is claimed so plainly that every reader understands it: what comes before or
/// stands beside it may be beyond this reading.
pub(super) fn first_loss(served: &[Served]) -> Option<Loss> {
    let claims = |served: &Served| {
        let body = String::from_utf8_lossy(&served.response.body);
        !served.is_good && body.contains("lost_history")
    };
    let at = served.iter().position(claims)?;
    let (question, answer) = (&served[at].request, &served[at].response);
    let is_json = answer.headers.iter().any(|(name, value)| name == "content-type" && value == "application/json");
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let data = body.as_object().filter(|body| body.len() == 1 && is_json && answer.status == 200)?.get("data")?;
    match served[at].path {
        path::PULL => {
            let in_range = data["end_cursor"].as_u64()? < i64::MAX as u64;
            (in_range && data["is_last_batch"].is_boolean() && data["records"].is_array()).then_some(())?;
        }
        path::PUSH => {
            let question: Value = serde_json::from_slice(&question.body).ok()?;
            let sent = question["batch"]["records"].as_array()?.len() as u64;
            (sent > 0 && data["records_pushed"].as_u64()? == sent).then_some(())?;
        }
        _ => return None,
    }
    let parts: Vec<(u64, u64)> = data["lost_history"]
        .as_array()?
        .iter()
        .map(|part| {
            let part = part.as_object().filter(|part| part.len() == 2)?;
            Some((part.get("after")?.as_u64()?, part.get("before")?.as_u64()?))
        })
        .collect::<Option<_>>()?;
    // A number that no changelog reaches claims nothing, and neither does a part that ends before it begins.
    let is_part = |(after, before): &&(u64, u64)| (1..i64::MAX as u64).contains(before) && after < before;
    let parts = || parts.iter().filter(is_part);
    Some(Loss { at, after: parts().map(|part| part.0).min()?, before: parts().map(|part| part.1).max()? })
}

/// A site that went on after such an answer reads everything from the beginning. `since` begins with that answer.
#[track_caller]
pub(super) fn assert_read_again(site: &SiteEnd, since: &[Served], loss: &Loss) {
    let mut later = since[1..].iter().filter(|served| served.path == path::PULL);
    let begins_anew =
        later.any(|served| asked_from(served) == 0) || state_number(site, state::PULL_CURSOR_V6.name()) == 0;
    assert!(begins_anew, "central claims {loss:?}, and the site goes on reading where it was");
    assert!(
        state_number(site, state::CENTRAL_LOST_KNOWN.name()) >= loss.before,
        "{loss:?} is claimed and not remembered"
    );
}

/// A central server that was believed to have lost everything, and has been good since: the site has all of its
/// records, and central has the site's edit, even if the edit was acknowledged before.
#[track_caller]
pub(super) fn assert_whole_again(world: &SmallWorld, site: &SiteEnd, loss: &Loss) {
    for id in ["before", "planted"] {
        let (there, here) = (get(&world.records, "asset_class", id), site.get("asset_class", id));
        assert!(
            there.is_some() && here == there,
            "after {loss:?}, {id} is {there:?} at central and {here:?} at the site"
        );
    }
    let (there, here) = (get(&world.records, "asset", "edit"), site.get("asset", "edit"));
    assert!(
        there.is_some() && here == there,
        "after {loss:?}, the edit is {there:?} at central and {here:?} at the site"
    );
}
