//! Networks of IP addresses, as lists of them are written: `10.0.0.0/8`,
//! `2001:db8::/32`, or one address alone.
//!
//! An IPv4 client of a socket that takes both families comes as
//! `::ffff:a.b.c.d`. Both sides of a comparison are brought to the plain IPv4
//! form first, so that a rule for `10.0.0.0/8` means that client too, and no
//! IPv6 network, not even `::/0`, means an IPv4 client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The bits in front of the IPv4 address in an IPv4-mapped IPv6 one.
const MAPPED: u8 = 96;

/// A network: all addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// Never IPv4-mapped; its bits beyond the prefix are zero.
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The network of this many bits that an address lies in.
    pub fn around(address: IpAddr, prefix: u8) -> Self {
        let address = address.to_canonical();
        let prefix = prefix.min(width(address));
        Cidr {
            address: network(address, prefix),
            prefix,
        }
    }

    /// Whether an address lies in the network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.address.is_ipv4() && network(ip, self.prefix) == self.address
    }
}

/// How many bits an address of this family has.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with all bits beyond the prefix zero.
fn network(address: IpAddr, prefix: u8) -> IpAddr {
    let beyond = u32::from(width(address) - prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(beyond).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(beyond).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write an address or a network like 192.0.2.1, 10.0.0.0/8 or ::1/128";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| FORMS)?;
        let most = width(written);
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() => {
                digits
                    .parse()
                    .ok()
                    .filter(|&prefix| prefix <= most)
                    .ok_or_else(|| format!("the prefix is at most {most} here"))?
            }
            Some(_) => return Err(FORMS.to_owned()),
        };
        let address = written.to_canonical();
        let prefix = match (written.is_ipv4(), address.is_ipv4()) {
            (false, true) => prefix.checked_sub(MAPPED).ok_or_else(|| {
                format!("the prefix of an IPv4-mapped network is at least {MAPPED}")
            })?,
            _ => prefix,
        };
        let cidr = Cidr::around(address, prefix);
        if cidr.address == address {
            Ok(cidr)
        } else {
            // A slip in either half; which one, only the writer knows.
            Err(format!(
                "there are bits beyond the prefix; write {cidr}, or {address} alone"
            ))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == width(self.address) {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_begins_with_its_bits() {
        for (network, ip, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("192.0.2.128/25", "192.0.2.128", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1/32", "192.0.2.2", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::1", "::1", true),
            ("::1", "::2", false),
            // An IPv4 client of an IPv6 socket is an IPv4 client.
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:0:0/96", "10.1.2.3", true),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("::/0", "10.1.2.3", false),
            ("::/0", "::ffff:10.1.2.3", false),
        ] {
            let cidr: Cidr = network.parse().unwrap();
            assert_eq!(
                cidr.contains(ip.parse().unwrap()),
                expected,
                "{network} {ip}"
            );
        }
    }

    #[test]
    fn a_network_displays_as_it_is_written() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("::1/128", "::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!(cidr.to_string(), shown);
            assert_eq!(shown.parse(), Ok(cidr));
        }
    }

    #[test]
    fn the_network_around_an_address_is_what_it_shares_with_its_neighbours() {
        let around = |ip: &str, prefix| Cidr::around(ip.parse().unwrap(), prefix).to_string();
        assert_eq!(around("2001:db8:1:2:3::4", 64), "2001:db8:1:2::/64");
        assert_eq!(around("::ffff:192.0.2.1", 64), "192.0.2.1");
        assert_eq!(around("192.0.2.1", 24), "192.0.2.0/24");
    }

    #[test]
    fn a_bad_network_says_what_is_allowed() {
        let forms = "write an address or a network like";
        for (text, why) in [
            ("", forms),
            ("unix", forms),
            ("localhost", forms),
            ("10.0.0/8", forms),
            ("10.0.0.0/", forms),
            ("10.0.0.0/+8", forms),
            ("10.0.0.0/255.0.0.0", forms),
            ("10.0.0.0/8/8", forms),
            ("[::1]", forms),
            ("10.0.0.0:80", forms),
            ("10.0.0.0/33", "the prefix is at most 32 here"),
            ("10.0.0.0/999", "the prefix is at most 32 here"),
            ("::/129", "the prefix is at most 128 here"),
            (
                "::ffff:0:0/95",
                "the prefix of an IPv4-mapped network is at least 96",
            ),
            (
                "10.0.0.1/8",
                "there are bits beyond the prefix; write 10.0.0.0/8, or 10.0.0.1 alone",
            ),
        ] {
            let error = text.parse::<Cidr>().unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
