//! ServiceEntry.

use std::collections::BTreeSet;

use mesh::model::{
    Hostname, code,
    service::PORTS_MAX,
    service_entry::{ENDPOINTS_MAX, EntryAddress, EntryPort, EntryResolution, ServiceEntry, WorkloadEntry},
};

use super::{Conversion, values::labels_selector};
use crate::source::{
    path::Path,
    wire::service_entry::{Location, Resolution, ServiceEntrySpec, ServicePort},
};

/// Most hosts, and most addresses, of one entry.
const HOSTS_MAX: usize = 1024;

impl Conversion<'_> {
    /// Converts the `spec` at `path`.
    pub fn service_entry(&mut self, spec: ServiceEntrySpec, path: Path<'_>) -> ServiceEntry {
        let ServiceEntrySpec {
            hosts,
            addresses,
            ports,
            location,
            resolution,
            endpoints,
            workload_selector,
            export_to,
            subject_alt_names,
        } = spec;
        let resolution = self.resolution(resolution, path.field("resolution"));
        self.exclusive((workload_selector.is_some(), "workloadSelector"), (!endpoints.is_empty(), "endpoints"), path);
        let hosts = self.entry_hosts(&hosts, path.field("hosts"));
        let (addresses_path, endpoints_path) = (path.field("addresses"), path.field("endpoints"));
        self.limit(addresses.len(), HOSTS_MAX, addresses_path);
        self.limit(endpoints.len(), ENDPOINTS_MAX, endpoints_path);
        let ports = self.entry_ports(ports, path.field("ports"));
        let entry = ServiceEntry {
            hosts,
            addresses: self.addresses(&addresses, addresses_path),
            mesh_internal: match location {
                Some(Location::MeshInternal) => true,
                Some(Location::MeshExternal) | None => false,
            },
            resolution,
            endpoints: endpoints
                .into_iter()
                .enumerate()
                .map(|(place, endpoint)| self.workload_entry(endpoint, endpoints_path.index(place)))
                .collect(),
            workload_selector: labels_selector(workload_selector),
            export_to: self.export_to(&export_to, path.field("exportTo")),
            subject_alt_names,
            labels: self.metadata.labels.clone(),
            ports,
        };
        self.check_entry(&entry, path);
        entry
    }

    fn resolution(&mut self, resolution: Option<Resolution>, path: Path<'_>) -> EntryResolution {
        match resolution {
            None | Some(Resolution::None) => EntryResolution::None,
            Some(Resolution::Static) => EntryResolution::Static,
            Some(Resolution::Dns) => EntryResolution::Dns,
            Some(Resolution::DnsRoundRobin) => EntryResolution::DnsRoundRobin,
            Some(Resolution::DynamicDns) => {
                self.error(code::OBJECT_NOT_SUPPORTED, path, "DYNAMIC_DNS is not supported yet", "use NONE");
                EntryResolution::None
            }
        }
    }

    fn entry_hosts(&mut self, texts: &[String], path: Path<'_>) -> Vec<Hostname> {
        if texts.is_empty() {
            self.error(code::MISSING_FIELD, path, "names no host", "add one");
        }
        self.limit(texts.len(), HOSTS_MAX, path);
        let mut hosts = Vec::new();
        for (place, text) in texts.iter().enumerate() {
            let path = path.index(place);
            // Unlike the hosts of a VirtualService these name something new, and are complete as they are.
            let Some(host) = self.exact_host(text, path) else { continue };
            if host.as_str() == "*" {
                self.error(code::BAD_NAME, path, "`*` would take every host", "name a domain: *.example.com");
            }
            if hosts.contains(&host) {
                self.error(code::DUPLICATE_NAME, path, format!("{host} is given twice"), "remove one");
            }
            hosts.push(host);
        }
        hosts
    }

    fn entry_ports(&mut self, ports: Vec<ServicePort>, path: Path<'_>) -> Vec<EntryPort> {
        self.limit(ports.len(), PORTS_MAX, path);
        if ports.is_empty() {
            self.error(code::MISSING_FIELD, path, "has no ports", "add one");
        }
        let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
        let mut list = Vec::new();
        for (place, ServicePort { number, protocol, name, target_port }) in ports.into_iter().enumerate() {
            let path = path.index(place);
            if !names.insert(name.clone()) {
                let reason = format!("the name {name} is given twice");
                self.error(code::DUPLICATE_NAME, path.field("name"), reason, "give each port its own name");
            }
            if !numbers.insert(number) {
                let reason = format!("port {number} is given twice");
                self.error(code::DUPLICATE_NAME, path.field("number"), reason, "remove one");
            }
            let target = match target_port {
                Some(number) if number > 0 => self.port(number, path.field("targetPort")),
                Some(_) | None => None,
            };
            let protocol = self.protocol(protocol.as_ref(), path.field("protocol"));
            let Some(number) = self.port(number, path.field("number")) else { continue };
            list.push(EntryPort { number, name, protocol, target });
        }
        list
    }

    /// What the fields say together.
    fn check_entry(&mut self, entry: &ServiceEntry, path: Path<'_>) {
        let resolves = match entry.resolution {
            EntryResolution::None | EntryResolution::Static => false,
            EntryResolution::Dns | EntryResolution::DnsRoundRobin => true,
        };
        let (endpoints, hosts, addresses) = (path.field("endpoints"), path.field("hosts"), path.field("addresses"));
        if entry.resolution == EntryResolution::None && !entry.endpoints.is_empty() {
            let reason = "resolution NONE goes where the caller says, and has no endpoints";
            self.error(code::CONFLICTING_FIELDS, endpoints, reason, "use resolution STATIC or DNS");
        }
        if resolves && entry.endpoints.is_empty() && entry.workload_selector.is_none() {
            for (place, _) in entry.hosts.iter().enumerate().filter(|(_, host)| host.is_wildcard()) {
                let reason = "a wildcard cannot be resolved";
                self.error(code::BAD_NAME, hosts.index(place), reason, "name hosts, or give endpoints");
            }
        }
        if resolves {
            for (place, _) in entry.addresses.iter().enumerate().filter(|(_, address)| !address.is_single()) {
                let reason = "a range makes sense only with resolution NONE or STATIC";
                self.error(code::BAD_ADDRESS, addresses.index(place), reason, "give one address");
            }
        }
        let names: BTreeSet<&str> = entry.ports.iter().map(|port| port.name.as_str()).collect();
        for (place, endpoint) in entry.endpoints.iter().enumerate() {
            let same = |other: &WorkloadEntry| other.address == endpoint.address && other.ports == endpoint.ports;
            if endpoint.address.is_some() && entry.endpoints.iter().take(place).any(same) {
                let reason = "the same as an endpoint before, which is the one in force";
                self.error(code::DOES_NOTHING, endpoints.index(place).field("address"), reason, "remove one");
            }
            self.check_endpoint(endpoint, entry.resolution, &names, endpoints.index(place));
        }
    }

    fn check_endpoint(
        &mut self,
        endpoint: &WorkloadEntry,
        resolution: EntryResolution,
        names: &BTreeSet<&str>,
        path: Path<'_>,
    ) {
        match (&endpoint.address, resolution) {
            (Some(EntryAddress::Dns(name)), EntryResolution::Static) => {
                let reason = format!("{name} is a name, and resolution STATIC takes addresses");
                self.error(
                    code::BAD_ADDRESS,
                    path.field("address"),
                    reason,
                    "write an IP address, or use resolution DNS",
                );
            }
            (Some(EntryAddress::Pipe(_)), EntryResolution::Dns | EntryResolution::DnsRoundRobin) => {
                let reason = "a unix socket needs resolution STATIC";
                self.error(code::BAD_ADDRESS, path.field("address"), reason, "use resolution STATIC");
            }
            (None, EntryResolution::Static) if endpoint.network.is_empty() => {
                self.error(code::MISSING_FIELD, path.field("address"), "the field is missing", "say where it answers");
            }
            (Some(EntryAddress::Dns(_) | EntryAddress::Ip(_) | EntryAddress::Pipe(_)) | None, _) => {}
        }
        let ports = path.field("ports");
        for name in endpoint.ports.keys().filter(|name| !names.contains(name.as_str())) {
            let reason = format!("the entry has no port {name}");
            let remedy = format!("use one of: {}", names.iter().copied().collect::<Vec<_>>().join(", "));
            self.error(code::BAD_PORT, ports.field(name), reason, remedy);
        }
    }
}
