//! TCP keep-alive of upstream connections.

use std::time::Duration;

use proto::envoy::config::{cluster::v3::UpstreamConnectionOptions, core::v3};

use crate::model::destination_rule::{KEEPALIVE_MAX, PROBES_MAX, TcpKeepalive};

/// Keep-alive by the rule, else by the mesh; an empty block turns it on with the system's own times.
#[must_use]
pub fn options(rule: Option<&TcpKeepalive>, mesh: Option<&TcpKeepalive>) -> Option<UpstreamConnectionOptions> {
    let TcpKeepalive { probes, time, interval } = rule.or(mesh)?;
    let tcp_keepalive = v3::TcpKeepalive {
        keepalive_probes: probes.map(|probes| probes.clamp(1, PROBES_MAX)),
        keepalive_time: time.map(seconds),
        keepalive_interval: interval.map(seconds),
    };
    Some(UpstreamConnectionOptions { tcp_keepalive: Some(tcp_keepalive), ..UpstreamConnectionOptions::default() })
}

/// Whole seconds, rounded up: the socket options know nothing finer, and refuse zero.
fn seconds(duration: Duration) -> u32 {
    let rounded = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(rounded.clamp(1, KEEPALIVE_MAX.as_secs())).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keepalive(probes: u32, time: Duration) -> TcpKeepalive {
        TcpKeepalive { probes: Some(probes), time: Some(time), interval: None }
    }

    #[test]
    fn the_rule_wins_over_the_mesh() {
        let (rule, mesh) = (keepalive(3, Duration::from_secs(10)), keepalive(9, Duration::from_secs(90)));
        let probes = |options: Option<UpstreamConnectionOptions>| {
            options.and_then(|o| o.tcp_keepalive).and_then(|keepalive| keepalive.keepalive_probes)
        };
        assert_eq!(probes(options(Some(&rule), Some(&mesh))), Some(3));
        assert_eq!(probes(options(None, Some(&mesh))), Some(9));
        assert_eq!(options(None, None), None);
    }

    #[test]
    fn values_stay_within_what_the_kernel_takes() {
        let wild = TcpKeepalive {
            probes: Some(u32::MAX),
            time: Some(Duration::from_millis(1)),
            interval: Some(Duration::MAX),
        };
        let keepalive = options(Some(&wild), None).and_then(|o| o.tcp_keepalive).unwrap();
        assert_eq!(keepalive.keepalive_probes, Some(127));
        assert_eq!((keepalive.keepalive_time, keepalive.keepalive_interval), (Some(1), Some(32_767)));
    }
}
