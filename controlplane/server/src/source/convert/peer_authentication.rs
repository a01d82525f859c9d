//! PeerAuthentication.

use std::collections::BTreeMap;

use mesh::model::{
    Selector, code,
    peer_authentication::{MutualTls, PeerAuthentication},
};

use super::Conversion;
use crate::source::{path::Path, wire::peer_authentication as wire};

/// Most single ports of one PeerAuthentication.
const PORTS_MAX: usize = 256;

impl Conversion<'_> {
    /// Converts the `spec` at `path`.
    pub fn peer_authentication(&mut self, spec: wire::PeerAuthenticationSpec, path: Path<'_>) -> PeerAuthentication {
        let wire::PeerAuthenticationSpec { selector, mtls, port_level_mtls } = spec;
        let ports_path = path.field("portLevelMtls");
        self.limit(port_level_mtls.len(), PORTS_MAX, ports_path);
        let mut ports = BTreeMap::new();
        for (key, mtls) in port_level_mtls {
            let path = ports_path.field(&key);
            // What is no port was refused by the rules of the kind.
            if let Some(port) = key.parse::<u32>().ok().and_then(|port| self.port(port, path)) {
                ports.insert(port, self.mutual_tls(mtls, path));
            }
        }
        PeerAuthentication {
            selector: selector.map(|selector| Selector(selector.match_labels)),
            mode: mtls.and_then(|mtls| self.mutual_tls(mtls, path.field("mtls"))),
            ports,
        }
    }

    fn mutual_tls(&mut self, mtls: wire::MutualTls, path: Path<'_>) -> Option<MutualTls> {
        let wire::MutualTls { mode } = mtls;
        match mode? {
            wire::MutualTlsMode::Unset => None,
            wire::MutualTlsMode::Disable => Some(MutualTls::Disable),
            wire::MutualTlsMode::Permissive => Some(MutualTls::Permissive),
            wire::MutualTlsMode::Strict => {
                let reason = "enforced only by proxies that have certificates of the mesh: others accept plain text";
                let remedy = "run the proxy with an agent that serves certificates";
                self.error(code::SECURITY_NOT_IN_FORCE, path.field("mode"), reason, remedy);
                Some(MutualTls::Strict)
            }
        }
    }
}
