//! Applies the objects of an installation, in their order.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    runtime::wait::{await_condition, conditions},
};

use super::{
    InstallError, Object,
    object::{MANAGED_BY, has},
};

/// Who owns the fields that are applied.
pub const FIELD_MANAGER: &str = "mainsheet-install";
/// Time for the API server to serve a kind; it takes less than a second.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// How objects are applied.
#[derive(Debug, Clone, Copy)]
pub struct Apply {
    /// Ask the API server what it would do, and change nothing.
    pub dry_run: bool,
    /// Take fields over that somebody else set.
    pub force: bool,
}

/// Applies what differs, and says of each object what happened to it; what is as it should be is silent.
///
/// # Errors
/// The API server refuses an object, or does not serve a kind in time.
pub async fn apply(client: &Client, objects: &[Object], how: Apply, say: impl Fn(String)) -> Result<(), InstallError> {
    let (first, rest) = objects.split_at(objects.iter().rposition(Object::is_definition).map_or(0, |last| last + 1));
    for object in first {
        one(client, object, how, &say).await?;
    }
    if !how.dry_run {
        for object in first.iter().filter(|object| object.is_definition()) {
            established(client, object).await?;
        }
    }
    for object in rest {
        one(client, object, how, &say).await?;
    }
    Ok(())
}

async fn one(client: &Client, object: &Object, how: Apply, say: &impl Fn(String)) -> Result<(), InstallError> {
    let (api, title) = (object.api(client), object.title());
    let refused = |error| InstallError::refused(&title, &error);
    let before = api.get_opt(object.name()).await.map_err(refused)?;
    // A namespace that somebody made is used as it is, and so is not removed with us.
    if object.is_namespace() && before.as_ref().is_some_and(|before| !has(before, MANAGED_BY)) {
        return Ok(());
    }
    let parameters = PatchParams {
        dry_run: how.dry_run,
        force: how.force,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    };
    let after = api.patch(object.name(), &parameters, &Patch::Apply(object.json())).await.map_err(refused)?;
    let what = match before {
        None => "created",
        Some(before) if content(before.clone()) != content(after) => "changed",
        Some(_) => return Ok(()),
    };
    say(format!("{what} {title}{}", if how.dry_run { " (dry run)" } else { "" }));
    Ok(())
}

/// What of an object is somebody's will; the rest is bookkeeping.
fn content(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    object.metadata.generation = None;
    if let Some(fields) = object.data.as_object_mut() {
        fields.remove("status");
    }
    object
}

async fn established(client: &Client, object: &Object) -> Result<(), InstallError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let served = await_condition(api, object.name(), conditions::is_crd_established());
    let (state, remedy) = match tokio::time::timeout(ESTABLISHED_WITHIN, served).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => (error.to_string(), "run the command again: it goes on from here"),
        Err(_) => ("the API server does not serve it".into(), "see its conditions: kubectl describe crd"),
    };
    Err(InstallError::Late { object: object.title(), seconds: ESTABLISHED_WITHIN.as_secs(), state, remedy })
}
