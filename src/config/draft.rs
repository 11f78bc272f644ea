//! A route on its way from words to settings.
//!
//! A draft is a route with its defaults and a note of which keys were given:
//! some rules are about what the user wrote, not about what holds in the end.

use std::collections::BTreeMap;

use super::words::{AUTH, GLOBAL, LISTEN, ListenDraft, PLACE, RULES, find};
use crate::address::Listen;
use crate::server::Settings;
use crate::server::settings::{Confinement, ListenerSettings};
use crate::tunnel::identity::Trusted;
use crate::tunnel::policy::Route;

/// Where a key was given, and whether its values are allowed.
struct Given {
    line: usize,
    good: bool,
}

/// A route, and which of its keys were given.
#[derive(Default)]
pub(super) struct RouteDraft {
    pub(super) route: Route,
    given: BTreeMap<&'static str, Given>,
}

impl RouteDraft {
    /// A draft of a route for which these defaults hold.
    pub(super) fn over(defaults: &Route, line: Option<usize>) -> Self {
        RouteDraft {
            route: Route {
                line,
                ..defaults.clone()
            },
            given: BTreeMap::new(),
        }
    }

    /// Notes that a key was given, and whether all of its values are good.
    pub(super) fn note(&mut self, key: &'static str, line: usize, good: bool) {
        self.given.insert(key, Given { line, good });
    }

    /// The line where a key was given.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        self.given.get(key).map(|given| given.line)
    }

    /// What cannot stand together, each with its line and the message.
    pub(super) fn contradictions(&self) -> Vec<(Option<usize>, String)> {
        let framing = self.route.framing;
        ["frame-type", "invalid-utf8"]
            .into_iter()
            .filter(|key| framing.carries_type() && self.given.contains_key(key))
            .map(|key| {
                let why = "each message carries its own type";
                let text = format!("{key} with framing {framing}, where {why}; leave it out");
                (self.line(key), text)
            })
            .collect()
    }

    /// Why what stands in `auth` asks for nothing.
    fn incomplete_auth(&self) -> Option<&'static str> {
        let auth = &self.route.auth;
        if self.given.get("auth").is_some_and(|given| !given.good) {
            return None;
        }
        let is_token_asked = auth.takes_tokens() || self.route.token_map.is_some();
        match () {
            () if auth.cookie.is_some() && !is_token_asked => {
                Some("a cookie for a token; write token-file or hmac-key-file too, or token-map")
            }
            () if auth.realm.is_some() && !auth.is_asked() && !is_token_asked => {
                Some("a realm alone; write token-file, hmac-key-file or basic-file too")
            }
            () => None,
        }
    }

    /// The finished route, or what is wrong or missing, each with its line.
    pub(super) fn build(self) -> Result<Route, Vec<(Option<usize>, String)>> {
        let mut errors = self.contradictions();
        let is_bad = self.given.get("backend").is_some_and(|given| !given.good);
        if self.route.backends.is_empty() && !is_bad && !self.given.contains_key("token-map") {
            let text = "no backend; write backend = \"HOST:PORT\", \"unix:/path\" or a list";
            errors.push((self.route.line, text.to_owned()));
        }
        if let Some(map) = self.given.get("token-map") {
            let mut clash = |what: &str, why: &str| {
                let text = format!("token-map together with {what}, where {why}");
                errors.push((Some(map.line), text));
            };
            if self.given.get("backend").is_some_and(|given| given.good) {
                clash("backend", "the token says which backend it is");
            }
            if self.route.auth.takes_tokens() {
                clash("token-file or hmac-key-file", "a request has one token");
            }
        }
        if let (Some(text), true) = (self.incomplete_auth(), errors.is_empty()) {
            errors.push((self.line("auth").or(self.route.line), text.to_owned()));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut route = self.route;
        if route.framing.carries_type() {
            // Defaults that were meant for the other routes.
            route.frame_type = Route::default().frame_type;
            route.invalid_utf8 = Route::default().invalid_utf8;
        }
        Ok(route)
    }
}

