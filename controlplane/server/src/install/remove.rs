//! Removes the objects of an installation, in reverse order, and nothing else.

use std::time::Duration;

use kube::{
    Client,
    api::{DeleteParams, DynamicObject, Preconditions},
    runtime::wait::{await_condition, conditions},
};
use serde_json::json;

use super::{
    InstallError, Object, contents,
    object::{MANAGED_BY, PART_OF, has},
};
use crate::{leader::LEASE, webhook::SECRET};

/// Time for the objects of a kind to go with it.
const PURGED_WITHIN: Duration = Duration::from_secs(60);

/// Removes what is there and ours, and says so; what is not there is silent. Definitions of kinds, with which everybody's objects of these kinds
/// go, are removed only when `purge_crds` says so, and the namespace only when it holds nothing else.
///
/// # Errors
/// The API server refuses.
pub async fn remove(
    client: &Client,
    objects: &[Object],
    purge_crds: bool,
    say: impl Fn(String),
) -> Result<(), InstallError> {
    // The namespace comes last; what the control plane has made in it goes just before, when nobody may make it anew.
    let mut listed: Vec<Object> = Vec::new();
    for object in objects.iter().rev().filter(|object| purge_crds || !object.is_definition()) {
        if object.is_namespace() {
            listed.extend(made(object.name()));
        }
        listed.push(object.clone());
    }
    for object in &listed {
        let title = object.title();
        let refused = |error| InstallError::refused(&title, &error);
        let Some(found) = object.api(client).get_opt(object.name()).await.map_err(refused)? else { continue };
        if found.metadata.deletion_timestamp.is_some() {
            continue;
        }
        // What was applied says so; definitions may be somebody else's besides, and other things the control plane has made.
        let ours = if objects.contains(object) && !object.is_definition() { MANAGED_BY } else { PART_OF };
        if !has(&found, ours) {
            say(format!("kept {title}: its label {} is not {}", ours.0, ours.1));
            continue;
        }
        if object.is_namespace()
            && let Some(other) = contents::any(client, object.name()).await.map_err(refused)?
        {
            say(format!("kept {title}: it holds {other}"));
            continue;
        }
        delete(client, object, &found).await?;
        say(format!("removed {title}"));
    }
    Ok(())
}

/// What the control plane makes for itself: the Secret with the key of its authority, and the Lease of its leader.
fn made(namespace: &str) -> [Object; 2] {
    let object = |version: &str, kind: &str, name: &str| {
        let metadata = json!({"name": name, "namespace": namespace});
        Object::new(json!({"apiVersion": version, "kind": kind, "metadata": metadata}))
    };
    [object("v1", "Secret", SECRET), object("coordination.k8s.io/v1", "Lease", LEASE)]
}

async fn delete(client: &Client, object: &Object, found: &DynamicObject) -> Result<(), InstallError> {
    let (api, title) = (object.api(client), object.title());
    let uid = found.metadata.uid.clone().unwrap_or_default();
    // The very object that was looked at: another of its name may have come since.
    let preconditions = Some(Preconditions { uid: Some(uid.clone()), resource_version: None });
    let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
    match api.delete(object.name(), &parameters).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        Err(error) => return Err(InstallError::refused(&title, &error)),
        Ok(_) => {}
    }
    if !object.is_definition() {
        return Ok(());
    }
    let gone = await_condition(api, object.name(), conditions::is_deleted(&uid));
    match tokio::time::timeout(PURGED_WITHIN, gone).await {
        Ok(_) => Ok(()),
        Err(_) => Err(InstallError::Late {
            object: title,
            seconds: PURGED_WITHIN.as_secs(),
            state: "objects of this kind do not go".into(),
            remedy: "see which have finalizers, and run the command again",
        }),
    }
}
