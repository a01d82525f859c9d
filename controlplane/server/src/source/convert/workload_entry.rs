//! WorkloadEntry, and the inline endpoints of a ServiceEntry.

use std::net::IpAddr;

use mesh::model::{
    code,
    endpoint::Locality,
    service_entry::{EntryAddress, WorkloadEntry},
};

use super::Conversion;
use crate::source::{path::Path, wire::service_entry::WorkloadEntrySpec};

/// Longest path of a unix socket, in bytes, as Linux has it.
const SOCKET_PATH_LEN_MAX: usize = 107;

impl Conversion<'_> {
    /// Converts the entry at `path`.
    pub fn workload_entry(&mut self, spec: WorkloadEntrySpec, path: Path<'_>) -> WorkloadEntry {
        let WorkloadEntrySpec { address, ports, labels, network, locality, weight, service_account } = spec;
        let ports_path = path.field("ports");
        let network = network.unwrap_or_default();
        let address = address.filter(|address| !address.is_empty());
        if address.is_none() && !network.is_empty() {
            let instead = "there is no way yet into another network, and without an address the endpoint is left out";
            self.not_in_force(path.field("network"), instead);
        }
        WorkloadEntry {
            address: address.and_then(|address| self.entry_address(&address, path.field("address"))),
            ports: ports
                .into_iter()
                .filter_map(|(name, number)| {
                    let number = self.port(number, ports_path.field(&name))?;
                    Some((name, number))
                })
                .collect(),
            labels,
            network,
            locality: Locality::parse(&locality.unwrap_or_default()),
            weight: weight.unwrap_or_default(),
            service_account: service_account.filter(|name| !name.is_empty()),
        }
    }

    fn entry_address(&mut self, text: &str, path: Path<'_>) -> Option<EntryAddress> {
        if let Some(socket) = text.strip_prefix("unix://") {
            let valid = (socket.starts_with('/') || socket.starts_with('@')) && socket.len() <= SOCKET_PATH_LEN_MAX;
            if !valid {
                let reason = format!("{text:?} is not the path of a unix socket");
                self.error(code::BAD_ADDRESS, path, reason, "write it like unix:///run/app.sock");
                return None;
            }
            return Some(EntryAddress::Pipe(socket.to_owned()));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(EntryAddress::Ip(ip));
        }
        let host = self.exact_host(text, path)?;
        if host.is_wildcard() {
            self.error(code::BAD_ADDRESS, path, "an endpoint cannot be a wildcard", "name one host");
        }
        Some(EntryAddress::Dns(host))
    }
}
