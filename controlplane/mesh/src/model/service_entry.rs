//! ServiceEntry and WorkloadEntry: services and workloads that Kubernetes does not know.

use std::collections::BTreeMap;

use super::{
    endpoint::Locality,
    name::{Hostname, Labels, Selector},
    protocol::Protocol,
    service::Address,
    visibility::ExportTo,
};

/// Most inline endpoints of one entry.
pub const ENDPOINTS_MAX: usize = 10_000;

/// A ServiceEntry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Its hosts; each becomes a service.
    pub hosts: Vec<Hostname>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Its ports.
    pub ports: Vec<EntryPort>,
    /// `location: MESH_INTERNAL`.
    pub mesh_internal: bool,
    /// How endpoints are found.
    pub resolution: EntryResolution,
    /// Its inline endpoints.
    pub endpoints: Vec<WorkloadEntry>,
    /// Selects pods and WorkloadEntries of its namespace instead of inline endpoints.
    pub workload_selector: Option<Selector>,
    /// Who can see it.
    pub export_to: ExportTo,
    /// Subject alternative names that its certificates may have.
    pub subject_alt_names: Vec<String>,
    /// Labels of the object.
    pub labels: Labels,
}

/// One port of a ServiceEntry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPort {
    /// Its number, never 0.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// What it carries.
    pub protocol: Protocol,
    /// Where endpoints listen, when it is another number.
    pub target: Option<u16>,
}

/// `spec.resolution` of a ServiceEntry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the value of that name")]
pub enum EntryResolution {
    None,
    Static,
    Dns,
    DnsRoundRobin,
}

/// A WorkloadEntry, or an inline endpoint of a ServiceEntry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadEntry {
    /// Where it answers: `None` when it gives only a network, or for a DNS entry the host itself.
    pub address: Option<EntryAddress>,
    /// Its ports, by the name of the service port.
    pub ports: BTreeMap<String, u16>,
    /// Its labels.
    pub labels: Labels,
    /// Its network.
    pub network: String,
    /// Where it runs.
    pub locality: Locality,
    /// Its share; 0 when not said.
    pub weight: u32,
    /// Its service account.
    pub service_account: Option<String>,
}

/// Where a WorkloadEntry answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryAddress {
    /// At an IP address.
    Ip(std::net::IpAddr),
    /// At a name that Envoy resolves.
    Dns(Hostname),
    /// At a unix socket.
    Pipe(String),
}
