//! Which protocol a port speaks, and how its name says so.

/// What a port carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 in clear text.
    Http2,
    /// gRPC, that is HTTP/2.
    Grpc,
    /// gRPC-Web, over HTTP/2 to the server.
    GrpcWeb,
    /// TLS from the application, carrying HTTP: opaque to the proxy.
    Https,
    /// TLS from the application: opaque to the proxy but for its SNI.
    Tls,
    /// Bytes.
    Tcp,
    /// MongoDB: carried as TCP.
    Mongo,
    /// Redis: carried as TCP.
    Redis,
    /// MySQL: carried as TCP.
    Mysql,
    /// Datagrams: not touched by the proxy.
    Udp,
    /// Not declared: the proxy looks at the first bytes.
    Auto,
}

/// Ports whose servers speak first or are otherwise known to break sniffing: undeclared, they are TCP.
const TCP_PORTS: [u16; 4] = [25, 53, 3306, 27017];

impl Protocol {
    /// The protocol of a Kubernetes service port: `appProtocol` wins, then the prefix of the name before `-`.
    #[must_use]
    pub fn of_service_port(transport: &str, app_protocol: Option<&str>, name: &str, port: u16) -> Self {
        // SCTP too: whatever is not TCP the proxy does not touch.
        if !transport.is_empty() && !transport.eq_ignore_ascii_case("tcp") {
            return Self::Udp;
        }
        match app_protocol.map(str::to_ascii_lowercase).as_deref() {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/wss") => return Self::Https,
            Some("kubernetes.io/ws") => return Self::Http,
            Some(other) => {
                if let Some(protocol) = Self::parse(other) {
                    return protocol;
                }
            }
            None => {}
        }
        if let Some(protocol) = Self::of_port_name(name) {
            return protocol;
        }
        if TCP_PORTS.contains(&port) { Self::Tcp } else { Self::Auto }
    }

    fn of_port_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name == "grpc-web" || name.starts_with("grpc-web-") {
            return Some(Self::GrpcWeb);
        }
        let prefix = name.split('-').next().unwrap_or_default();
        Self::parse(prefix)
    }

    /// A protocol by its name, in any case, as ServiceEntry and Sidecar ports write it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "mongo" => Self::Mongo,
            "redis" => Self::Redis,
            "mysql" => Self::Mysql,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    /// Whether the proxy reads requests on such a port without looking first.
    #[must_use]
    pub fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb => true,
            Self::Https | Self::Tls | Self::Tcp | Self::Mongo | Self::Redis | Self::Mysql | Self::Udp | Self::Auto => {
                false
            }
        }
    }

    /// Whether the server speaks HTTP/2.
    #[must_use]
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// Whether the application's own TLS passes through.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_protocol_wins_over_the_port_name() {
        let of = |app, name, port| Protocol::of_service_port("TCP", app, name, port);
        assert_eq!(of(Some("kubernetes.io/h2c"), "tcp", 1), Protocol::Http2);
        assert_eq!(of(Some("kubernetes.io/ws"), "tcp", 1), Protocol::Http);
        assert_eq!(of(Some("kubernetes.io/wss"), "http", 1), Protocol::Https);
        assert_eq!(of(Some("example.com/own"), "http-web", 1), Protocol::Http);
        assert_eq!(of(None, "grpc-web-x", 1), Protocol::GrpcWeb);
        assert_eq!(of(None, "httpx", 1), Protocol::Auto);
        assert_eq!(of(None, "", 3306), Protocol::Tcp);
        assert_eq!(Protocol::of_service_port("UDP", None, "http", 1), Protocol::Udp);
        assert_eq!(Protocol::of_service_port("SCTP", None, "http", 1), Protocol::Udp);
    }
}
