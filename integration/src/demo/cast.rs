//! Who plays: the six pods of Bookinfo, and a host outside the mesh. The addresses are those of `manifests/samples/bookinfo/loopback/`.

use std::net::IpAddr;

/// A pod of the sample: an application and the Envoy before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: &'static str,
    /// The service it answers for, which is also the role of its program.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The last number of its address, and of its application's port.
    pub number: u8,
}

/// The pods.
pub const PODS: [Pod; 6] = [
    Pod { name: "productpage-v1", service: "productpage", version: "v1", number: 10 },
    Pod { name: "details-v1", service: "details", version: "v1", number: 11 },
    Pod { name: "reviews-v1", service: "reviews", version: "v1", number: 12 },
    Pod { name: "reviews-v2", service: "reviews", version: "v2", number: 13 },
    Pod { name: "reviews-v3", service: "reviews", version: "v3", number: 14 },
    Pod { name: "ratings-v1", service: "ratings", version: "v1", number: 15 },
];

/// The pod that visitors come to.
pub const PRODUCTPAGE: Pod = PODS[0];
/// The last number of the address of the host outside the mesh.
pub const PUBLISHER_NUMBER: u8 = 20;
/// The port of the host outside the mesh.
pub const PUBLISHER_PORT: u16 = 8081;
/// The port that all services have, and all Envoys listen on for calls to them.
pub const SERVICE_PORT: u16 = 9080;
/// The port that all Envoys listen on for calls to the application beside them.
pub const INBOUND_PORT: u16 = 8000;

/// The version of whoever has an address whose last number is known.
#[must_use]
pub fn version_at(ip: IpAddr) -> Option<&'static str> {
    let IpAddr::V4(ip) = ip else { return None };
    let [.., number] = ip.octets();
    PODS.iter().find(|pod| pod.number == number).map(|pod| pod.version)
}

/// The pod of this name.
#[must_use]
pub fn pod(name: &str) -> Option<Pod> {
    PODS.into_iter().find(|pod| pod.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{demo::place::app_port, outside::sample};

    #[test]
    fn the_samples_place_every_pod_where_the_demo_starts_it() {
        for pod in PODS {
            let text = sample(&format!("bookinfo/loopback/{}.yaml", pod.name)).unwrap();
            let endpoint = sample(&format!("bookinfo/loopback/endpoints-{}.yaml", pod.name)).unwrap();
            let (ip, port) = (format!("127.0.1.{}", pod.number), app_port(1, pod.number));
            assert!(text.contains(&format!("podIP: {ip}\n")), "{text}");
            assert!(text.contains(&format!("defaultEndpoint: 127.0.0.1:{port}\n")), "{text}");
            assert!(text.contains(&format!("number: {INBOUND_PORT}\n")), "{text}");
            assert!(endpoint.contains(&format!("- {ip}\n")) && endpoint.contains(&format!("port: {INBOUND_PORT}\n")));
            assert_eq!(version_at(ip.parse().unwrap()), Some(pod.version));
        }
    }

    #[test]
    fn the_outside_host_of_the_samples_is_the_one_that_is_started() {
        let text = sample("tasks/outside-host.yaml").unwrap();
        assert!(text.contains(&format!("address: 127.0.1.{PUBLISHER_NUMBER}\n")), "{text}");
        assert!(text.contains(&format!("http: {PUBLISHER_PORT}\n")), "{text}");
    }
}
