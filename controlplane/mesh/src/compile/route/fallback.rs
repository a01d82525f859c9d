//! What happens to requests for hosts that nobody knows.

use proto::envoy::config::route::v3::{Route, RouteAction, route::Action, route_action::ClusterSpecifier};

use super::{content, direct_response, matcher};
use crate::{compile::cluster::name::PASSTHROUGH, model::mesh_config::OutboundTrafficPolicy};

/// What Envoy answers for a request that may not leave.
const REFUSED: u16 = 502;

/// The name of the virtual host and of its route.
pub(super) fn name(policy: OutboundTrafficPolicy) -> &'static str {
    match policy {
        OutboundTrafficPolicy::AllowAny => "allow_any",
        OutboundTrafficPolicy::RegistryOnly => "block_all",
    }
}

/// Its one route.
pub(super) fn route(policy: OutboundTrafficPolicy) -> Route {
    let action = match policy {
        OutboundTrafficPolicy::AllowAny => {
            let mut action = RouteAction {
                cluster_specifier: Some(ClusterSpecifier::Cluster(PASSTHROUGH.to_owned())),
                ..RouteAction::default()
            };
            content::set_timeout(None, &mut action);
            Action::Route(action)
        }
        OutboundTrafficPolicy::RegistryOnly => Action::DirectResponse(direct_response::action(REFUSED, None)),
    };
    Route {
        name: name(policy).to_owned(),
        r#match: Some(matcher::everything()),
        action: Some(action),
        ..Route::default()
    }
}
