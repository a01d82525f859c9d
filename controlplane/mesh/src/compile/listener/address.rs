//! Addresses and ranges as Envoy takes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto::envoy::config::core::v3::{
    self as core, CidrRange, SocketAddress, address::Address as Specifier, socket_address::PortSpecifier,
};

use crate::model::service::Address;

/// The address that stands for all of a family.
pub(super) fn wildcard(ipv6: bool) -> IpAddr {
    if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

/// Where a listener listens.
pub(super) fn socket(ip: IpAddr, port: u16) -> core::Address {
    core::Address {
        address: Some(Specifier::SocketAddress(SocketAddress {
            address: ip.to_string(),
            port_specifier: Some(PortSpecifier::PortValue(u32::from(port))),
            ..SocketAddress::default()
        })),
    }
}

/// The range with the bits after its prefix cleared: Envoy compares ranges so, and so do we before it refuses equal ones.
pub(super) fn canonical(range: Address) -> Address {
    match range.ip {
        IpAddr::V4(ip) => {
            let prefix_len = range.prefix_len.min(32);
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix_len)).unwrap_or(0);
            Address { ip: IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask)), prefix_len }
        }
        IpAddr::V6(ip) => {
            let prefix_len = range.prefix_len.min(128);
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix_len)).unwrap_or(0);
            Address { ip: IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask)), prefix_len }
        }
    }
}

/// A range of destinations.
pub(super) fn cidr(range: Address) -> CidrRange {
    CidrRange { address_prefix: range.ip.to_string(), prefix_len: Some(u32::from(range.prefix_len)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_after_the_prefix_are_cleared() {
        let canonical = |ip: &str, prefix_len| {
            let range = canonical(Address { ip: ip.parse().unwrap(), prefix_len });
            format!("{}/{}", range.ip, range.prefix_len)
        };
        assert_eq!(canonical("10.1.2.3", 16), "10.1.0.0/16");
        assert_eq!(canonical("10.1.2.3", 32), "10.1.2.3/32");
        assert_eq!(canonical("10.1.2.3", 0), "0.0.0.0/0");
        assert_eq!(canonical("10.1.2.3", 200), "10.1.2.3/32");
        assert_eq!(canonical("2001:db8::1", 32), "2001:db8::/32");
        assert_eq!(canonical("2001:db8::1", 0), "::/0");
    }
}
