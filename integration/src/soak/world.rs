//! The mesh that the soak edits: what it is now, which valid edit comes next, and the files that make it.
//!
//! An edit is valid if no request has a reason to fail while its files are written one after the other: a subset is declared before a route
//! names it and dropped after, and each version keeps an endpoint.

use anyhow::Result;

use crate::{control_plane::Write, manifest, mesh::Mesh, random::Random};

/// The services under load.
pub(super) const SERVICES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
/// The port of the services under load.
pub(super) const PORT: u16 = 9080;
/// The pods of each service.
pub(super) const REPLICAS: [&str; 4] = ["v1.a", "v1.b", "v2.a", "v2.b"];
/// Some requests carry this header, and some routes send those to v2.
pub(super) const BETA_HEADER: &str = "x-beta";
/// How many services without load there may be beside.
const EXTRAS: usize = 6;
const EXTRA_PORT_FIRST: u16 = 9_100;
const SECOND_PORT_FIRST: u16 = 9_200;
const EXTRA_PROTOCOLS: [&str; 4] = ["http", "tcp", "grpc", "http2"];
const BALANCERS: [&str; 4] = ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", ""];

/// A valid edit.
#[derive(Debug)]
pub(super) struct Edit {
    /// What it changes.
    pub(super) kind: &'static str,
    /// The files, in an order that is valid at every step.
    pub(super) changes: Vec<FileChange>,
}

/// A change of one file.
#[derive(Debug)]
pub(super) enum FileChange {
    Write(Write, String, String),
    Remove(String),
}

/// What the files say now.
#[derive(Debug, Default)]
pub(super) struct World {
    services: [Service; SERVICES.len()],
    extras: [Option<Extra>; EXTRAS],
}

/// A service under load.
#[derive(Debug, Default)]
struct Service {
    /// Which of [`REPLICAS`] are not endpoints now.
    away: [bool; REPLICAS.len()],
    traffic: Traffic,
    /// What the files said that were deleted last.
    deleted: Traffic,
    second_port: bool,
}

/// What `traffic-*.yaml`, or the two files `rule-*.yaml` and `route-*.yaml`, say of a service.
#[derive(Clone, Debug, Default, PartialEq)]
struct Traffic {
    rule: Option<Rule>,
    route: Option<Route>,
    /// Both in one file, so that both change at once.
    joined: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    balancer: &'static str,
    requests_per_connection: usize,
    /// A third subset that nothing names.
    spare_subset: bool,
}

/// A route always has a [`Rule`] with the subsets that it names.
#[derive(Clone, Debug, PartialEq)]
struct Route {
    weight_of_v1: usize,
    beta_to_v2: bool,
    retries: usize,
    timeout_seconds: usize,
    mirror: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Extra {
    protocol: &'static str,
    pods: usize,
}

impl World {
    /// Makes a random edit. Files are in the directory of `mesh`, whose applications the endpoints are.
    pub(super) fn edit(&mut self, random: &mut Random, mesh: &Mesh) -> Result<Edit> {
        let service = random.below(SERVICES.len());
        match random.below(10) {
            0..=2 => self.move_endpoint(service, random, mesh),
            3..=6 => Ok(self.change_traffic(service, random)),
            7 => Ok(self.delete_or_return_traffic(service, random)),
            8 => Ok(self.change_ports(service, random)),
            _ => self.change_extra(random, mesh),
        }
    }

    fn move_endpoint(&mut self, service: usize, random: &mut Random, mesh: &Mesh) -> Result<Edit> {
        let (Some(name), Some(state)) = (SERVICES.get(service), self.services.get_mut(service)) else {
            return Ok(nothing());
        };
        let replica = random.below(REPLICAS.len());
        // The other pod of the same version: one of the two stays.
        let other_is_away = state.away.get(replica ^ 1).copied().unwrap_or(true);
        if let Some(away) = state.away.get_mut(replica) {
            *away = !*away && !other_is_away;
        }
        let members = REPLICAS.iter().zip(state.away).filter(|(_, away)| !away).map(|(replica, _)| *replica);
        let text = slices(name, "http", members, name, mesh)?;
        Ok(Edit { kind: "endpoints", changes: vec![written(random, format!("endpoints-{name}.yaml"), text)] })
    }

