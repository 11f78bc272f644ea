//! The words of the configuration file and of the command line.
//!
//! Each stands here once, with its name, what it sets and what it allows, so
//! the file and the command line cannot differ. A word gets its values as text;
//! what a value's absence means stands with the settings themselves.

use super::tls::TlsDraft;
use super::values::{
    account, address, admin, choice, count, duration, duration_or_off, file, folder, mode, path,
    realm, size, token,
};
use crate::address::{Backend, Listen};
use crate::cidr::Cidr;
use crate::features::Feature;
use crate::net::Manner;
use crate::server::Settings;
use crate::server::settings::Sandbox;
use crate::tunnel::access::Auth;
use crate::tunnel::identity::TrustedProxy;
use crate::tunnel::policy::{OriginRule, Route};
use crate::wire::framing::Framing;
use crate::wire::proxy_protocol::Version;
use crate::wire::ws::{FrameType, InvalidUtf8};

/// A key of the file, and the option of the same name.
pub struct Word<T: 'static> {
    /// The name, without dashes in front.
    pub name: &'static str,
    /// How to empty the list before the first value; `None` where the word
    /// takes one value.
    clear: Option<fn(&mut T)>,
    /// Whether a value may hold a secret, so that no message shows it.
    secret: bool,
    /// What it is a word of, where a build may lack that.
    feature: Option<Feature>,
    add: fn(&mut T, &str) -> Result<(), String>,
}

impl<T> Word<T> {
    pub(super) const fn one(
        name: &'static str,
        add: fn(&mut T, &str) -> Result<(), String>,
    ) -> Self {
        Word {
            name,
            clear: None,
            secret: false,
            feature: None,
            add,
        }
    }

    /// A word of builds that have a feature.
    pub(super) const fn of(
        feature: Feature,
        name: &'static str,
        add: fn(&mut T, &str) -> Result<(), String>,
    ) -> Self {
        Word {
            feature: Some(feature),
            ..Word::one(name, add)
        }
    }

    pub(super) const fn secret(
        name: &'static str,
        add: fn(&mut T, &str) -> Result<(), String>,
    ) -> Self {
        Word {
            secret: true,
            ..Word::one(name, add)
        }
    }

    pub(super) const fn list(
        name: &'static str,
        clear: fn(&mut T),
        add: fn(&mut T, &str) -> Result<(), String>,
    ) -> Self {
        Word {
            name,
            clear: Some(clear),
            secret: false,
            feature: None,
            add,
        }
    }

    /// What the word wants and this build lacks.
    pub fn lacks(&self) -> Option<Feature> {
        self.feature.filter(|feature| !feature.is_built_in())
    }

    /// The word, with values that no message shows.
    pub const fn kept_secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Whether the word takes a list.
    pub fn is_list(&self) -> bool {
        self.clear.is_some()
    }

    /// Replaces what `target` has by these values. Returns the index of each
    /// value that is not allowed, with the message.
    pub fn set<S: AsRef<str>>(&self, target: &mut T, values: &[S]) -> Vec<(usize, String)> {
        if let Some(feature) = self.lacks() {
            return vec![(0, format!("{}: {}", self.name, feature.absence()))];
        }
        if let Some(clear) = self.clear {
            clear(target);
        }
        let add = |(index, value): (usize, &S)| {
            let value = value.as_ref();
            let why = (self.add)(target, value).err()?;
            Some(match self.secret {
                true => (index, format!("{}: {why}", self.name)),
                false => (index, format!("{} {value:?}: {why}", self.name)),
            })
        };
        values.iter().enumerate().filter_map(add).collect()
    }
}

