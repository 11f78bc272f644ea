//! Routes that no request can take, because an earlier one takes them all.
//!
//! Routes with the same host and path share their requests by subprotocol, and
//! the first to serve one has it (see [`policy`]). What the later ones list
//! for nothing is a mistake, most likely in the line that was copied.

use crate::address::Listen;
use crate::tunnel::policy::{self, Route};

/// For each route and subprotocol that is never reached: the route's index and
/// the message.
pub(super) fn unreached(routes: &[Route], listeners: &[Listen]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        for subprotocol in served(route) {
            if let Some(first) = taken_by(route, subprotocol, &routes[..index], listeners) {
                let what = match subprotocol {
                    Some(name) => format!("subprotocol {name:?} is never reached"),
                    None => "never reached".to_owned(),
                };
                let line = first.line.unwrap_or_default();
                let text = format!("{what}: the route at line {line} serves it at the same place");
                found.push((index, text));
            }
        }
    }
    found
}

/// The subprotocols of a route; `None` where it takes what no other lists.
fn served(route: &Route) -> Vec<Option<&str>> {
    match &route.subprotocols[..] {
        [] => vec![None],
        list => list.iter().map(|name| Some(name.as_str())).collect(),
    }
}

/// An earlier route that takes the requests, if at every listener there is one.
fn taken_by<'r>(
    route: &Route,
    subprotocol: Option<&str>,
    earlier: &'r [Route],
    listeners: &[Listen],
) -> Option<&'r Route> {
    let hears =
        |route: &Route, at: &Listen| route.listeners.is_empty() || route.listeners.contains(at);
    let mut at = listeners.iter().filter(|at| hears(route, at)).map(|at| {
        earlier.iter().find(|other| {
            other.host == route.host
                && policy::stem(&other.path) == policy::stem(&route.path)
                && served(other).contains(&subprotocol)
                && hears(other, at)
        })
    });
    let first = at.next()??;
    at.all(|other| other.is_some()).then_some(first)
}