    fn change_traffic(&mut self, service: usize, random: &mut Random) -> Edit {
        let (Some(name), Some(state)) = (SERVICES.get(service), self.services.get_mut(service)) else {
            return nothing();
        };
        let next = Traffic::random(random);
        let changes = state.traffic.steps_to(&next, name, random);
        state.traffic = next;
        Edit { kind: "traffic", changes }
    }

    /// Deletes the files of a service's traffic, or brings back the ones deleted last.
    fn delete_or_return_traffic(&mut self, service: usize, random: &mut Random) -> Edit {
        let (Some(name), Some(state)) = (SERVICES.get(service), self.services.get_mut(service)) else {
            return nothing();
        };
        if state.traffic == Traffic::default() {
            state.traffic = std::mem::take(&mut state.deleted);
            Edit { kind: "return", changes: Traffic::default().steps_to(&state.traffic, name, random) }
        } else {
            state.deleted = std::mem::take(&mut state.traffic);
            Edit { kind: "deletion", changes: state.deleted.removals(name) }
        }
    }

    fn change_ports(&mut self, service: usize, random: &mut Random) -> Edit {
        let (Some(name), Some(state)) = (SERVICES.get(service), self.services.get_mut(service)) else {
            return nothing();
        };
        state.second_port = !state.second_port;
        let mut text = manifest::service(name, PORT, "http");
        if state.second_port {
            let second = SECOND_PORT_FIRST + u16::try_from(service).unwrap_or(0);
            text.push_str(&format!("  - {{name: http-second, port: {second}, targetPort: {second}}}\n"));
        }
        Edit { kind: "ports", changes: vec![written(random, format!("service-{name}.yaml"), text)] }
    }

    fn change_extra(&mut self, random: &mut Random, mesh: &Mesh) -> Result<Edit> {
        let number = random.below(EXTRAS);
        let name = format!("extra-{number}");
        let file = format!("{name}.yaml");
        let Some(slot) = self.extras.get_mut(number) else { return Ok(nothing()) };
        if slot.is_some() && random.one_in(3) {
            *slot = None;
            return Ok(Edit { kind: "service deleted", changes: vec![FileChange::Remove(file)] });
        }
        let protocol = EXTRA_PROTOCOLS.get(random.below(EXTRA_PROTOCOLS.len())).copied().unwrap_or("http");
        let extra = Extra { protocol, pods: random.below(REPLICAS.len() + 1) };
        *slot = Some(extra);
        let port = EXTRA_PORT_FIRST + u16::try_from(number).unwrap_or(0);
        let service = manifest::service(&name, port, extra.protocol);
        let pods = REPLICAS.iter().copied().take(extra.pods);
        let slices = slices(&name, extra.protocol, pods, SERVICES.first().copied().unwrap_or_default(), mesh)?;
        let text = manifest::documents([service, slices].into_iter().filter(|text| !text.is_empty()));
        Ok(Edit { kind: "service", changes: vec![written(random, file, text)] })
    }
}

impl Traffic {
    fn random(random: &mut Random) -> Self {
        if random.one_in(6) {
            return Self::default();
        }
        let rule = Rule {
            balancer: BALANCERS.get(random.below(BALANCERS.len())).copied().unwrap_or_default(),
            requests_per_connection: random.below(2) * (10 + random.below(50)),
            spare_subset: random.one_in(2),
        };
        let route = Route {
            weight_of_v1: random.below(101),
            beta_to_v2: random.one_in(2),
            retries: random.below(4),
            timeout_seconds: 5 + random.below(10),
            mirror: random.one_in(4).then(|| random.below(SERVICES.len())),
        };
        Self { rule: Some(rule), route: (!random.one_in(4)).then_some(route), joined: random.one_in(3) }
    }

    /// The file changes that lead from these files to the next ones, valid at every step.
    fn steps_to(&self, next: &Self, name: &str, random: &mut Random) -> Vec<FileChange> {
        let mut steps = Vec::new();
        if self.joined != next.joined || next.rule.is_none() {
            steps.extend(self.removals(name));
        } else if !next.joined && next.route.is_none() && self.route.is_some() {
            steps.push(FileChange::Remove(route_file(name)));
        }
        let rule = next.rule.as_ref().map(|rule| rule.text(name));
        let route = next.route.as_ref().map(|route| route.text(name));
        if next.joined {
            let text = manifest::documents([rule, route].into_iter().flatten());
            steps.extend((!text.is_empty()).then(|| written(random, traffic_file(name), text)));
        } else {
            let files = [(rule_file(name), rule), (route_file(name), route)];
            steps.extend(files.into_iter().filter_map(|(file, text)| Some(written(random, file, text?))));
        }
        steps
    }

