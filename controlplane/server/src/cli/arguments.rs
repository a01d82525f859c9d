//! Values that several commands take: what is wrong with one is wrong usage, and is said before anything begins.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use mesh::model::{Hostname, Namespace};

/// An address of this machine: whoever reaches the plain-text ports reads the whole mesh.
pub(crate) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    let remedy = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    Err(format!("files are served in plain text, to this machine only; give a loopback address, as {remedy}"))
}

/// An address and port.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write IP:PORT, as in 127.0.0.1:15014 or [::1]:15014".to_owned())
}

/// The DNS domain of a cluster.
pub(crate) fn domain(text: &str) -> Result<String, String> {
    match Hostname::parse(text) {
        Ok(host) if !host.is_wildcard() => Ok(host.to_string()),
        Ok(_) | Err(_) => Err("not the name of a domain; write one such as cluster.local".into()),
    }
}

/// The name of a namespace.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    match Namespace::parse(text) {
        Ok(namespace) => Ok(namespace.to_string()),
        Err(_) => Err("not the name of a namespace; write one such as istio-system".into()),
    }
}

/// The name of a proxy or Pod: what names of Kubernetes and node ids are made of, and so nothing that would mean
/// something in a URL.
pub(super) fn proxy(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~' | ':');
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("write NAME.NAMESPACE, as in reviews-v1.default".into())
    }
}

/// Time, as kubectl takes it: a number with a unit, or of seconds. `None` is 0, which means without end.
pub(super) fn timeout(text: &str) -> Result<Option<Duration>, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match text.get(digits.len()..) {
        Some("ms") => 1,
        Some("" | "s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        Some(_) | None => return Err(TIMEOUT_FORM.into()),
    };
    let count: u32 = digits.parse().map_err(|_| TIMEOUT_FORM)?;
    Ok((count > 0).then(|| Duration::from_millis(u64::from(count).saturating_mul(unit_ms))))
}

const TIMEOUT_FORM: &str = "write a number with a unit, as in 500ms, 30s or 2m; 0 waits for ever";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_for_kubectl() {
        let ms = |text| timeout(text).map(|limit| limit.map(|limit| limit.as_millis()));
        assert_eq!(ms("500ms"), Ok(Some(500)));
        assert_eq!(ms("30"), Ok(Some(30_000)));
        assert_eq!(ms("2m"), Ok(Some(120_000)));
        assert_eq!(ms("0"), Ok(None));
        for text in ["", "s", "-1s", "1.5s", "1d", "1 s", "99999999999s"] {
            assert!(ms(text).is_err(), "{text}");
        }
    }
}
