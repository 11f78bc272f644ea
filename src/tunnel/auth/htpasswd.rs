//! Users and their passwords, in a file as `htpasswd -B` writes it: `user:hash`,
//! with bcrypt and nothing weaker.
//!
//! A check takes long by design: that is what keeps a stolen file from being
//! read. So it is prepared here, and run where no tunnel waits for it. A name
//! that nobody has costs as much as one with a wrong password, so that the time
//! tells no names.

use super::offered::Basic;
use super::{Secret, each_line};
use crate::wire::Refusal;
use std::collections::HashMap;

/// 2 to the power of so many rounds: a second or so, and more is no use here.
const MAX_COST: u32 = 14;

/// The users that are let in.
#[derive(Clone, Debug, Default)]
pub struct Htpasswd {
    users: HashMap<String, Hash>,
    /// The highest cost of all, which a name that nobody has is made to cost.
    cost: u32,
}

#[derive(Clone, Debug)]
struct Hash(Secret);

impl Htpasswd {
    /// Reads a file's text.
    ///
    /// # Errors
    /// All that is wrong, each with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut file = Htpasswd::default();
        each_line(text, |_, line| file.add(line.trim()))?;
        Ok(file)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let (user, hash) = match line.split_once(':') {
            Some((user, hash)) if !user.is_empty() => (user, hash),
            _ => return Err("no user; write USER:HASH, as htpasswd -B does".to_owned()),
        };
        let cost = cost(hash).ok_or_else(|| {
            format!("user {user:?}: the hash is not bcrypt's $2y$; write it with htpasswd -B")
        })?;
        if !(4..=MAX_COST).contains(&cost) {
            return Err(format!(
                "user {user:?}: a cost of {cost}; the range is 4 to {MAX_COST}"
            ));
        }
        let hash = Hash(Secret::new(hash));
        if self.users.insert(user.to_owned(), hash).is_some() {
            return Err(format!("user {user:?} stands twice"));
        }
        self.cost = self.cost.max(cost);
        Ok(())
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The check of a password, and how it fails.
    pub fn check(&self, basic: &Basic, wrong: Refusal) -> PasswordCheck {
        let known = self.users.get(&basic.user).map(|hash| hash.0.clone());
        // A hash that no password has.
        let nobodys = || Secret::new(format!("$2y${:02}${}", self.cost.max(4), ".".repeat(53)));
        PasswordCheck {
            is_known: known.is_some(),
            hash: known.unwrap_or_else(nobodys),
            password: basic.password.clone(),
            wrong,
            then: Ok(()),
        }
    }
}

/// The cost of a bcrypt hash: `$2y$`, two digits, `$`, and 53 characters.
fn cost(hash: &str) -> Option<u32> {
    let (cost, rest) = hash.strip_prefix("$2y$")?.split_once('$')?;
    let in_hash = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    let is_hash = rest.len() == 53 && rest.bytes().all(in_hash);
    let is_cost = cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit());
    (is_hash && is_cost).then(|| cost.parse().ok())?
}

/// A password and the hash that it should have.
#[derive(Debug)]
pub struct PasswordCheck {
    hash: Secret,
    is_known: bool,
    password: Secret,
    wrong: Refusal,
    /// What a right one leads to.
    then: Result<(), Refusal>,
}

impl PasswordCheck {
    /// Makes even the right password fail, and only it with this.
    pub fn refuse_then(&mut self, refusal: Refusal) {
        self.then = Err(refusal);
    }

    /// Checks the password. Takes long.
    ///
    /// # Errors
    /// That it is wrong, or what else was.
    pub fn run(self) -> Result<(), Refusal> {
        let is_right = bcrypt::verify(self.password.reveal(), self.hash.reveal());
        match self.is_known && is_right.is_ok_and(|right| right) {
            true => self.then,
            false => Err(self.wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `htpasswd -nbBC 4 alice wonderland` and the like.
    fn line(user: &str, password: &str) -> String {
        let hash = bcrypt::hash_with_result(password, 4).unwrap();
        let hash = hash.format_for_version(bcrypt::Version::TwoY);
        format!("{user}:{hash}\n")
    }

    fn check(file: &Htpasswd, user: &str, password: &str) -> Result<(), Refusal> {
        let basic = Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        };
        file.check(&basic, Refusal::UnknownToken).run()
    }

    #[test]
    fn a_user_is_let_in_with_the_right_password_only() {
        let text = format!(
            "# comment\n\n{}{}",
            line("alice", "wonder:land"),
            line("bob", "")
        );
        let file = Htpasswd::parse(&text).unwrap();
        assert_eq!(file.len(), 2);
        for (user, password, expected) in [
            ("alice", "wonder:land", true),
            ("alice", "wonder", false),
            ("alice", "", false),
            ("bob", "", true),
            ("bob", "x", false),
            ("carol", "", false),
            ("", "", false),
            ("Alice", "wonder:land", false),
        ] {
            assert_eq!(check(&file, user, password).is_ok(), expected, "{user}");
        }
        assert!(check(&Htpasswd::default(), "alice", "").is_err());
    }

    /// The example of crypt_blowfish, whose author gave `$2y$` its meaning.
    #[test]
    fn a_hash_of_another_program_is_known() {
        let text = "u:$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e\n";
        let file = Htpasswd::parse(text).unwrap();
        let basic = Basic {
            user: "u".into(),
            password: Secret::new("\u{ff}\u{ff}\u{a3}"),
        };
        assert!(file.check(&basic, Refusal::UnknownToken).run().is_err());
        assert_eq!(file.cost, 5);
    }

    #[test]
    fn every_mistake_has_its_line_and_repeats_no_hash() {
        let rest = ".".repeat(53);
        let text = format!(
            "plain:secret\nsha:{{SHA}}secret=\napr:$apr1$secret$x\nb:$2b$05${rest}\n\
             short:$2y$05$secret\nslow:$2y$15${rest}\nfast:$2y$03${rest}\nnobody\n:x\n\
             good:$2y$05${rest}\ngood:$2y$05${rest}\n"
        );
        let faults = Htpasswd::parse(&text).unwrap_err();
        let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
        assert!(!format!("{faults:?}").contains("secret"));
        assert_eq!(
            faults[5].1,
            "user \"slow\": a cost of 15; the range is 4 to 14"
        );
    }

    #[test]
    fn a_name_that_nobody_has_costs_as_much() {
        let rest = ".".repeat(53);
        let file = Htpasswd::parse(&format!("a:$2y$04${rest}\nb:$2y$09${rest}\n")).unwrap();
        let basic = Basic {
            user: "nobody".into(),
            password: Secret::new("x"),
        };
        let check = file.check(&basic, Refusal::UnknownToken);
        assert!(check.hash.reveal().starts_with("$2y$09$"));
    }
}
