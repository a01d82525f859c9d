//! Values that many kinds have: hosts, ports, durations, shares, visibility, addresses.

use std::{net::IpAddr, time::Duration};

use mesh::model::{
    Hostname, Labels, Namespace, Selector, code, duration,
    protocol::Protocol,
    service::Address,
    virtual_service::{GatewayName, Millionths},
    visibility::{DefaultExport, ExportTo},
};

use super::Conversion;
use crate::source::{
    path::Path,
    wire::{
        DurationText, Percent,
        selector::{LabelsSelector, MatchLabelsSelector},
    },
};

/// The least duration that Envoy takes for most timeouts.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

impl Conversion<'_> {
    /// A host as users write it: without dots it is completed with the namespace of the object.
    pub(super) fn host(&mut self, text: &str, path: Path<'_>) -> Option<Hostname> {
        let parsed = if text.is_empty() || text.contains('.') || text == "*" {
            Hostname::parse(text)
        } else {
            Hostname::of_service(text, &self.metadata.namespace, &self.settings.domain)
        };
        match parsed {
            Ok(host) => Some(host),
            Err(error) => {
                self.error(
                    code::BAD_NAME,
                    path,
                    format!("the host {error}"),
                    "write a DNS name, such as reviews or api.example.com",
                );
                None
            }
        }
    }

    /// A host that is taken as it is written.
    pub(super) fn exact_host(&mut self, text: &str, path: Path<'_>) -> Option<Hostname> {
        match Hostname::parse(text) {
            Ok(host) => Some(host),
            Err(error) => {
                self.error(
                    code::BAD_NAME,
                    path,
                    format!("the host {error}"),
                    "write a DNS name, such as api.example.com",
                );
                None
            }
        }
    }

    pub(super) fn namespace(&mut self, text: &str, path: Path<'_>) -> Option<Namespace> {
        match Namespace::parse(text) {
            Ok(namespace) => Some(namespace),
            Err(error) => {
                self.error(code::BAD_NAME, path, format!("the namespace {error}"), "");
                None
            }
        }
    }

    pub(super) fn duration(
        &mut self,
        text: Option<&DurationText>,
        least: Duration,
        path: Path<'_>,
    ) -> Option<Duration> {
        let DurationText(text) = text?;
        let reason = match duration::parse(text) {
            // Envoy counts in milliseconds, and Istio refuses what is finer.
            Ok(duration) if !duration.subsec_nanos().is_multiple_of(MILLISECOND.subsec_nanos()) => {
                format!("`{text}` is not a whole number of milliseconds")
            }
            Ok(duration) if duration >= least => return Some(duration),
            Ok(_) => format!("must be at least {least:?}"),
            Err(reason) => reason,
        };
        let remedy = match text.trim().parse::<f64>().ok() {
            Some(number) if (0.0..1e9).contains(&number) => format!("did you mean {number}s?"),
            _ => String::new(),
        };
        self.error(code::BAD_DURATION, path, reason, remedy);
        None
    }

    pub(super) fn port(&mut self, number: impl Into<i64>, path: Path<'_>) -> Option<u16> {
        let number = number.into();
        match u16::try_from(number) {
            Ok(port) if port > 0 => Some(port),
            _ => {
                self.error(code::BAD_PORT, path, format!("{number} is not a port: they go from 1 to 65535"), "");
                None
            }
        }
    }

    pub(super) fn protocol(&mut self, text: Option<&String>, path: Path<'_>) -> Protocol {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Protocol::Auto };
        Protocol::parse(text).unwrap_or_else(|| {
            let remedy = "use one of: HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS, MYSQL, UDP";
            self.error(code::UNKNOWN_VALUE, path, format!("{text:?} is not a protocol"), remedy);
            Protocol::Auto
        })
    }

    /// A count that Istio counts as not given when it is 0.
    pub(super) fn count(&mut self, number: Option<i32>, path: Path<'_>) -> Option<u32> {
        match u32::try_from(number?) {
            Ok(count) => Some(count).filter(|count| *count > 0),
            Err(_) => {
                self.error(code::BAD_VALUE, path, "must not be negative", "");
                None
            }
        }
    }

    /// A whole percentage.
    pub(super) fn whole_percent(&mut self, number: Option<i32>, path: Path<'_>) -> Option<u32> {
        match u32::try_from(number?) {
            Ok(percent) if percent <= 100 => Some(percent),
            _ => {
                self.error(code::BAD_PERCENT, path, "must be from 0 to 100", "");
                None
            }
        }
    }

    /// A share of requests.
    pub(super) fn share(&mut self, percent: Percent, path: Path<'_>) -> Millionths {
        let Percent { value } = percent;
        if !(0.0..=100.0).contains(&value) {
            self.error(code::BAD_PERCENT, path.field("value"), format!("{value} is not from 0 to 100"), "");
            return Millionths(0);
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000,000 fits")]
        let millionths = (value * 10_000.0).round() as u32;
        Millionths(millionths)
    }

    pub(super) fn export_to(&mut self, list: &[String], path: Path<'_>) -> ExportTo {
        let mut namespaces = Vec::new();
        for (place, text) in list.iter().enumerate() {
            match text.trim() {
                "*" => return ExportTo::All,
                "~" => return ExportTo::None,
                "." => namespaces.push(self.metadata.namespace.clone()),
                name => namespaces.extend(self.namespace(name, path.index(place))),
            }
        }
        namespaces.sort();
        namespaces.dedup();
        if list.is_empty() { ExportTo::Default } else { ExportTo::Namespaces(namespaces) }
    }

    /// What the mesh says for objects that say nothing.
    pub(super) fn default_export(&mut self, list: &[String], path: Path<'_>) -> DefaultExport {
        match list {
            [] => DefaultExport::All,
            [only] if only == "*" => DefaultExport::All,
            [only] if only == "." => DefaultExport::Own,
            [only] if only == "~" => DefaultExport::None,
            _ => {
                self.error(code::UNKNOWN_VALUE, path, "must be one of `*`, `.` and `~`", "");
                DefaultExport::All
            }
        }
    }

    pub(super) fn gateways(&mut self, list: &[String], path: Path<'_>) -> Vec<GatewayName> {
        let mut gateways = Vec::new();
        for (place, text) in list.iter().enumerate() {
            let path = path.index(place);
            let gateway = match text.split_once('/') {
                None if text == "mesh" => Some(GatewayName::Mesh),
                None => Some(GatewayName::Gateway(self.metadata.namespace.clone(), text.clone())),
                Some((".", name)) => Some(GatewayName::Gateway(self.metadata.namespace.clone(), name.to_owned())),
                Some((namespace, name)) => {
                    self.namespace(namespace, path).map(|namespace| GatewayName::Gateway(namespace, name.to_owned()))
                }
            };
            if let Some(GatewayName::Gateway(_, name)) = &gateway
                && (name.is_empty() || name.contains('/'))
            {
                self.error(
                    code::BAD_NAME,
                    path,
                    format!("{text:?} names no gateway"),
                    "write `mesh`, or `namespace/name`",
                );
            }
            gateways.extend(gateway);
        }
        gateways
    }

    pub(super) fn address(&mut self, text: &str, path: Path<'_>) -> Option<Address> {
        let parsed = parse_address(text);
        if parsed.is_none() {
            self.error(
                code::BAD_ADDRESS,
                path,
                format!("{text:?} is neither an address nor a range"),
                "write it like 10.0.0.1, 10.0.0.0/24 or 2001:db8::1",
            );
        }
        parsed
    }

    pub(super) fn addresses(&mut self, list: &[String], path: Path<'_>) -> Vec<Address> {
        list.iter().enumerate().filter_map(|(place, text)| self.address(text, path.index(place))).collect()
    }

    /// One of two fields at most: `true` when both are given, which is an error.
    pub(super) fn exclusive(&mut self, one: (bool, &str), other: (bool, &str), path: Path<'_>) {
        let ((one_given, one), (other_given, other)) = (one, other);
        if one_given && other_given {
            self.error(
                code::CONFLICTING_FIELDS,
                path.field(other),
                format!("{one} and {other} exclude each other"),
                "remove one of them",
            );
        }
    }
}

