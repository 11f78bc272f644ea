//! Which addresses may connect to a route.

use crate::cidr::Cidr;
use std::net::IpAddr;

/// The networks of a route's `allow` and `deny`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Only these may connect, where any is listed.
    pub allow: Vec<Cidr>,
    /// These may not, whatever `allow` says.
    pub deny: Vec<Cidr>,
}

impl Addresses {
    /// Whether this client may connect. One without an address, as on a Unix
    /// socket, lies in no network.
    pub fn admit(&self, client: Option<IpAddr>) -> bool {
        let lies_in = |list: &[Cidr]| client.is_some_and(|ip| list.iter().any(|n| n.contains(ip)));
        !lies_in(&self.deny) && (self.allow.is_empty() || lies_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(networks: &[&str]) -> Vec<Cidr> {
        networks.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn deny_goes_before_allow_and_allow_before_the_rest() {
        for (allow, deny, client, expected) in [
            (&[][..], &[][..], "192.0.2.1", true),
            (&[], &[], "", true),
            (&[], &["192.0.2.0/24"], "192.0.2.1", false),
            (&[], &["192.0.2.0/24"], "::ffff:192.0.2.1", false),
            (&[], &["192.0.2.0/24"], "198.51.100.1", true),
            (&[], &["192.0.2.0/24"], "::1", true),
            (&[], &["0.0.0.0/0", "::/0"], "", true),
            (&["10.0.0.0/8", "::1"], &[], "10.1.2.3", true),
            (&["10.0.0.0/8", "::1"], &[], "::ffff:10.1.2.3", true),
            (&["10.0.0.0/8", "::1"], &[], "::1", true),
            (&["10.0.0.0/8", "::1"], &[], "192.0.2.1", false),
            (&["10.0.0.0/8", "::1"], &[], "", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.2.3", true),
            (&["10.1.0.0/16"], &["10.0.0.0/8"], "10.1.2.3", false),
        ] {
            let addresses = Addresses {
                allow: list(allow),
                deny: list(deny),
            };
            let admitted = addresses.admit(client.parse().ok());
            assert_eq!(admitted, expected, "{allow:?} {deny:?} {client:?}");
        }
    }
}
