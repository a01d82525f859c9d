//! What of the mesh a caller may see.

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use mesh::model::Namespace;

use crate::{ads::Proxy, status::namespace_of};

/// What of the mesh a caller may see; every request for a page carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of it.
    Everything,
    /// What belongs to one namespace.
    Namespace(Namespace),
    /// Nothing.
    Nothing,
}

impl Sight {
    /// Whether it takes in what belongs to `namespace`.
    pub(super) fn has(&self, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespace(own) => own.as_str() == namespace,
            Self::Nothing => false,
        }
    }

    pub(super) fn has_proxy(&self, proxy: &Proxy) -> bool {
        proxy.name().rsplit_once('.').map_or(*self == Self::Everything, |(_, namespace)| self.has(namespace))
    }

    /// By the name of the object in question, as problems have it.
    pub(super) fn has_object(&self, object: &str) -> bool {
        namespace_of(object).map_or(*self == Self::Everything, |namespace| self.has(namespace))
    }
}

/// Lets those pass who see the whole mesh: these pages cannot be divided.
pub(super) async fn of_everything(request: Request, next: Next) -> Response {
    let sees = request.extensions().get::<Sight>();
    pass(sees == Some(&Sight::Everything), request, next).await
}

/// Lets those pass who see something of the mesh.
pub(super) async fn of_something(request: Request, next: Next) -> Response {
    let sees = request.extensions().get::<Sight>();
    pass(sees.is_some_and(|sight| *sight != Sight::Nothing), request, next).await
}

async fn pass(passes: bool, request: Request, next: Next) -> Response {
    if passes {
        return next.run(request).await;
    }
    let path = request.uri().path();
    let text = format!(
        "you may not see this; ask for a ClusterRole with verb get of nonResourceURL {path}, or see what belongs to the \
         namespace of a service account with its token: docs/PERMISSIONS.md\n"
    );
    (StatusCode::FORBIDDEN, text).into_response()
}
