//! How an endpoint is chosen.

use std::time::Duration;

use mesh::model::{
    code,
    destination_rule::{Algorithm, ConsistentHash, HashKey, HashTable, LoadBalancer, LocalityLb, Warmup},
};

use super::{Conversion, values::MILLISECOND};
use crate::source::{
    path::Path,
    wire::{DurationText, traffic_policy as wire},
};

/// Points of a ring when the rule does not say how many, as Istio has it.
const RING_SIZE_MIN: u64 = 1024;
/// Most points of a ring, as Envoy has it.
const RING_SIZE_MAX: u64 = 8 * 1024 * 1024;
/// Largest table, as Envoy has it.
const TABLE_SIZE_MAX: u64 = 5_000_011;

impl Conversion<'_> {
    pub(super) fn load_balancer(&mut self, value: wire::LoadBalancerSettings, path: Path<'_>) -> LoadBalancer {
        let wire::LoadBalancerSettings {
            simple,
            consistent_hash,
            locality_lb_setting,
            zone_aware_lb_setting,
            warmup_duration_secs,
            warmup,
        } = value;
        self.exclusive((simple.is_some(), "simple"), (consistent_hash.is_some(), "consistentHash"), path);
        self.ignore(
            zone_aware_lb_setting.as_ref(),
            path.field("zoneAwareLbSetting"),
            "endpoints are chosen without regard to zones",
        );
        if simple == Some(wire::SimpleLb::LeastConn) {
            self.error(
                code::DEPRECATED,
                path.field("simple"),
                "LEAST_CONN is deprecated, but in force",
                "write LEAST_REQUEST",
            );
        }
        let hash = consistent_hash.and_then(|hash| self.consistent_hash(hash, path.field("consistentHash")));
        let algorithm = match (hash, simple) {
            (Some(hash), _) => Algorithm::ConsistentHash(hash),
            (None, None | Some(wire::SimpleLb::Unspecified)) => Algorithm::Default,
            (None, Some(wire::SimpleLb::LeastConn | wire::SimpleLb::LeastRequest)) => Algorithm::LeastRequest,
            (None, Some(wire::SimpleLb::Random)) => Algorithm::Random,
            (None, Some(wire::SimpleLb::Passthrough)) => Algorithm::Passthrough,
            (None, Some(wire::SimpleLb::RoundRobin)) => Algorithm::RoundRobin,
        };
        let warmup_fields = [("warmup", warmup.is_some()), ("warmupDurationSecs", warmup_duration_secs.is_some())];
        self.check_warmup(&algorithm, warmup_fields, path);
        let old_warmup = self.old_warmup(warmup_duration_secs.as_ref(), path.field("warmupDurationSecs"));
        LoadBalancer {
            algorithm,
            locality: locality_lb_setting.map(|value| self.locality_lb(value, path.field("localityLbSetting"))),
            warmup: warmup.and_then(|value| self.warmup(value, path.field("warmup"))).or(old_warmup),
        }
    }

    fn consistent_hash(&mut self, value: wire::ConsistentHashLb, path: Path<'_>) -> Option<ConsistentHash> {
        let wire::ConsistentHashLb {
            http_header_name,
            http_cookie,
            use_source_ip,
            http_query_parameter_name,
            ring_hash,
            maglev,
            minimum_ring_size,
        } = value;
        self.exclusive((ring_hash.is_some(), "ringHash"), (maglev.is_some(), "maglev"), path);
        let table = self.hash_table(ring_hash, maglev, minimum_ring_size, path);
        let mut keys = Vec::new();
        if let Some(name) = http_header_name {
            keys.extend(self.header_name(&name, path.field("httpHeaderName")).map(HashKey::Header));
        }
        if let Some(cookie) = http_cookie {
            keys.extend(self.cookie(cookie, path.field("httpCookie")));
        }
        if use_source_ip == Some(true) {
            keys.push(HashKey::SourceIp);
        }
        if let Some(name) = http_query_parameter_name {
            keys.push(HashKey::QueryParameter(name));
        }
        let mut keys = keys.into_iter();
        let Some(key) = keys.next() else {
            self.error(
                code::MISSING_FIELD,
                path,
                "says no key",
                "add httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName",
            );
            return None;
        };
        if keys.next().is_some() {
            self.error(code::CONFLICTING_FIELDS, path, "says more than one key", "keep one of them");
        }
        Some(ConsistentHash { key, table })
    }

    fn hash_table(
        &mut self,
        ring: Option<wire::RingHash>,
        maglev: Option<wire::Maglev>,
        old_size: Option<u64>,
        path: Path<'_>,
    ) -> HashTable {
        if let Some(size) = old_size {
            let remedy = format!("write ringHash: {{minimumRingSize: {size}}}");
            self.error(code::DEPRECATED, path.field("minimumRingSize"), "deprecated, but in force", remedy);
        }
        if let Some(wire::Maglev { table_size }) = maglev {
            let size = table_size.filter(|size| *size > 0);
            let maglev_path = path.field("maglev");
            if size.is_some_and(|size| size > TABLE_SIZE_MAX || !is_prime(size)) {
                let reason = format!("must be a prime number of at most {TABLE_SIZE_MAX}");
                self.error(code::BAD_VALUE, maglev_path.field("tableSize"), reason, "use 65537, or leave it out");
            }
            return HashTable::Maglev { size };
        }
        let size = ring.and_then(|wire::RingHash { minimum_ring_size }| minimum_ring_size);
        let in_ring = size.is_some();
        let size = size.or(old_size);
        let size_min = size.filter(|size| *size > 0).unwrap_or(RING_SIZE_MIN);
        if size_min > RING_SIZE_MAX {
            let ring_path = path.field("ringHash");
            let of = if in_ring { ring_path } else { path };
            self.error(code::BAD_VALUE, of.field("minimumRingSize"), format!("must be at most {RING_SIZE_MAX}"), "");
        }
        HashTable::Ring { size_min }
    }

    fn cookie(&mut self, value: wire::HttpCookie, path: Path<'_>) -> Option<HashKey> {
        let wire::HttpCookie { name, path: cookie_path, ttl, attributes } = value;
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            self.error(code::MISSING_FIELD, path.field("name"), "the field is missing", "name the cookie");
            return None;
        };
        Some(HashKey::Cookie {
            name,
            path: cookie_path.unwrap_or_default(),
            ttl: self.duration(ttl.as_ref(), Duration::ZERO, path.field("ttl")),
            attributes: attributes
                .into_iter()
                .map(|wire::CookieAttribute { name, value }| (name.unwrap_or_default(), value.unwrap_or_default()))
                .collect(),
        })
    }

    pub(super) fn locality_lb(&mut self, value: wire::LocalityLbSetting, path: Path<'_>) -> LocalityLb {
        let wire::LocalityLbSetting { distribute, failover, failover_priority, enabled } = value;
        self.exclusive((!distribute.is_empty(), "distribute"), (!failover.is_empty(), "failover"), path);
        self.exclusive(
            (!distribute.is_empty(), "distribute"),
            (!failover_priority.is_empty(), "failoverPriority"),
            path,
        );
        let (distribute_path, failover_path) = (path.field("distribute"), path.field("failover"));
        LocalityLb {
            enabled,
            distribute: distribute
                .into_iter()
                .enumerate()
                .map(|(place, wire::Distribute { from, to })| {
                    let path = distribute_path.index(place);
                    let sum: u64 = to.values().copied().map(u64::from).sum();
                    if sum != 100 {
                        self.error(
                            code::BAD_WEIGHT,
                            path.field("to"),
                            format!("the shares add up to {sum}, not to 100"),
                            "",
                        );
                    }
                    (from.unwrap_or_default(), to.into_iter().collect())
                })
                .collect(),
            failover: failover
                .into_iter()
                .enumerate()
                .map(|(place, wire::Failover { from, to })| {
                    let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
                    if from == to {
                        self.error(
                            code::BAD_VALUE,
                            failover_path.index(place),
                            "a region cannot take over for itself",
                            "",
                        );
                    }
                    (from, to)
                })
                .collect(),
            failover_priority,
        }
    }

    /// Says that endpoints are not warmed up where Envoy has no slow start.
    fn check_warmup(&mut self, algorithm: &Algorithm, fields: [(&str, bool); 2], path: Path<'_>) {
        let chosen = match algorithm {
            Algorithm::Default | Algorithm::RoundRobin | Algorithm::LeastRequest => return,
            Algorithm::Random => "RANDOM",
            Algorithm::Passthrough => "PASSTHROUGH",
            Algorithm::ConsistentHash(_) => "consistentHash",
        };
        for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
            let reason = format!("has no effect: {chosen} does not warm endpoints up");
            self.error(code::WARMUP_IGNORED, path.field(field), reason, "use ROUND_ROBIN or LEAST_REQUEST");
        }
    }

    fn old_warmup(&mut self, text: Option<&DurationText>, path: Path<'_>) -> Option<Warmup> {
        if text.is_some() {
            self.error(code::DEPRECATED, path, "deprecated, but in force", "write warmup: {duration: ...}");
        }
        let duration = self.duration(text, MILLISECOND, path)?;
        Some(Warmup { duration, minimum_percent: None, aggression: None })
    }

    fn warmup(&mut self, value: wire::WarmupConfiguration, path: Path<'_>) -> Option<Warmup> {
        let wire::WarmupConfiguration { duration, minimum_percent, aggression } = value;
        if duration.is_none() {
            self.error(code::MISSING_FIELD, path.field("duration"), "the field is missing", "say how long");
        }
        if minimum_percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            self.error(code::BAD_PERCENT, path.field("minimumPercent"), "must be from 0 to 100", "");
        }
        // Below 1 Envoy would start with more than the full share.
        if aggression.is_some_and(|aggression| !(1.0..=1e6).contains(&aggression)) {
            self.error(code::BAD_VALUE, path.field("aggression"), "must be at least 1", "");
        }
        let duration = self.duration(duration.as_ref(), MILLISECOND, path.field("duration"))?;
        Some(Warmup { duration, minimum_percent, aggression })
    }
}

fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prime_numbers_are_known() {
        let primes: Vec<u64> = (0..30).filter(|n| is_prime(*n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && is_prime(TABLE_SIZE_MAX) && !is_prime(65_536));
    }
}
