//! The file of tokens: one a line, with up to three columns behind it.
//!
//! ```text
//! # TOKEN                          NAME   BACKEND        EXPIRES
//! 5f0c6d1ab2e94f7c8d3e1a2b4c5d6e7f alice
//! 91b3c7d2e4f5061728394a5b6c7d8e9f bob    127.0.0.1:5901 2027-01-31T00:00:00Z
//! c0ffee00c0ffee00c0ffee00c0ffee00 -      -              1801353600
//! ```
//!
//! Columns are parted by spaces or tabs, and `-` stands for one that is left
//! out. The expiry is an RFC 3339 date-time in UTC, or Unix seconds. A line
//! that begins with `#` is a comment. Messages say what is wrong in which
//! column, and never what stands there: columns can be mixed up, and then a
//! token stands in any of them.

use super::{Grant, Prints, each_line, time};
use crate::address::Backend;

/// Tokens of fewer characters can be guessed.
const SHORT: usize = 16;

/// The tokens that are let in.
#[derive(Debug, Default)]
pub struct TokenFile {
    prints: Prints,
    known: Vec<Known>,
}

/// What a line says of its token.
#[derive(Debug)]
pub struct Known {
    /// The line.
    pub line: usize,
    /// Whether the token is so short that it can be guessed.
    pub is_short: bool,
    /// The backend that it is for.
    pub backend: Option<Backend>,
    name: Option<String>,
    expires: Option<u64>,
}

impl TokenFile {
    /// Reads a file's text.
    ///
    /// # Errors
    /// All that is wrong, each with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut file = TokenFile::default();
        each_line(text, |line, text| {
            let columns: Vec<_> = text.split_ascii_whitespace().collect();
            file.add(line, &columns)
        })?;
        Ok(file)
    }

    fn add(&mut self, line: usize, columns: &[&str]) -> Result<(), String> {
        if columns.len() > 4 {
            let seen = columns.len();
            return Err(format!(
                "{seen} columns; at most 4 are allowed: TOKEN NAME BACKEND EXPIRES"
            ));
        }
        let token = columns[0];
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token with a character that is not ASCII".to_owned());
        }
        let column = |at: usize| columns.get(at).copied().filter(|text| *text != "-");
        let backend = column(2).map(str::parse::<Backend>).transpose();
        let backend = backend.map_err(|e| format!("column 3, the backend: {}", e.reason()))?;
        let expires = column(3).map(|text| time::parse(text).ok_or(()));
        let expires = expires.transpose().map_err(|()| {
            "column 4, the expiry: write a time in UTC like 2027-01-31T00:00:00Z, or Unix seconds"
        })?;
        if let Err(at) = self.prints.add(token) {
            let first = self.known[at].line;
            return Err(format!("the token of line {first} again"));
        }
        self.known.push(Known {
            line,
            is_short: token.len() < SHORT,
            backend,
            name: column(1).map(str::to_owned),
            expires,
        });
        Ok(())
    }

    /// What is known of a token; `None`: nothing.
    pub fn find(&self, token: &str) -> Option<&Known> {
        self.prints.place(token).map(|at| &self.known[at])
    }

    /// All lines that have a token.
    pub fn known(&self) -> &[Known] {
        &self.known
    }
}

impl Known {
    /// What the token allows, at a time in Unix seconds; `None`: no more.
    pub fn grant(&self, now: u64) -> Option<Grant> {
        if self.expires.is_some_and(|at| now >= at) {
            return None;
        }
        Some(Grant {
            subject: self.name.clone(),
            backend: self.backend.clone(),
            origin: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_token_and_up_to_three_columns() {
        let file = TokenFile::parse(
            "# comment\n\n  # another\none\r\ntwo alice\nthree\tbob  127.0.0.1:1\n\
             four - unix:/s 1970-01-01T00:01:40Z\nfive carol - 100\n",
        )
        .unwrap();
        let (tcp, unix) = ("127.0.0.1:1".parse().ok(), "unix:/s".parse().ok());
        for (token, name, backend, expires) in [
            ("one", None, None, None),
            ("two", Some("alice"), None, None),
            ("three", Some("bob"), tcp, None),
            ("four", None, unix, Some(100)),
            ("five", Some("carol"), None, Some(100)),
        ] {
            let known = file.find(token).expect(token);
            assert_eq!(known.expires, expires);
            let grant = known.grant(99).expect(token);
            assert_eq!(grant.subject.as_deref(), name);
            assert_eq!(grant.backend, backend);
            assert_eq!(known.grant(100).is_none(), expires.is_some());
        }
        for token in ["", "#", "On", "onee", "One", "two alice", "alice", "-"] {
            assert!(file.find(token).is_none(), "{token}");
        }
    }

    #[test]
    fn every_mistake_has_its_line_and_repeats_no_column() {
        let faults = TokenFile::parse(
            "good\na b c\nsecret1 x 127.0.0.1:1 tomorrow\ngood\n\
             t - - - -\nsécret\nu - - 2027-01-31\n",
        )
        .unwrap_err();
        let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
        assert_eq!(
            faults[0].1,
            "column 3, the backend: no port; write HOST:PORT, tcp:HOST:PORT, tls:HOST:PORT, unix:/path or \
             unix:@name"
        );
        assert_eq!(faults[2].1, "the token of line 1 again");
        assert_eq!(
            faults[3].1,
            "5 columns; at most 4 are allowed: TOKEN NAME BACKEND EXPIRES"
        );
        let shown = format!("{faults:?}");
        assert!(!shown.contains("cret") && !shown.contains("tomorrow"));
    }

    #[test]
    fn a_token_is_not_kept() {
        let file = TokenFile::parse("very-secret-token alice\n").unwrap();
        assert!(!format!("{file:?}").contains("very"));
    }
}
