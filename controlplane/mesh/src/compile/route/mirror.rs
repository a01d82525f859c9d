//! Copies of requests.

use proto::envoy::config::route::v3::route_action::RequestMirrorPolicy;

use super::{destination::Target, fault};
use crate::model::virtual_service::{Destination, Mirror};

/// Where copies go; mirrors with a share of 0 are none.
pub(super) fn policies<'a>(
    mirrors: &[Mirror],
    target: impl Fn(&Destination) -> Target<'a>,
) -> Vec<RequestMirrorPolicy> {
    mirrors
        .iter()
        .filter(|mirror| mirror.share.0 > 0)
        .map(|mirror| RequestMirrorPolicy {
            cluster: target(&mirror.destination).cluster.to_string(),
            runtime_fraction: Some(fault::fraction(mirror.share)),
            trace_sampled: Some(false),
            // A copy is for the same host as the request.
            disable_shadow_host_suffix_append: true,
            ..RequestMirrorPolicy::default()
        })
        .collect()
}