impl ListenDraft {
    /// The finished listener, or the key that is wrong or missing. `trusted`:
    /// `None` if that is not known.
    pub(super) fn build(
        self,
        trusted: Option<&Trusted>,
    ) -> Result<ListenerSettings, (&'static str, String)> {
        let accept_proxy = self.accept_proxy;
        let tls = self.tls.build();
        let nobody = trusted.is_some_and(|trusted| !trusted.has_networks());
        let Some(address) = self.address else {
            return Err((
                "address",
                "no address; write address = \"PORT\", \"HOST:PORT\" or \"unix:/path\"".to_owned(),
            ));
        };
        let manner = self.manner;
        let has_path = matches!(address, Listen::Unix(_));
        let has_port = matches!(address, Listen::Tcp { .. });
        match address {
            _ if manner.mode.is_some() && !has_path => Err((
                "mode",
                format!("mode with address {address}; only unix:/path has a mode"),
            )),
            _ if manner.reuse_port && !has_port => Err((
                "reuse-port",
                format!("reuse-port with address {address}; only a port can be shared"),
            )),
            _ if accept_proxy && nobody && has_port => Err((
                "accept-proxy",
                "accept-proxy without trusted-proxies; write trusted-proxies = [\"ADDRESS/BITS\"] \
                 with the networks that PROXY headers come from"
                    .to_owned(),
            )),
            address => Ok(ListenerSettings {
                address,
                manner,
                accept_proxy,
                tls: tls?,
            }),
        }
    }
}

/// What is wrong with a group that nobody is to have.
pub(super) fn lone_group(settings: &Settings) -> Option<&'static str> {
    let Confinement { user, group, .. } = &settings.confinement;
    (group.is_some() && user.is_none()).then_some("group without user; write user too")
}

/// What is wrong with the admin pages' address: a listener has it. Port 0 is
/// another one each time.
pub(super) fn shared_admin(settings: &Settings) -> Option<String> {
    let admin = settings.admin.as_ref()?;
    let is_any = matches!(admin, Listen::Tcp { port: 0, .. });
    let mut listeners = settings.listeners.iter();
    let is_taken = !is_any && listeners.any(|listener| listener.address == *admin);
    is_taken.then(|| format!("admin {admin}: clients connect there; write another address"))
}

/// The settings that a command line means: one listener and one route. Each
/// option is a pair of its name, without dashes, and a value; those that can be
/// given again are. The names are the caller's to check: one that is no word
/// is an error.
///
/// # Errors
/// All that is not allowed, a message each.
pub fn command_line(listen: &str, options: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let mut settings = Settings::default();
    let mut listener = ListenDraft::default();
    let mut draft = RouteDraft::over(&Route::default(), None);
    let mut errors = Vec::new();
    let mut trusted = true;
    match listen.parse::<Listen>() {
        Ok(address) => listener.address = Some(address),
        Err(error) => errors.push(error.to_string()),
    }
    for (name, values) in grouped(options) {
        let faults = if let Some(word) = find(PLACE, name).or_else(|| find(RULES, name)) {
            let faults = word.set(&mut draft.route, &values);
            draft.note(word.name, 0, faults.is_empty());
            faults
        } else if let Some(word) = find(AUTH, name.strip_prefix("auth-").unwrap_or(name)) {
            word.set(&mut draft.route.auth, &values)
        } else if let Some(word) = find(GLOBAL, name) {
            let faults = word.set(&mut settings, &values);
            trusted &= faults.is_empty();
            faults
        } else if let Some(word) = find(LISTEN, name) {
            word.set(&mut listener, &values)
        } else {
            vec![(0, format!("{name} is no option"))]
        };
        errors.extend(faults.into_iter().map(|(_, text)| text));
    }
    errors.extend(lone_group(&settings).map(str::to_owned));
    let has_address = listener.address.is_some();
    match listener.build(trusted.then_some(&settings.trusted)) {
        Ok(listener) => settings.listeners.push(listener),
        Err((_, text)) if has_address => errors.push(text),
        Err(_) => {}
    }
    errors.extend(shared_admin(&settings));
    match draft.build() {
        Ok(route) => settings.routes.push(route),
        Err(faults) => errors.extend(faults.into_iter().map(|(_, text)| text)),
    }
    match errors.is_empty() {
        true => Ok(settings),
        false => Err(errors),
    }
}