    /// Deletes these files, the route first.
    fn removals(&self, name: &str) -> Vec<FileChange> {
        let files = if self.joined {
            vec![self.rule.is_some().then(|| traffic_file(name))]
        } else {
            vec![self.route.is_some().then(|| route_file(name)), self.rule.is_some().then(|| rule_file(name))]
        };
        files.into_iter().flatten().map(FileChange::Remove).collect()
    }
}

impl Rule {
    fn text(&self, name: &str) -> String {
        let mut policy = Vec::new();
        if !self.balancer.is_empty() {
            policy.push(format!("loadBalancer: {{simple: {}}}", self.balancer));
        }
        if self.requests_per_connection > 0 {
            let count = self.requests_per_connection;
            policy.push(format!("connectionPool: {{http: {{maxRequestsPerConnection: {count}}}}}"));
        }
        let policy = if policy.is_empty() { String::new() } else { format!("{{{}}}", policy.join(", ")) };
        let subsets: &[&str] = if self.spare_subset { &["v1", "v2", "v3"] } else { &["v1", "v2"] };
        manifest::destination_rule(name, subsets, &policy)
    }
}

impl Route {
    fn text(&self, name: &str) -> String {
        let weight = u32::try_from(self.weight_of_v1).unwrap_or(0).min(100);
        let mirror = self.mirror.and_then(|other| SERVICES.get(other));
        let mirror = mirror.map(|other| format!("mirror: {{host: {other}}}\n")).unwrap_or_default();
        let all = format!(
            "timeout: {}s\nretries: {{attempts: {}}}\n{mirror}{}",
            self.timeout_seconds,
            self.retries,
            manifest::weighted(name, &[("v1", weight), ("v2", 100 - weight)])
        );
        let beta = format!(
            "match:\n- headers: {{{BETA_HEADER}: {{exact: \"yes\"}}}}\n{}",
            manifest::weighted(name, &[("v2", 100)])
        );
        let rules: &[&str] = if self.beta_to_v2 { &[&beta, &all] } else { &[&all] };
        manifest::virtual_service(name, rules)
    }
}

fn slices<'a>(
    service: &str,
    port_name: &str,
    replicas: impl Iterator<Item = &'a str>,
    app: &str,
    mesh: &Mesh,
) -> Result<String> {
    let slice = |replica: &str| {
        let pod = format!("{app}-{}", replica.replace('.', "-"));
        Ok(manifest::endpoint_slice(service, port_name, &pod, mesh.app(&pod)?.address()))
    };
    Ok(manifest::documents(replicas.map(slice).collect::<Result<Vec<_>>>()?))
}

fn nothing() -> Edit {
    Edit { kind: "nothing", changes: Vec::new() }
}

fn written(random: &mut Random, file: String, text: String) -> FileChange {
    FileChange::Write(if random.one_in(5) { Write::Truncate } else { Write::Rename }, file, text)
}

fn rule_file(name: &str) -> String {
    format!("rule-{name}.yaml")
}

fn route_file(name: &str) -> String {
    format!("route-{name}.yaml")
}

fn traffic_file(name: &str) -> String {
    format!("traffic-{name}.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The objects that the files of a service hold after these changes.
    fn apply(files: &mut std::collections::BTreeMap<String, String>, change: FileChange) {
        match change {
            FileChange::Write(_, name, text) => drop(files.insert(name, text)),
            FileChange::Remove(name) => assert!(files.remove(&name).is_some(), "{name} is not there"),
        }
    }

    #[test]
    fn at_every_step_a_route_finds_the_subsets_that_it_names_and_no_object_is_there_twice() {
        let mut random = Random::seeded(11);
        let (mut world, mut files) = (World::default(), std::collections::BTreeMap::new());
        for _ in 0..5_000 {
            let edit = if random.one_in(4) {
                world.delete_or_return_traffic(0, &mut random)
            } else {
                world.change_traffic(0, &mut random)
            };
            for change in edit.changes {
                apply(&mut files, change);
                let all: String = files.values().cloned().collect();
                let (rules, routes) = (all.matches("DestinationRule").count(), all.matches("VirtualService").count());
                assert!(rules <= 1 && routes <= rules, "{rules} rules, {routes} routes: {files:?}");
            }
        }
    }
}