/// An address or a range; the bits behind the prefix of a range are cleared.
pub(super) fn parse_address(text: &str) -> Option<Address> {
    let Some((ip, bits)) = text.split_once('/') else { return text.parse().ok().map(Address::single) };
    let ip: IpAddr = ip.parse().ok()?;
    let prefix_len: u8 = bits.parse().ok()?;
    let width = Address::single(ip).prefix_len;
    let clear = u32::from(width.checked_sub(prefix_len)?);
    let ip = match ip {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(clear).unwrap_or(0)).into()),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & u128::MAX.checked_shl(clear).unwrap_or(0)).into()),
    };
    Some(Address { ip, prefix_len })
}

/// The selector of `labels`; `None` when there is none, or when it asks for nothing.
pub(super) fn labels_selector(selector: Option<LabelsSelector>) -> Option<Selector> {
    selector.map(|LabelsSelector { labels }| Selector(labels)).filter(|selector| !selector.is_empty())
}

/// The same in the newer spelling.
pub(super) fn match_labels_selector(selector: Option<MatchLabelsSelector>) -> Option<Selector> {
    selector.map(|MatchLabelsSelector { match_labels }| Selector(match_labels)).filter(|selector| !selector.is_empty())
}

/// Labels that the mesh reads itself.
pub(super) fn mesh_annotations(annotations: &Labels) -> Labels {
    annotations
        .iter()
        .filter(|(key, _)| key.split('/').next().is_some_and(|domain| domain.ends_with("istio.io")))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lose_the_bits_behind_their_prefix() {
        let shown = |text| parse_address(text).map(|a| format!("{}/{}", a.ip, a.prefix_len));
        assert_eq!(shown("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(shown("10.1.2.3/16").as_deref(), Some("10.1.0.0/16"));
        assert_eq!(shown("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(shown("2001:db8::1/32").as_deref(), Some("2001:db8::/32"));
        for bad in ["", "10.0.0", "10.0.0.0/33", "::/129", "a", "10.0.0.1/"] {
            assert_eq!(parse_address(bad), None, "{bad:?}");
        }
    }
}