/// The values of each name together, in the order in which they were given.
pub(super) fn grouped<'a>(options: &[(&'a str, &'a str)]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for &(name, value) in options {
        match groups.iter_mut().find(|group| group.0 == name) {
            Some((_, values)) => values.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_command_line_is_one_listener_and_one_route() {
        let settings = command_line(
            "unix:/s",
            &[
                ("backend", "h:1"),
                ("backend", "unix:/b"),
                ("mode", "0600"),
                ("framing", "lines"),
                ("max-connections", "7"),
            ],
        )
        .unwrap();
        assert_eq!(settings.max_connections, Some(7));
        let [listener] = &settings.listeners[..] else {
            panic!("{settings:?}")
        };
        assert_eq!(listener.manner.mode, Some(0o600));
        let [route] = &settings.routes[..] else {
            panic!("{settings:?}")
        };
        assert_eq!(route.line, None);
        assert_eq!(route.backends.len(), 2);
        assert_eq!(route.framing.name(), "lines");
    }

    /// Where to listen, the options, and how each message begins.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

    fn all_are_named(rows: &[Row<'_>]) {
        for &(listen, options, expected) in rows {
            let errors = command_line(listen, options).unwrap_err();
            assert_eq!(errors.len(), expected.len(), "{errors:?}");
            for (error, expected) in errors.iter().zip(expected) {
                assert!(error.starts_with(expected), "{error} / {expected}");
            }
        }
    }

    #[test]
    fn a_command_line_has_all_its_mistakes_named() {
        let backend = ("backend", "h:1");
        all_are_named(&[
            (
                "x",
                &[("backend", "y"), ("framing", "z")][..],
                &[
                    "listen address \"x\": no port",
                    "backend \"y\": no port",
                    "framing \"z\": write",
                ][..],
            ),
            ("80", &[], &["no backend; write"]),
            (
                "80",
                &[backend, ("mode", "0600")],
                &["mode with address :80; only unix:/path has a mode"],
            ),
            (
                "unix:/s",
                &[backend, ("reuse-port", "true")],
                &["reuse-port with address unix:/s; only a port can be shared"],
            ),
            (
                "80",
                &[
                    backend,
                    ("framing", "record"),
                    ("frame-type", "auto"),
                    ("invalid-utf8", "close"),
                ],
                &[
                    "frame-type with framing record, where each message carries its own type; \
                     leave it out",
                    "invalid-utf8 with framing record",
                ],
            ),
            (
                "80",
                &[backend, ("accept-proxy", "true")],
                &["accept-proxy without trusted-proxies; write"],
            ),
            (
                "80",
                &[
                    backend,
                    ("accept-proxy", "true"),
                    ("trusted-proxies", "unix"),
                ],
                &["accept-proxy without trusted-proxies; write"],
            ),
            (
                "80",
                &[backend, ("accept-proxy", "true"), ("trusted-proxies", "x")],
                &["trusted-proxies \"x\": write an address or a network"],
            ),
            (
                "80",
                &[backend, backend],
                &["backend \"h:1\": stands twice"],
            ),
            (
                "80",
                &[backend, ("nonsense", "1")],
                &["nonsense is no option"],
            ),
        ]);
    }

    #[cfg(feature = "activation")]
    #[test]
    fn a_socket_of_others_has_neither_a_mode_nor_company() {
        let backend = ("backend", "h:1");
        all_are_named(&[
            (
                "systemd",
                &[backend, ("mode", "0600")],
                &["mode with address systemd; only unix:/path has a mode"],
            ),
            (
                "fd:3",
                &[backend, ("reuse-port", "true")],
                &["reuse-port with address fd:3; only a port can be shared"],
            ),
        ]);
    }

    #[cfg(all(feature = "admin", feature = "activation"))]
    #[test]
    fn the_admin_pages_have_an_address_that_adit_opens_for_them_alone() {
        for (admin, expected) in [
            (
                "9090",
                " \"9090\": no host; write 127.0.0.1:9090 for this machine alone, or",
            ),
            (
                "localhost",
                " \"localhost\": no port; write HOST:PORT, [IPV6]:PORT or unix:/path",
            ),
            (
                "systemd:web",
                " \"systemd:web\": adit opens this one itself; write HOST:PORT,",
            ),
            ("fd:3", " \"fd:3\": adit opens this one itself; write"),
            (
                "unix:/s",
                " unix:/s: clients connect there; write another address",
            ),
        ] {
            let errors = command_line("unix:/s", &[("backend", "h:1"), ("admin", admin)]);
            let error = errors.unwrap_err().concat();
            let rest = error.strip_prefix("admin").unwrap();
            assert!(rest.starts_with(expected), "{error}");
        }
    }
}
