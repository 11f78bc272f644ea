//! From a backend's name to addresses that can be dialled.
//!
//! The system's resolver blocks, so backends' names are resolved before the loop
//! starts, and afterwards on threads of their own.

use crate::address::Backend;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net;

/// Where a connection can be made to.
#[derive(Clone, Debug)]
pub enum Address {
    /// An IPv4 or IPv6 address and port.
    Tcp(SocketAddr),
    /// A socket in the file system, or an abstract one.
    Unix(net::SocketAddr),
}

/// All addresses of a backend, in the order to try them. May block.
///
/// # Errors
/// What the resolver says, or that the name has no address.
pub fn resolve(backend: &Backend) -> io::Result<Vec<Address>> {
    match backend {
        Backend::Tcp { host, port } | Backend::Tls { host, port } => {
            let mut addresses = Vec::new();
            for address in (host.as_str(), *port).to_socket_addrs()? {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the name has no address",
                ));
            }
            Ok(addresses.into_iter().map(Address::Tcp).collect())
        }
        Backend::Unix(path) => Ok(vec![Address::Unix(net::SocketAddr::from_pathname(path)?)]),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Backend::Abstract(name) => Ok(vec![Address::Unix(net::SocketAddr::from_abstract_name(
            name.as_bytes(),
        )?)]),
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Backend::Abstract(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "abstract socket names are there on Linux only",
        )),
    }
}

/// The addresses with their families in turn, the first one's first (RFC 8305
/// section 4).
pub fn interleaved(addresses: Vec<Address>) -> Vec<Address> {
    let is_v6 = |address: &Address| matches!(address, Address::Tcp(at) if at.is_ipv6());
    let first = addresses.first().is_some_and(is_v6);
    let (mut own, mut other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| is_v6(address) == first);
    let mut mixed = Vec::new();
    while !own.is_empty() || !other.is_empty() {
        for family in [&mut own, &mut other] {
            if !family.is_empty() {
                mixed.push(family.remove(0));
            }
        }
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_resolves_to_each_of_its_addresses_once() {
        let backend = Backend::Tcp {
            host: "localhost".into(),
            port: 1,
        };
        let addresses = resolve(&backend).unwrap();
        assert!(!addresses.is_empty());
        let shown: std::collections::HashSet<_> =
            addresses.iter().map(|a| format!("{a:?}")).collect();
        assert_eq!(shown.len(), addresses.len());
    }

    #[test]
    fn a_name_that_is_none_is_an_error() {
        let backend = Backend::Tcp {
            host: "no such host".into(),
            port: 1,
        };
        assert!(resolve(&backend).is_err());
    }

    #[test]
    fn the_families_of_addresses_take_turns() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        for (given, expected) in [
            ("", ""),
            ("1.1.1.1:1 1.1.1.2:1", "1.1.1.1:1 1.1.1.2:1"),
            (
                "[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1",
                "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1",
            ),
            (
                "1.1.1.1:1 1.1.1.2:1 [::1]:1 [::2]:1",
                "1.1.1.1:1 [::1]:1 1.1.1.2:1 [::2]:1",
            ),
        ] {
            let mixed = interleaved(given.split_whitespace().map(tcp).collect());
            let shown: Vec<_> = mixed
                .iter()
                .map(|address| match address {
                    Address::Tcp(address) => address.to_string(),
                    Address::Unix(_) => String::new(),
                })
                .collect();
            assert_eq!(shown.join(" "), expected);
        }
    }
}
