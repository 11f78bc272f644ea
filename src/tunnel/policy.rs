//! Which route a request takes, and whether its origin may.
//!
//! Of the routes that match, only the most specific count: an exact host goes
//! before a wildcard, a long wildcard before a short one, any host before
//! none, and then the longest path. Routes that are equal in both form a
//! group, and the subprotocols that the client offers, in its order, choose
//! among them. So one URL can lead to several services, and a general route
//! never answers for a special one.
//!
//! Nothing here waits or looks anything up: the tunnel asks with a request
//! from the wire, and `adit check --url` with one made up.

use super::Refusal;
use crate::address::Listen;

pub mod addresses;
pub mod host;
pub mod origin;
pub mod route;

pub use addresses::Addresses;
pub use host::HostPattern;
pub use origin::{OriginRule, Origins};
pub use route::{Route, Timeouts};

/// What of a request head decides where it goes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The Host header's value, with the port if it has one.
    pub host: &'a str,
    /// Whether it is known that the request came over TLS.
    pub https: bool,
    /// The path, without the query and as it was sent: percent-encoded, not
    /// normalized.
    pub path: &'a str,
    /// The Origin header's value.
    pub origin: Option<&'a str>,
    /// The subprotocols offered, in the client's order.
    pub subprotocols: Vec<&'a str>,
}

/// The route that a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<'r, 'q> {
    /// The route's place in the list.
    pub index: usize,
    /// The route.
    pub route: &'r Route,
    /// The subprotocol to answer with.
    pub subprotocol: Option<&'q str>,
}

/// Finds the route for a request that came in at `listener`.
pub fn choose<'r, 'q>(
    routes: &'r [Route],
    listener: &Listen,
    request: &Request<'q>,
) -> Result<Choice<'r, 'q>, Refusal> {
    let choice = by_subprotocol(&group(routes, listener, request), request)?;
    match request.origin {
        None if choice.route.require_origin => Err(Refusal::Origin(None)),
        Some(origin)
            if !choice
                .route
                .origins
                .allow(origin, request.host, request.https) =>
        {
            Err(Refusal::Origin(Some(origin.to_owned())))
        }
        _ => Ok(choice),
    }
}

/// The most specific of the routes that match, each with its index.
fn group<'r>(
    routes: &'r [Route],
    listener: &Listen,
    request: &Request<'_>,
) -> Vec<(usize, &'r Route)> {
    let host = host::authority(request.host).map(|(host, _)| host);
    let mut group: Vec<_> = routes
        .iter()
        .enumerate()
        .filter(|(_, route)| matches(route, listener, host, request.path))
        .collect();
    // All of them match the same host and path, so patterns of equal rank are
    // equal patterns.
    let best = group.iter().map(|(_, route)| rank(route)).max();
    group.retain(|(_, route)| Some(rank(route)) == best);
    group
}

fn matches(route: &Route, listener: &Listen, host: Option<&str>, path: &str) -> bool {
    let here = route.listeners.is_empty() || route.listeners.contains(listener);
    let for_host = match &route.host {
        Some(pattern) => host.is_some_and(|host| pattern.matches(host)),
        None => true,
    };
    here && for_host && is_below(path, stem(&route.path))
}

fn rank(route: &Route) -> (Option<(bool, usize)>, usize) {
    let host = route.host.as_ref().map(HostPattern::rank);
    (host, stem(&route.path).len())
}

