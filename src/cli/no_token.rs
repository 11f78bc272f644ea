//! In place of `adit token`, in a build that takes no tokens.

use super::Exit;
use super::absent::absent;
use crate::features::Feature;

absent!(Token, TokenArgs, "token", Feature::Auth);

/// Never called.
pub fn run_token(token: &Token) -> Exit {
    match *token {}
}
