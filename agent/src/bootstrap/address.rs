//! Addresses as users write them: `HOST:PORT`, `[IPv6]:PORT` or `unix:/PATH`.

use std::{fmt, net::IpAddr};

use serde_json::{Value, json};

/// Longest host name, in bytes, as DNS has it.
const HOST_LEN_MAX: usize = 253;

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// An IP address and port.
    Ip(IpAddr, u16),
    /// A name to resolve, and a port.
    Name(String, u16),
    /// A socket in the file system.
    Unix(String),
}

impl Address {
    /// Parses an address; the error says what is wrong and how it should look, for one as `example`, which has a port.
    pub(super) fn parse(text: &str, example: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Unix(path.to_owned()))
            } else {
                Err("the path of a unix socket must be absolute, as in unix:/run/mainsheet/xds".into())
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| {
            let port = example.rsplit_once(':').map_or(example, |(_, port)| port);
            format!("no port; write HOST:PORT, as in {}:{port}", if text.is_empty() { "127.0.0.1" } else { text })
        })?;
        let port = port.parse::<u16>().map_err(|_| format!("`{port}` is not a port; give a number from 0 to 65535"))?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) if bare.is_none() => {
                Err(format!("an IPv6 address goes into brackets, as in [{host}]:{port}"))
            }
            Ok(ip) => Ok(Self::Ip(ip, port)),
            Err(_) if bare.is_some() => Err(format!("`{host}` is not an IPv6 address")),
            Err(_) => Self::name(host, port, example),
        }
    }

    fn name(host: &str, port: u16, example: &str) -> Result<Self, String> {
        let valid = host.len() <= HOST_LEN_MAX
            && host.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            });
        if valid {
            Ok(Self::Name(host.to_owned(), port))
        } else {
            Err(format!("`{host}` is neither an IP address nor a host name; write HOST:PORT, as in {example}"))
        }
    }

    /// Its port; a socket in the file system has none.
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(_, port) | Self::Name(_, port) => Some(*port),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine can reach it.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Ip(ip, _) => ip.is_loopback(),
            Self::Name(name, _) => name == "localhost",
            Self::Unix(_) => true,
        }
    }

    /// Envoy's `Address`.
    pub(super) fn to_envoy(&self) -> Value {
        match self {
            Self::Ip(ip, port) => json!({"socket_address": {"address": ip.to_string(), "port_value": port}}),
            Self::Name(name, port) => json!({"socket_address": {"address": name, "port_value": port}}),
            Self::Unix(path) => json!({"pipe": {"path": path}}),
        }
    }

    /// Whether it has to be resolved.
    pub(super) fn is_name(&self) -> bool {
        match self {
            Self::Ip(..) | Self::Unix(_) => false,
            Self::Name(..) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip), port) => write!(f, "[{ip}]:{port}"),
            Self::Ip(ip, port) => write!(f, "{ip}:{port}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "127.0.0.1:15000";

    #[test]
    fn an_address_is_an_ip_a_name_or_a_socket() {
        for (text, is_name) in
            [("127.0.0.1:1", false), ("[::1]:1", false), ("unix:/a", false), ("istiod.b.svc:1", true)]
        {
            let address = Address::parse(text, EXAMPLE).unwrap();
            assert_eq!(address.is_name(), is_name, "{text}");
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(Address::parse("unix:///a", EXAMPLE).unwrap(), Address::Unix("/a".into()));
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_remedy() {
        for (text, remedy) in [
            ("localhost", "localhost:15000"),
            ("", "127.0.0.1:15000"),
            ("127.0.0.1:http", "0 to 65535"),
            ("127.0.0.1:70000", "0 to 65535"),
            ("::1:15010", "[::1]:15010"),
            ("[web]:1", "IPv6"),
            ("a b:1", "HOST:PORT"),
            (":1", "HOST:PORT"),
            ("unix:run", "absolute"),
        ] {
            let error = Address::parse(text, EXAMPLE).unwrap_err();
            assert!(error.contains(remedy), "{text}: {error}");
        }
    }
}
