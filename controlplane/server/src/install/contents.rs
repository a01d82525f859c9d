//! What a namespace holds besides what is there by itself.

use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    core::PartialObjectMeta,
    discovery::{Discovery, Scope, verbs},
};

/// What Kubernetes puts into every namespace, and takes away with it.
const BY_ITSELF: [(&str, &str); 2] = [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];
/// Kinds that follow other objects without naming an owner.
const FOLLOWING: [&str; 2] = ["Event", "Endpoints"];
/// Most objects that are read of a kind: one that counts is enough, and few that do not are expected.
const LISTED_MAX: u32 = 500;

/// An object that would be lost with the namespace, if there is any: one that is not going already, and whose owner is not there to take it along.
pub(super) async fn any(client: &Client, namespace: &str) -> kube::Result<Option<String>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let is_kept = [verbs::LIST, verbs::DELETE].iter().all(|verb| capabilities.supports_operation(verb));
            if !is_kept || capabilities.scope != Scope::Namespaced || FOLLOWING.contains(&resource.kind.as_str()) {
                continue;
            }
            let api: Api<PartialObjectMeta<DynamicObject>> = Api::namespaced_with(client.clone(), namespace, &resource);
            let listed = api.list_metadata(&ListParams::default().limit(LISTED_MAX)).await?;
            let counts = |name: &str| !BY_ITSELF.contains(&(resource.kind.as_str(), name));
            let found = listed.items.into_iter().map(|object| object.metadata).find(|metadata| {
                let is_going = metadata.deletion_timestamp.is_some();
                let is_owned = metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
                !is_going && !is_owned && counts(metadata.name.as_deref().unwrap_or_default())
            });
            if let Some(metadata) = found {
                return Ok(Some(format!("{} {}", resource.kind, metadata.name.unwrap_or_default())));
            }
        }
    }
    Ok(None)
}
