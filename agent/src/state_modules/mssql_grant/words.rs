//! What the comments of `mssql_grant` call a grant.

use crate::access::converge::Words;
use crate::access::difference::{Aim, in_words};
use crate::access::grant::GrantWish;

/// A short list of rights in full, a long one by its number.
pub fn of(wish: &GrantWish, aim: Aim) -> Words {
    let mut rights = in_words(&wish.rights);
    rights.extend(wish.server.iter().flat_map(in_words));
    let rights = match rights.as_slice() {
        [] => "No permission".to_owned(),
        [one] => one.clone(),
        more => format!("{} permissions", more.len()),
    };
    let (verb, only) = match aim {
        Aim::Present => ("granted", ""),
        Aim::Absent => ("revoked", ""),
        Aim::Exact(_) => ("granted", " and nothing else"),
    };
    Words {
        subject: format!("{rights}{only} for user {}", wish.user),
        verb,
        nothing: format!("{rights}{only} is already {verb} for user {}", wish.user),
    }
}
