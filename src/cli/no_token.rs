//! In place of `adit token`, in a build that takes no tokens.

use super::Exit;
use super::absent::absent;

absent!(Token, TokenArgs, "token");

/// Never called.
pub fn run_token(token: &Token) -> Exit {
    match *token {}
}
