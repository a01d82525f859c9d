//! Listeners: outbound ones by port and address, and inbound ones by port of the application.

use proto::envoy::config::listener::v3::Listener;

use super::{
    Compiled,
    cluster::InboundInput,
    scope::{Endpoints, Scope},
    viewpoint::Viewpoint,
};
use crate::model::{Hostname, Shared};

/// What one outbound listener depends on. Owned by the listener compiler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutboundListenerInput {}

/// What the inbound listeners of one viewpoint depend on. Owned by the listener compiler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboundListenerInput {}

/// Which outbound listeners a viewpoint has. `headless` gives the endpoints of headless TCP services in scope.
#[must_use]
pub fn plan_outbound(
    scope: &Scope,
    viewpoint: &Viewpoint,
    headless: &dyn Fn(&Hostname) -> Option<Shared<Endpoints>>,
) -> Vec<OutboundListenerInput> {
    let _ = (scope, viewpoint, headless);
    Vec::new()
}

/// One outbound listener.
#[must_use]
pub fn outbound(input: &OutboundListenerInput) -> Option<Compiled<Listener>> {
    let _ = input;
    None
}

/// Which inbound listeners a viewpoint has, for the same inputs that its inbound clusters are made of.
#[must_use]
pub fn plan_inbound(scope: &Scope, viewpoint: &Viewpoint, ports: &[InboundInput]) -> Vec<InboundListenerInput> {
    let _ = (scope, viewpoint, ports);
    Vec::new()
}

/// One inbound listener.
#[must_use]
pub fn inbound(input: &InboundListenerInput) -> Option<Compiled<Listener>> {
    let _ = input;
    None
}
