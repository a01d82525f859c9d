//! Loopback addresses and ports that nobody else on the machine uses.
//!
//! All of 127.0.0.0/8 is loopback, so each scenario takes addresses of its own there: ports never clash between tests that run at the same
//! time, nor with the ephemeral ports of connections, which belong to 127.0.0.1.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context, Result, bail};

use crate::random::Random;

/// Bound for as long as an address is claimed; outside the range that kernels give to connections.
const CLAIM_PORT: u16 = 64_064;
/// How many addresses are tried before giving up: there are four million.
const CLAIM_TRIES: u32 = 100;

/// An address in 127.0.0.0/8 that is ours until this is dropped.
#[derive(Debug)]
pub struct Loopback {
    address: Ipv4Addr,
    _claim: TcpListener,
}

impl Loopback {
    /// Claims an address that no other test, in this process or another, has claimed.
    ///
    /// # Errors
    /// None of the addresses tried was free.
    pub fn claim() -> Result<Self> {
        let mut random = Random::seeded(RandomState::new().hash_one("loopback"));
        for _ in 0..CLAIM_TRIES {
            let address = Ipv4Addr::new(127, random.octet(32, 223), random.octet(0, 255), random.octet(1, 254));
            if let Ok(claim) = TcpListener::bind((address, CLAIM_PORT)) {
                return Ok(Self { address, _claim: claim });
            }
        }
        bail!("no free loopback address found in {CLAIM_TRIES} tries: does this system have all of 127.0.0.0/8?")
    }

    /// Claims a given address.
    ///
    /// # Errors
    /// Somebody else holds it.
    pub fn claim_this(address: Ipv4Addr) -> Result<Self> {
        let claim = TcpListener::bind((address, CLAIM_PORT)).with_context(|| format!("{address} is in use"))?;
        Ok(Self { address, _claim: claim })
    }

    /// The address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        IpAddr::V4(self.address)
    }

    /// This address with a port.
    #[must_use]
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(), port)
    }

    /// A port of this address that is free now and kept so until [`Port::release`].
    ///
    /// # Errors
    /// The address has no free port.
    pub fn port(&self) -> Result<Port> {
        Port::pick(self.ip())
    }
}

/// A free port, kept by listening on it until the program that is to use it starts.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _kept: TcpListener,
}

impl Port {
    /// Picks a free port of `ip`.
    ///
    /// # Errors
    /// There is none.
    pub fn pick(ip: IpAddr) -> Result<Self> {
        let kept = TcpListener::bind((ip, 0)).with_context(|| format!("find a free port of {ip}"))?;
        let address = kept.local_addr().context("read the picked port")?;
        Ok(Self { address, _kept: kept })
    }

    /// The address, while the port is still kept.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the port up to whoever binds it next.
    #[must_use]
    pub fn release(self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_never_share_an_address() {
        let claims: Vec<_> = (0..20).map(|_| Loopback::claim().unwrap()).collect();
        let mut addresses: Vec<_> = claims.iter().map(Loopback::ip).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), claims.len());
    }

    #[test]
    fn a_claimed_address_cannot_be_claimed_again_until_it_is_dropped() {
        let claim = Loopback::claim().unwrap();
        let IpAddr::V4(address) = claim.ip() else { panic!("an IPv6 address was claimed") };
        assert!(Loopback::claim_this(address).is_err());
        drop(claim);
        assert!(Loopback::claim_this(address).is_ok());
    }

    #[test]
    fn a_picked_port_is_kept_until_released() {
        let port = Port::pick(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        assert!(TcpListener::bind(port.address()).is_err());
        let address = port.release();
        assert!(TcpListener::bind(address).is_ok());
    }
}
