//! What is counted, for whoever watches from outside.
//!
//! A connection is counted where the one table of refusals or of endings is
//! consulted, so none is forgotten and none counts twice. Traffic is not
//! counted here as it passes: an open tunnel keeps its own totals, and they come
//! here when it ends. So what was moved is what stands here, and what the open
//! tunnels have.

use super::ending::Ending;
use super::endpoint::Traffic;
use super::policy::Route;
use super::session::Totals;
use crate::wire::Refusal;
use std::collections::BTreeMap;

/// What a route is called: routes that share all of it count as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteName {
    /// Its host and path.
    pub route: String,
    /// Its subprotocols, with a space between; empty: whatever is offered.
    pub subprotocol: String,
}

impl RouteName {
    fn of(route: &Route) -> Self {
        RouteName {
            route: route.to_string(),
            subprotocol: route.subprotocols.join(" "),
        }
    }
}

/// What became of a route's requests.
#[derive(Clone, Debug)]
pub struct RouteTally {
    /// The route.
    pub name: RouteName,
    /// Requests that it let in, before a backend was dialled.
    pub admitted: u64,
    /// Tunnels that were opened.
    pub opened: u64,
    /// What came from downstream over tunnels that have ended.
    pub from_downstream: Traffic,
    /// What came from upstream over them.
    pub from_upstream: Traffic,
}

/// The TLS handshakes of clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshakes {
    /// Whole ones.
    pub full: u64,
    /// Those that took up a session of before.
    pub resumed: u64,
    /// Those that came to nothing.
    pub failed: u64,
}

/// Why a connection was dropped without an answer.
pub const DROPS: [&str; 4] = [
    "client_connections",
    "client_rate",
    "no_proxy_header",
    "no_request",
];

/// All that is counted.
#[derive(Debug)]
pub struct Tally {
    /// All routes that there ever were; what ended counts on over a reload.
    routes: Vec<RouteTally>,
    /// Where each of the routes that hold now is among them.
    places: Vec<usize>,
    /// Refused requests, by [`Refusal::reason`].
    pub refusals: BTreeMap<&'static str, u64>,
    /// Connections without an answer, by one of [`DROPS`].
    pub drops: BTreeMap<&'static str, u64>,
    /// Ended tunnels, by [`Ending::cause`] and code.
    pub closes: BTreeMap<(&'static str, u16), u64>,
    /// TLS towards the clients.
    pub handshakes: Handshakes,
}

/// What may be counted stands there with 0 before it is: a rate over what was
/// missing misses its first one.
impl Default for Tally {
    fn default() -> Self {
        let fixed = Ending::CAUSES.into_iter();
        Tally {
            routes: Vec::new(),
            places: Vec::new(),
            refusals: Refusal::REASONS.map(|reason| (reason, 0)).into(),
            drops: DROPS.map(|reason| (reason, 0)).into(),
            closes: fixed
                .filter_map(|(cause, code)| Some(((cause, code?), 0)))
                .collect(),
            handshakes: Handshakes::default(),
        }
    }
}

impl Tally {
    /// These routes hold from now on.
    pub fn learn(&mut self, routes: &[Route]) {
        let routes = routes.iter().map(RouteName::of);
        self.places = routes.map(|name| self.place_of(name)).collect();
    }

    fn place_of(&mut self, name: RouteName) -> usize {
        let known = self.routes.iter().position(|route| route.name == name);
        known.unwrap_or_else(|| {
            self.routes.push(RouteTally {
                name,
                admitted: 0,
                opened: 0,
                from_downstream: Traffic::default(),
                from_upstream: Traffic::default(),
            });
            self.routes.len() - 1
        })
    }

    /// All routes, each at its place.
    pub fn routes(&self) -> &[RouteTally] {
        &self.routes
    }

    /// The place of the route with this index in the settings.
    pub fn place(&self, route: usize) -> usize {
        self.places.get(route).copied().unwrap_or_default()
    }

    /// A request was let in by the route at this place.
    pub fn admitted(&mut self, place: usize) {
        if let Some(route) = self.routes.get_mut(place) {
            route.admitted += 1;
        }
    }

    /// Its tunnel is open.
    pub fn opened(&mut self, place: usize) {
        if let Some(route) = self.routes.get_mut(place) {
            route.opened += 1;
        }
    }

    /// That tunnel has ended.
    pub fn closed(&mut self, place: usize, totals: &Totals, ending: &Ending) {
        if let Some(route) = self.routes.get_mut(place) {
            route.from_downstream += totals.from_downstream;
            route.from_upstream += totals.from_upstream;
        }
        let key = (ending.cause(), class(ending.logged_code()));
        *self.closes.entry(key).or_default() += 1;
    }

    /// A client's TLS handshake is over.
    pub fn shook_hands(&mut self, resumed: bool) {
        let Handshakes {
            full,
            resumed: again,
            ..
        } = &mut self.handshakes;
        *(if resumed { again } else { full }) += 1;
    }

    /// One came to nothing.
    pub fn broke_off(&mut self) {
        self.handshakes.failed += 1;
    }

    /// A request was refused.
    pub fn refused(&mut self, refusal: &Refusal) {
        *self.refusals.entry(refusal.reason()).or_default() += 1;
    }

    /// A connection was dropped without an answer.
    pub fn dropped(&mut self, why: &'static str) {
        *self.drops.entry(why).or_default() += 1;
    }
}

/// The code to count by. An application has a thousand of its own, twice (RFC
/// 6455 section 7.4.2), and the client says which: they count as one each, as
/// the first.
fn class(code: u16) -> u16 {
    match code {
        3000..=4999 => code / 1000 * 1000,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ws::Close;

    fn route(path: &str, subprotocols: &[&str]) -> Route {
        Route {
            path: path.to_owned(),
            subprotocols: subprotocols.iter().map(|&name| name.to_owned()).collect(),
            ..Route::default()
        }
    }

    #[test]
    fn a_route_counts_on_over_a_reload() {
        let mut tally = Tally::default();
        tally.learn(&[route("/a", &[]), route("/b", &[]), route("/b", &["x", "y"])]);
        assert_eq!([0, 1, 2].map(|index| tally.place(index)), [0, 1, 2]);
        tally.opened(1);
        tally.learn(&[route("/c", &[]), route("/b", &[]), route("/b", &[])]);
        assert_eq!([0, 1, 2].map(|index| tally.place(index)), [3, 1, 1]);
        tally.opened(1);
        let names = tally
            .routes()
            .iter()
            .map(|route| (&*route.name.route, &*route.name.subprotocol, route.opened));
        let names: Vec<_> = names.collect();
        let expected = [
            ("/a", "", 0),
            ("/b", "", 2),
            ("/b", "x y", 0),
            ("/c", "", 0),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn clients_cannot_make_a_row_for_each_code_that_they_think_of() {
        let mut tally = Tally::default();
        let before = tally.closes.len();
        let totals = Totals {
            from_downstream: Traffic::default(),
            from_upstream: Traffic::default(),
            untaken: 0,
        };
        for code in (1000..=1001).chain(3000..=4999) {
            tally.closed(0, &totals, &Ending::PeerClosed(Close(Some(code))));
        }
        assert_eq!(tally.closes.len(), before + 4);
        assert_eq!(tally.closes[&("client_close", 4000)], 1000);
    }
}