/// A path pattern as it is compared: `/t/` means the same as `/t`.
pub fn stem(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn is_below(path: &str, stem: &str) -> bool {
    path.strip_prefix(stem)
        .is_some_and(|rest| stem.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

fn by_subprotocol<'r, 'q>(
    group: &[(usize, &'r Route)],
    request: &Request<'q>,
) -> Result<Choice<'r, 'q>, Refusal> {
    let listed = request.subprotocols.iter().find_map(|&offered| {
        let lists = |(_, route): &&(usize, &Route)| {
            route.is_subprotocol(offered) && route.subprotocols.iter().any(|s| s == offered)
        };
        group.iter().find(lists).map(|found| (found, Some(offered)))
    });
    let unlisted = || {
        let open = |(_, route): &&(usize, &Route)| route.subprotocols.is_empty();
        let found = group.iter().find(open)?;
        let mut offered = request.subprotocols.iter().copied();
        Some((found, offered.find(|name| found.1.is_subprotocol(name))))
    };
    match listed.or_else(unlisted) {
        Some((&(index, route), subprotocol)) => Ok(Choice {
            index,
            route,
            subprotocol,
        }),
        None if group.is_empty() => Err(Refusal::NotFound),
        None => Err(Refusal::Subprotocol(served(group))),
    }
}

fn served(group: &[(usize, &Route)]) -> Vec<String> {
    let mut served: Vec<String> = Vec::new();
    for subprotocol in group.iter().flat_map(|(_, route)| &route.subprotocols) {
        if !served.contains(subprotocol) {
            served.push(subprotocol.clone());
        }
    }
    served
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::access::Auth;
    use std::path::PathBuf;

    fn listener(port: u16) -> Listen {
        Listen::Tcp { host: None, port }
    }

    /// A route from `HOST/PATH`, where the host may be missing, and a list of
    /// subprotocols.
    fn route(place: &str, subprotocols: &[&str]) -> Route {
        let cut = place.find('/').unwrap();
        Route {
            host: (cut > 0).then(|| place[..cut].parse().unwrap()),
            path: place[cut..].to_owned(),
            subprotocols: subprotocols.iter().map(|&s| s.to_owned()).collect(),
            ..Route::default()
        }
    }

    fn request<'a>(place: &'a str, subprotocols: &[&'a str]) -> Request<'a> {
        let cut = place.find('/').unwrap();
        Request {
            host: &place[..cut],
            https: false,
            path: &place[cut..],
            origin: None,
            subprotocols: subprotocols.to_vec(),
        }
    }

    fn index(routes: &[Route], request: &Request<'_>) -> Result<usize, Refusal> {
        choose(routes, &listener(80), request).map(|choice| {
            assert_eq!(choice.route, &routes[choice.index]);
            choice.index
        })
    }

    #[test]
    fn an_offered_token_is_a_subprotocol_only_where_none_is_taken() {
        let with_auth = |place, subprotocols: &[&str], auth| Route {
            auth,
            ..route(place, subprotocols)
        };
        let auth = |tokens: Option<&str>, basic: Option<&str>| Auth {
            token_file: tokens.map(PathBuf::from),
            basic_file: basic.map(PathBuf::from),
            ..Auth::default()
        };
        let routes = [
            route("/open", &[]),
            route("/listed", &["bearer.x"]),
            with_auth("/password", &[], auth(None, Some("f"))),
            with_auth("/tokens", &[], auth(Some("f"), None)),
            with_auth("/both", &["bearer.x", "mqtt"], auth(Some("f"), None)),
            Route {
                token_map: Some("f".into()),
                ..route("/map", &[])
            },
        ];
        for (place, offered, expected) in [
            ("h/open", &["bearer.x"][..], Ok(Some("bearer.x"))),
            ("h/open", &["bearer.x", "a"], Ok(Some("bearer.x"))),
            ("h/listed", &["a", "bearer.x"], Ok(Some("bearer.x"))),
            ("h/password", &["bearer.x"], Ok(Some("bearer.x"))),
            ("h/tokens", &["bearer.x"], Ok(None)),
            ("h/tokens", &["bearer.x", "a"], Ok(Some("a"))),
            ("h/both", &["bearer.x", "mqtt"], Ok(Some("mqtt"))),
            ("h/both", &["bearer.x"], Err(400)),
            ("h/map", &["bearer.x", "a"], Ok(Some("a"))),
        ] {
            let request = request(place, offered);
            let choice = choose(&routes, &listener(80), &request);
            let found = choice.map(|choice| choice.subprotocol);
            let found = found.map_err(|refusal| refusal.status());
            assert_eq!(found, expected, "{place} {offered:?}");
        }
    }

    #[test]
    fn a_path_matches_by_whole_segments() {
        for (pattern, path, expected) in [
            ("/t", "/t", true),
            ("/t", "/t/", true),
            ("/t", "/t/x", true),
            ("/t", "/tXYZ", false),
            ("/t", "/T", false),
            ("/t", "/", false),
            ("/t", "/x/t", false),
            ("/t", "/%74", false),
            ("/t/", "/t", true),
            ("/t/", "/t/x", true),
            ("/t/", "/tx", false),
            ("/t/u", "/t", false),
            ("/t/u", "/t/u/v", true),
            ("/", "/", true),
            ("/", "/anything/at/all", true),
            ("/", "/?", true),
        ] {
            let found = index(&[route(pattern, &[])], &request(&format!("h{path}"), &[]));
            assert_eq!(found.is_ok(), expected, "{pattern} {path}");
            if !expected {
                assert_eq!(found, Err(Refusal::NotFound));
            }
        }
    }

    #[test]
    fn the_most_specific_route_is_taken() {
        let routes: Vec<_> = [
            "/",
            "/a",
            "/a/b/",
            "*.example.org/",
            "*.x.example.org/",
            "*.example.org/a/b/c",
            "w.x.example.org/",
            "w.x.example.org/a",
            "[::1]/",
        ]
        .map(|place| route(place, &[]))
        .into();
        for (place, expected) in [
            ("h/", 0),
            ("h/b", 0),
            ("/", 0),
            ("a b/", 0),
            ("h/a", 1),
            ("h/ab", 0),
            ("h/a/c", 1),
            ("h/a/b", 2),
            ("h/a/b/c", 2),
            // The host goes before the path.
            ("example.org/a", 1),
            ("y.example.org/a", 3),
            ("evilexample.org/", 0),
            ("y.example.org/a/b/c", 5),
            ("y.x.example.org/a/b/c", 4),
            ("w.x.example.org/", 6),
            ("w.x.example.org/ab", 6),
            ("W.X.Example.ORG:8080/a", 7),
            ("w.x.example.org.:8080/a", 7),
            ("v.w.x.example.org/a", 4),
            ("[::1]/", 8),
            ("[::1]:8080/", 8),
            ("[::2]:8080/", 0),
            ("x@[::1]/", 0),
        ] {
            assert_eq!(
                index(&routes, &request(place, &[])),
                Ok(expected),
                "{place}"
            );
        }
    }

    #[test]
    fn a_route_of_other_listeners_does_not_match() {
        let mut routes = [route("/a", &[]), route("/", &[])];
        routes[0].listeners = vec![listener(81), listener(82)];
        let request = request("h/a", &[]);
        for (port, expected) in [(80, 1), (81, 0), (82, 0)] {
            let choice = choose(&routes, &listener(port), &request).unwrap();
            assert_eq!(choice.index, expected);
        }
        routes[1].listeners = vec![Listen::Unix("/s".into())];
        assert_eq!(index(&routes, &request), Err(Refusal::NotFound));
    }

    #[test]
    fn the_clients_order_of_subprotocols_decides() {
        let routes = [
            route("/", &["binary", "base64"]),
            route("/", &["chat"]),
            route("/", &["chat", "other"]),
        ];
        for (offered, expected, echoed) in [
            (&["chat", "binary"][..], 1, "chat"),
            (&["binary", "chat"], 0, "binary"),
            (&["base64"], 0, "base64"),
            (&["unknown", "base64", "chat"], 0, "base64"),
            (&["other", "chat"], 2, "other"),
        ] {
            let request = request("h/", offered);
            let choice = choose(&routes, &listener(80), &request).unwrap();
            assert_eq!(choice.index, expected, "{offered:?}");
            assert_eq!(choice.subprotocol, Some(echoed));
        }
        for offered in [&[][..], &["unknown"], &["Chat"]] {
            assert_eq!(
                index(&routes, &request("h/", offered)),
                Err(Refusal::Subprotocol(
                    ["binary", "base64", "chat", "other"]
                        .map(str::to_owned)
                        .into()
                )),
            );
        }
    }

    #[test]
    fn a_route_without_a_list_takes_the_rest() {
        let routes = [route("/", &[]), route("/", &["mqtt"]), route("/", &[])];
        for (offered, expected, echoed) in [
            (&[][..], 0, None),
            (&["mqtt"], 1, Some("mqtt")),
            (&["chat", "mqtt"], 1, Some("mqtt")),
            (&["chat", "stomp"], 0, Some("chat")),
        ] {
            let request = request("h/", offered);
            let choice = choose(&routes, &listener(80), &request).unwrap();
            assert_eq!(choice.index, expected, "{offered:?}");
            assert_eq!(choice.subprotocol, echoed);
        }
    }

    #[test]
    fn a_less_specific_route_does_not_serve_a_subprotocol_instead() {
        let routes = [
            route("/", &["chat"]),
            route("/a", &["mqtt"]),
            route("h/", &["stomp"]),
        ];
        let refusal = |s: &str| Err(Refusal::Subprotocol(vec![s.to_owned()]));
        assert_eq!(index(&routes, &request("x/a", &["chat"])), refusal("mqtt"));
        assert_eq!(index(&routes, &request("h/a", &["mqtt"])), refusal("stomp"));
        assert_eq!(index(&routes, &request("x/b", &["chat"])), Ok(0));
    }

    #[test]
    fn the_origin_rules_are_those_of_the_chosen_route() {
        let mut routes = [route("/", &[]), route("/a", &[])];
        routes[1].origins = Origins(vec!["https://app.example".parse().unwrap()]);
        routes[1].require_origin = true;
        for (path, origin, expected) in [
            ("/", None, Ok(0)),
            ("/", Some("http://h:8080"), Ok(0)),
            ("/", Some("http://h"), Err(())),
            ("/", Some("https://app.example"), Err(())),
            ("/", Some("null"), Err(())),
            ("/", Some(""), Err(())),
            ("/a", None, Err(())),
            ("/a", Some("https://app.example"), Ok(1)),
            ("/a", Some("http://h:8080"), Ok(1)),
            ("/a", Some("https://evilapp.example"), Err(())),
        ] {
            let request = Request {
                host: "h:8080",
                https: false,
                path,
                origin,
                subprotocols: Vec::new(),
            };
            assert_eq!(
                index(&routes, &request),
                expected.map_err(|()| Refusal::Origin(origin.map(str::to_owned))),
                "{path} {origin:?}"
            );
        }
    }
}
