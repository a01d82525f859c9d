//! Where on loopback the demo stands: the addresses of the samples, or, while another demo has those, a neighbouring network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Result, bail};

use crate::{
    demo::cast::{INBOUND_PORT, PODS, PUBLISHER_NUMBER, PUBLISHER_PORT, Pod, SERVICE_PORT},
    ports::Loopback,
};

/// The network of the samples: 127.0.1.0/24.
const SAMPLE_NETWORK: u8 = 1;
/// The last network tried.
const LAST_NETWORK: u8 = 40;
/// The control plane has the first address of the network.
const CONTROL_PLANE_NUMBER: u8 = 1;
const ADMIN_PORT: u16 = 15_000;
const XDS_PORT: u16 = 15_010;
const HTTP_PORT: u16 = 15_014;

/// The port of 127.0.0.1 on which an application listens: below those that the system gives to connections.
#[must_use]
pub fn app_port(network: u8, number: u8) -> u16 {
    19_000 + u16::from(network.saturating_sub(SAMPLE_NETWORK)) * 20 + u16::from(number)
}

/// A network that is ours until this is dropped.
#[derive(Debug)]
pub struct Place {
    network: u8,
    _claim: Loopback,
}

impl Place {
    /// Claims the network of the samples, or the next that is free.
    ///
    /// # Errors
    /// None is.
    pub fn claim() -> Result<Self> {
        for network in SAMPLE_NETWORK..=LAST_NETWORK {
            let Ok(claim) = Loopback::claim_this(Ipv4Addr::new(127, 0, network, CONTROL_PLANE_NUMBER)) else {
                continue;
            };
            let place = Self { network, _claim: claim };
            if place.needed().all(|address| TcpListener::bind(address).is_ok()) {
                return Ok(place);
            }
        }
        bail!(
            "the addresses 127.0.{SAMPLE_NETWORK}.x to 127.0.{LAST_NETWORK}.x are in use, or the ports from {} to {} of \
             127.0.0.1; end the other demos, or whatever listens there",
            app_port(SAMPLE_NETWORK, 0),
            app_port(LAST_NETWORK, PUBLISHER_NUMBER),
        )
    }

    /// Says so if the addresses are not those that the samples show.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        (self.network != SAMPLE_NETWORK).then(|| {
            format!(
                "127.0.{SAMPLE_NETWORK}.x is in use (another demo?): this one stands on 127.0.{}.x, and its files say so",
                self.network
            )
        })
    }

    /// YAML of the samples, moved here.
    #[must_use]
    pub fn relocate(&self, yaml: &str) -> String {
        if self.network == SAMPLE_NETWORK {
            return yaml.to_owned();
        }
        let moved = yaml.replace(&format!("127.0.{SAMPLE_NETWORK}."), &format!("127.0.{}.", self.network));
        PODS.iter().fold(moved, |moved, pod| {
            let port = |network| format!("127.0.0.1:{}", app_port(network, pod.number));
            moved.replace(&port(SAMPLE_NETWORK), &port(self.network))
        })
    }

    /// Where the application of a pod listens.
    #[must_use]
    pub fn app(&self, pod: Pod) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, app_port(self.network, pod.number)))
    }

    /// The address of a pod.
    #[must_use]
    pub fn ip(&self, pod: Pod) -> IpAddr {
        self.numbered(pod.number)
    }

    /// Where the Envoy of a pod listens for calls to its application.
    #[must_use]
    pub fn inbound(&self, pod: Pod) -> SocketAddr {
        SocketAddr::new(self.ip(pod), INBOUND_PORT)
    }

    /// Where the Envoy of a pod listens for its calls to services.
    #[must_use]
    pub fn outbound(&self, pod: Pod) -> SocketAddr {
        SocketAddr::new(self.ip(pod), SERVICE_PORT)
    }

    /// Where the Envoy of a pod can be asked about itself.
    #[must_use]
    pub fn admin(&self, pod: Pod) -> SocketAddr {
        SocketAddr::new(self.ip(pod), ADMIN_PORT)
    }

    /// Where the host outside the mesh listens.
    #[must_use]
    pub fn publisher(&self) -> SocketAddr {
        SocketAddr::new(self.numbered(PUBLISHER_NUMBER), PUBLISHER_PORT)
    }

    /// Where the control plane listens for Envoys.
    #[must_use]
    pub fn xds(&self) -> SocketAddr {
        SocketAddr::new(self.numbered(CONTROL_PLANE_NUMBER), XDS_PORT)
    }

    /// Where the control plane can be asked about itself.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        SocketAddr::new(self.numbered(CONTROL_PLANE_NUMBER), HTTP_PORT)
    }

    fn numbered(&self, number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 0, self.network, number))
    }

    /// All that must be free.
    fn needed(&self) -> impl Iterator<Item = SocketAddr> {
        let pods = PODS.into_iter();
        pods.flat_map(|pod| [self.app(pod), self.inbound(pod), self.outbound(pod), self.admin(pod)]).chain([
            self.publisher(),
            self.xds(),
            self.http(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(network: u8) -> Place {
        Place { network, _claim: Loopback::claim().unwrap() }
    }

    #[test]
    fn a_second_demo_stands_on_a_network_of_its_own() {
        let (first, second) = (Place::claim().unwrap(), Place::claim().unwrap());
        assert_ne!(first.network, second.network);
        assert!(second.note().is_some());
        let apps = PODS.map(|pod| first.app(pod));
        assert!(PODS.iter().all(|&pod| !apps.contains(&second.app(pod))));
    }

    #[test]
    fn samples_are_moved_with_their_addresses_and_ports() {
        let yaml = "podIP: 127.0.1.15\ndefaultEndpoint: 127.0.0.1:19015\n";
        assert_eq!(place(1).relocate(yaml), yaml);
        assert_eq!(place(3).relocate(yaml), "podIP: 127.0.3.15\ndefaultEndpoint: 127.0.0.1:19055\n");
        assert_eq!(place(3).app(PODS[5]).port(), 19_055);
    }
}
