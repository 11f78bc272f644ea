//! websockify's files of targets: a token and where it leads.
//!
//! ```text
//! # comment
//! vm1: 192.0.2.7:5901
//! vm2: unix_socket:/run/vm2.sock
//! ```
//!
//! A token ends at the first colon before a space, and a target at its last
//! colon has the port, so that `::1:5900` is an IPv6 address. adit's own way to
//! write a backend is understood too.

use super::{Prints, each_line};
use crate::address::Backend;

/// Where tokens lead.
#[derive(Debug, Default)]
pub struct TokenMap {
    prints: Prints,
    backends: Vec<Backend>,
}

impl TokenMap {
    /// Adds the text of a file.
    ///
    /// # Errors
    /// All that is wrong, each with its line.
    pub fn add(&mut self, text: &str) -> Result<(), Vec<(usize, String)>> {
        each_line(text, |_, line| self.add_line(line.trim()))
    }

    fn add_line(&mut self, line: &str) -> Result<(), String> {
        let ends = |at: &usize| line[at + 1..].starts_with(char::is_whitespace);
        let mut colons = line.match_indices(':').map(|(at, _)| at);
        let (token, target) = match colons.find(ends) {
            Some(at) if at > 0 => (&line[..at], line[at + 1..].trim()),
            _ => return Err("no token; write TOKEN: HOST:PORT".to_owned()),
        };
        let backend = backend(target).map_err(|why| format!("the target: {why}"))?;
        match self.prints.add(token) {
            Ok(()) => self.backends.push(backend),
            Err(at) if self.backends[at] == backend => {}
            Err(_) => return Err("a token that stands before with another target".to_owned()),
        }
        Ok(())
    }

    /// Where a token leads.
    pub fn backend(&self, token: &str) -> Option<&Backend> {
        self.prints.place(token).map(|at| &self.backends[at])
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }
}

fn backend(target: &str) -> Result<Backend, String> {
    let bare_ipv6 = |(host, port): (&str, &str)| {
        let is_bare = host.contains(':') && !host.ends_with(':') && !host.contains('[');
        let address = is_bare || host == "::";
        let has_scheme = ["unix:", "tcp:"].iter().any(|s| target.starts_with(s));
        (address && !has_scheme).then(|| format!("[{host}]:{port}"))
    };
    let text = match target.strip_prefix("unix_socket:") {
        Some(path) => format!("unix:{path}"),
        None => target
            .rsplit_once(':')
            .and_then(bare_ipv6)
            .unwrap_or_else(|| target.to_owned()),
    };
    let backend: Result<Backend, _> = text.parse();
    backend.map_err(|e| e.reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websockifys_files_are_read_as_they_are() {
        let mut map = TokenMap::default();
        map.add(
            "# comment\n\ntoken1: host1.example:5900\n  token2:\t192.0.2.7:5901  \n\
             a:b:c: h:1\nvm 7: h:7\nsix: ::1:6\nsix-b: [::1]:6\nsock: unix_socket:/run/vm.sock\n\
             own: unix:@name\nown-tcp: tcp:h:2\n",
        )
        .unwrap();
        for (token, expected) in [
            ("token1", "host1.example:5900"),
            ("token2", "192.0.2.7:5901"),
            ("a:b:c", "h:1"),
            ("vm 7", "h:7"),
            ("six", "[::1]:6"),
            ("six-b", "[::1]:6"),
            ("sock", "unix:/run/vm.sock"),
            ("own", "unix:@name"),
            ("own-tcp", "h:2"),
        ] {
            let backend = map.backend(token).expect(token);
            assert_eq!(backend.to_string(), expected);
        }
        for token in ["", "token", "token1:", "Token1", "# comment", "vm"] {
            assert_eq!(map.backend(token), None, "{token}");
        }
        assert_eq!(map.len(), 9);
    }

    #[test]
    fn every_mistake_has_its_line() {
        let mut map = TokenMap::default();
        let faults = map
            .add("a: h:1\nno target\n: h:1\nb:h:1\nc: h\nd: h:0\ne: h:x\na: h:2\na: h:1\n")
            .unwrap_err();
        let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(faults[0].1, "no token; write TOKEN: HOST:PORT");
        assert!(faults[3].1.starts_with("the target: no port"));
        assert!(!format!("{map:?}{faults:?}").contains("h:2"));
    }

    #[test]
    fn one_token_may_not_lead_to_two_places() {
        let mut map = TokenMap::default();
        map.add("a: h:1\n").unwrap();
        map.add("a: h:1\n").unwrap();
        assert!(map.add("a: h:2\n").is_err());
        assert_eq!(map.len(), 1);
    }
}