/// The word of this name.
pub fn find<T>(words: &'static [Word<T>], name: &str) -> Option<&'static Word<T>> {
    words.iter().find(|word| word.name == name)
}

/// What an option of the command line wants and this build lacks.
pub fn option_lacks(name: &str) -> Option<Feature> {
    fn of<T>(words: &'static [Word<T>], name: &str) -> Option<Feature> {
        find(words, name).and_then(Word::lacks)
    }
    of(PLACE, name)
        .or_else(|| of(RULES, name))
        .or_else(|| of(AUTH, name.strip_prefix("auth-").unwrap_or(name)))
        .or_else(|| of(GLOBAL, name))
        .or_else(|| of(LISTEN, name))
}

/// What a route is and where it leads: only in a `[[route]]`.
pub const PLACE: &[Word<Route>] = &[
    Word::list(
        "listener",
        |route| route.listeners.clear(),
        |route, text| push(&mut route.listeners, address::<Listen>(text)),
    ),
    Word::one("host", |route, text| {
        put(
            &mut route.host,
            text.parse().map(Some).map_err(str::to_owned),
        )
    }),
    Word::one("path", |route, text| put(&mut route.path, path(text))),
    Word::list(
        "subprotocol",
        |route| route.subprotocols.clear(),
        |route, text| push(&mut route.subprotocols, token(text)),
    ),
    Word::list(
        "backend",
        |route| route.backends.clear(),
        |route, text| push(&mut route.backends, address::<Backend>(text)),
    ),
    Word::of(Feature::Auth, "token-map", |route, text| {
        put(&mut route.token_map, file(text).map(Some))
    }),
];

/// What a route's `auth` says. On the command line `cookie` and `realm` have
/// `auth-` in front.
pub const AUTH: &[Word<Auth>] = &[
    Word::of(Feature::Auth, "token-file", |auth, text| {
        put(&mut auth.token_file, file(text).map(Some))
    }),
    Word::of(Feature::Auth, "hmac-key-file", |auth, text| {
        put(&mut auth.hmac_key_file, file(text).map(Some))
    }),
    Word::of(Feature::Auth, "basic-file", |auth, text| {
        put(&mut auth.basic_file, file(text).map(Some))
    }),
    Word::of(Feature::Auth, "cookie", |auth, text| {
        put(&mut auth.cookie, token(text).map(Some))
    }),
    Word::of(Feature::Auth, "realm", |auth, text| {
        put(&mut auth.realm, realm(text).map(Some))
    }),
];

/// What holds on a route: in a `[[route]]`, or above as the default for all.
pub const RULES: &[Word<Route>] = &[
    Word::of(Feature::Tls, "backend-ca", |route, text| {
        put(&mut route.backend_tls.ca, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "backend-insecure", |route, text| {
        put(&mut route.backend_tls.insecure, choice(text, SWITCH))
    }),
    Word::of(Feature::Tls, "backend-cert", |route, text| {
        put(&mut route.backend_tls.cert, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "backend-key", |route, text| {
        put(&mut route.backend_tls.key, file(text).map(Some))
    }),
    Word::one("max-connections-per-backend", |route, text| {
        put(&mut route.max_connections_per_backend, count(text))
    }),
    Word::one("new-connections-per-second-per-route", |route, text| {
        put(&mut route.new_connections_per_second, count(text))
    }),
    Word::list(
        "allow",
        |route| route.addresses.allow.clear(),
        |route, text| push(&mut route.addresses.allow, text.parse::<Cidr>()),
    ),
    Word::list(
        "deny",
        |route| route.addresses.deny.clear(),
        |route, text| push(&mut route.addresses.deny, text.parse::<Cidr>()),
    ),
    Word::one("framing", |route, text| {
        let names = Framing::ALL
            .iter()
            .map(|&framing| (framing.name(), framing));
        put(&mut route.framing, choice(text, names))
    }),
    Word::one("frame-type", |route, text| {
        put(&mut route.frame_type, choice(text, FRAME_TYPES))
    }),
    Word::one("invalid-utf8", |route, text| {
        put(&mut route.invalid_utf8, choice(text, INVALID_UTF8))
    }),
    Word::one("max-message", |route, text| {
        put(&mut route.max_message, size(text))
    }),
    Word::list(
        "origin",
        |route| route.origins.0.clear(),
        |route, text| push(&mut route.origins.0, text.parse::<OriginRule>()),
    ),
    Word::one("require-origin", |route, text| {
        put(&mut route.require_origin, choice(text, SWITCH))
    }),
    Word::one("send-proxy", |route, text| {
        let versions = VERSIONS.map(|(name, version)| (name, Some(version)));
        let names = versions.into_iter().chain([("off", None)]);
        put(&mut route.send_proxy, choice(text, names))
    }),
    Word::secret("greeting", |route, text| {
        put(&mut route.greeting, text.parse())
    }),
    Word::one("ping-interval", |route, text| {
        put(&mut route.timeouts.ping, duration_or_off(text))
    }),
    Word::one("idle-timeout", |route, text| {
        put(&mut route.timeouts.idle, duration_or_off(text))
    }),
    Word::one("connect-timeout", |route, text| {
        put(&mut route.timeouts.connect, duration(text))
    }),
    Word::one("close-timeout", |route, text| {
        put(&mut route.timeouts.close, duration(text))
    }),
];

/// What is about the whole server: only above the tables.
pub const GLOBAL: &[Word<Settings>] = &[
    Word::one("max-connections", |settings, text| {
        put(&mut settings.max_connections, count(text))
    }),
    Word::one("max-connections-per-client", |settings, text| {
        put(&mut settings.limits.connections_per_client, count(text))
    }),
    Word::one("new-connections-per-second", |settings, text| {
        put(&mut settings.limits.rate, count(text))
    }),
    Word::one("new-connections-per-second-per-client", |settings, text| {
        put(&mut settings.limits.rate_per_client, count(text))
    }),
    Word::one("handshake-timeout", |settings, text| {
        put(&mut settings.handshake_timeout, duration(text))
    }),
    Word::one("exit-idle", |settings, text| {
        put(&mut settings.exit_idle, duration_or_off(text))
    }),
    Word::one("drain-timeout", |settings, text| {
        put(&mut settings.drain_timeout, duration(text))
    }),
    Word::list(
        "trusted-proxies",
        |settings| settings.trusted.0.clear(),
        |settings, text| push(&mut settings.trusted.0, text.parse::<TrustedProxy>()),
    ),
    Word::one("user", |settings, text| {
        put(&mut settings.confinement.user, account(text).map(Some))
    }),
    Word::one("group", |settings, text| {
        put(&mut settings.confinement.group, account(text).map(Some))
    }),
    Word::one("chroot", |settings, text| {
        put(&mut settings.confinement.chroot, folder(text).map(Some))
    }),
    Word::of(Feature::Admin, "admin", |settings, text| {
        put(&mut settings.admin, admin(text).map(Some))
    }),
    Word::one("sandbox", |settings, text| {
        let sandbox = match choice(text, SANDBOX) {
            Ok(Sandbox::Require) if !Feature::Sandbox.is_built_in() => {
                Err(Feature::Sandbox.absence().to_owned())
            }
            sandbox => sandbox,
        };
        put(&mut settings.confinement.sandbox, sandbox)
    }),
    Word::one("pid-file", |settings, text| {
        put(&mut settings.pid_file, file(text).map(Some))
    }),
];

/// A listener that may not have its address yet.
#[derive(Clone, Debug, Default)]
pub struct ListenDraft {
    /// The address, once it is known.
    pub address: Option<Listen>,
    /// How to open it.
    pub manner: Manner,
    /// See [`crate::server::settings::ListenerSettings::accept_proxy`].
    pub accept_proxy: bool,
    /// TLS there.
    pub tls: TlsDraft,
}

/// What a `[[listen]]` says.
pub const LISTEN: &[Word<ListenDraft>] = &[
    Word::one("address", |listen, text| {
        put(&mut listen.address, address(text).map(Some))
    }),
    Word::one("mode", |listen, text| {
        put(&mut listen.manner.mode, mode(text).map(Some))
    }),
    Word::one("reuse-port", |listen, text| {
        put(&mut listen.manner.reuse_port, choice(text, SWITCH))
    }),
    Word::one("accept-proxy", |listen, text| {
        put(&mut listen.accept_proxy, choice(text, SWITCH))
    }),
    Word::of(Feature::Tls, "tls-cert", |listen, text| {
        put(&mut listen.tls.own.cert, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "tls-key", |listen, text| {
        put(&mut listen.tls.own.key, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "client-ca", |listen, text| {
        put(&mut listen.tls.client_ca, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "client-auth", |listen, text| {
        let names = [("required", Some(true)), ("optional", Some(false))];
        put(&mut listen.tls.client_required, choice(text, names))
    }),
    Word::of(Feature::Tls, "plain", |listen, text| {
        let names = [("redirect", Some(false)), ("allow", Some(true))];
        put(&mut listen.tls.plain, choice(text, names))
    }),
];

pub(super) const SWITCH: [(&str, bool); 2] = [("true", true), ("false", false)];

/// The names of the PROXY protocol's versions.
pub const VERSIONS: [(&str, Version); 2] = [("v1", Version::V1), ("v2", Version::V2)];

/// The names of the frame types.
pub const FRAME_TYPES: [(&str, FrameType); 4] = [
    ("text", FrameType::Text),
    ("binary", FrameType::Binary),
    ("mirror", FrameType::Mirror),
    ("auto", FrameType::Auto),
];

/// The names of what can happen to text that is not UTF-8.
pub const INVALID_UTF8: [(&str, InvalidUtf8); 2] = [
    ("close", InvalidUtf8::Close),
    ("replace", InvalidUtf8::Replace),
];

/// The names of what the sandbox can be.
const SANDBOX: [(&str, Sandbox); 3] = [
    ("auto", Sandbox::Auto),
    ("require", Sandbox::Require),
    ("off", Sandbox::Off),
];

/// The name of a value in such a table.
pub fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names
        .iter()
        .find_map(|&(name, named)| (named == value).then_some(name))
        .unwrap_or_default()
}

pub(super) fn put<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}

pub(super) fn push<T: PartialEq>(
    list: &mut Vec<T>,
    value: Result<T, String>,
) -> Result<(), String> {
    let value = value?;
    if list.contains(&value) {
        return Err("stands twice in the list; once is enough".to_owned());
    }
    list.push(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, values: &[&str]) -> Result<Route, Vec<(usize, String)>> {
        let word = find(RULES, name).or_else(|| find(PLACE, name));
        let mut route = Route::default();
        let errors = word.map(|word| word.set(&mut route, values));
        match errors {
            Some(errors) if errors.is_empty() => Ok(route),
            errors => Err(errors.unwrap_or_default()),
        }
    }

    /// (word, value, what is said of it)
    const REFUSED: &[(&str, &str, &str)] = &[
        (
            "framing",
            "line",
            "framing \"line\": write raw, lines, crlf, json-lines, json, nul, length-u8, \
                 length-u16, length-u32, length-u32le, content-length or record",
        ),
        (
            "frame-type",
            "Text",
            "frame-type \"Text\": write text, binary, mirror or auto",
        ),
        (
            "invalid-utf8",
            "",
            "invalid-utf8 \"\": write close or replace",
        ),
        (
            "require-origin",
            "yes",
            "require-origin \"yes\": write true or false",
        ),
        (
            "max-message",
            "0",
            "max-message \"0\": the range is 1 to 9223372036854775807 bytes",
        ),
        (
            "idle-timeout",
            "0",
            "idle-timeout \"0\": the range is 1ms to 8760h, or off",
        ),
        (
            "connect-timeout",
            "off",
            "connect-timeout \"off\": it cannot be off; the range is 1ms to 8760h",
        ),
        ("send-proxy", "v3", "send-proxy \"v3\": write v1, v2 or off"),
        // It may hold a password.
        (
            "greeting",
            "WEBIRC secret adit %x",
            "greeting: %x stands for nothing; write %a, %h, %p, %H, %u, %q, %o, %s, %t, %c, \
                 %C or %%",
        ),
        (
            "path",
            "chat",
            "path \"chat\": write a path that begins with /",
        ),
        (
            "path",
            "/a?b",
            "path \"/a?b\": write the path alone, without ? or #",
        ),
        (
            "path",
            "/ä b",
            "path \"/ä b\": write it percent-encoded, as it comes in a request",
        ),
        (
            "host",
            "example.org:80",
            "host \"example.org:80\": the port has no place here; write the host alone",
        ),
        (
            "host",
            "https://example.org",
            "host \"https://example.org\": write a host like example.org, *.example.org, \
                 192.0.2.1 or [::1]",
        ),
        (
            "subprotocol",
            "a, b",
            "subprotocol \"a, b\": write one name of letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            "allow",
            "10.0.0.1/8",
            "allow \"10.0.0.1/8\": there are bits beyond the prefix; write 10.0.0.0/8, or \
                 10.0.0.1 alone",
        ),
        (
            "deny",
            "all",
            "deny \"all\": write an address or a network like 192.0.2.1, 10.0.0.0/8 or ::1/128",
        ),
        (
            "new-connections-per-second-per-route",
            "0",
            "new-connections-per-second-per-route \"0\": write a number from 1 to 4294967295, \
                 or off",
        ),
    ];

    #[test]
    fn what_is_not_allowed_is_said_with_what_is() {
        for &(name, value, message) in REFUSED {
            assert_eq!(rule(name, &[value]), Err(vec![(0, message.to_owned())]));
        }
        let error = "x".parse::<Listen>().unwrap_err();
        let message = format!("listener \"x\": {}", error.reason());
        assert_eq!(rule("listener", &["x"]), Err(vec![(0, message)]));
    }

    #[test]
    fn every_bad_value_of_a_list_is_found() {
        let result = rule("subprotocol", &["a", "", "b", "a", "c d"]);
        let indexes = result.map_err(|errors| errors.iter().map(|error| error.0).collect());
        assert_eq!(indexes, Err(vec![1, 3, 4]));
    }

    #[test]
    fn a_list_replaces_the_list_before() {
        let mut route = Route::default();
        let word = &PLACE[3];
        assert_eq!(word.set(&mut route, &["a", "b"]), []);
        assert_eq!(word.set(&mut route, &["c"]), []);
        assert_eq!(route.subprotocols, ["c"]);
        assert_eq!(word.set::<&str>(&mut route, &[]), []);
        assert!(route.subprotocols.is_empty());
    }

    #[test]
    fn each_name_leads_to_its_value_and_back() {
        for (name, value) in FRAME_TYPES {
            assert_eq!(name_of(&FRAME_TYPES, value), name);
            assert_eq!(rule("frame-type", &[name]).map(|r| r.frame_type), Ok(value));
        }
        for (name, value) in INVALID_UTF8 {
            assert_eq!(name_of(&INVALID_UTF8, value), name);
            assert_eq!(
                rule("invalid-utf8", &[name]).map(|r| r.invalid_utf8),
                Ok(value)
            );
        }
        for &framing in Framing::ALL.iter() {
            assert_eq!(
                rule("framing", &[framing.name()]).map(|r| r.framing),
                Ok(framing)
            );
        }
    }
}
