//! Waits until the Deployment runs, and says why it does not.

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, Client, api::ListParams, runtime::wait::await_condition};

use super::InstallError;

const NAME: &str = "mainsheet";
const PODS: &str = "app.kubernetes.io/name=mainsheet";
/// Most reasons in an error: replicas mostly fail alike.
const REASONS_MAX: usize = 3;

/// Waits until all replicas are of the newest form and available; silent when they are.
///
/// # Errors
/// They are not in time: what keeps them.
pub async fn available(
    client: &Client,
    namespace: &str,
    limit: Duration,
    say: impl Fn(String),
) -> Result<(), InstallError> {
    let title = format!("Deployment {namespace}/{NAME}");
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let now = api.get(NAME).await.map_err(|error| InstallError::refused(&title, &error))?;
    if missing(&now).is_none() {
        return Ok(());
    }
    say(format!("waiting for {title} to be available, up to {} s", limit.as_secs()));
    let done = |deployment: Option<&Deployment>| deployment.is_some_and(|deployment| missing(deployment).is_none());
    let state = match tokio::time::timeout(limit, await_condition(api.clone(), NAME, done)).await {
        Ok(Ok(_)) => {
            say(format!("{title} is available"));
            return Ok(());
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => reasons(client, namespace, &api).await,
    };
    let remedy = "mend that, or see kubectl describe and kubectl logs of its pods";
    Err(InstallError::Late { object: title, seconds: limit.as_secs(), state, remedy })
}

/// What is still to come, if anything.
fn missing(deployment: &Deployment) -> Option<String> {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let Some(status) = &deployment.status else { return Some("no controller has seen it".into()) };
    if status.observed_generation < deployment.metadata.generation {
        return Some("no controller has seen it".into());
    }
    let [all, updated, available] =
        [status.replicas, status.updated_replicas, status.available_replicas].map(Option::unwrap_or_default);
    let is_done = [all, updated, available].iter().all(|&count| count == wanted);
    (!is_done).then(|| format!("{available} of {wanted} replicas are available, {updated} of the newest form"))
}

/// What keeps the replicas, as far as the cluster says it.
async fn reasons(client: &Client, namespace: &str, api: &Api<Deployment>) -> String {
    let deployment = api.get_opt(NAME).await.ok().flatten().unwrap_or_default();
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let failures = conditions.iter().filter(|condition| condition.type_.as_deref() == Some("ReplicaFailure"));
    let mut reasons: Vec<String> = failures.filter_map(|condition| condition.message.clone()).collect();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default().labels(PODS)).await.map(|list| list.items).unwrap_or_default();
    reasons
        .extend(pods.iter().filter_map(|pod| Some(format!("pod {}: {}", pod.metadata.name.as_ref()?, reason(pod)?))));
    reasons.truncate(REASONS_MAX);
    reasons.insert(0, missing(&deployment).unwrap_or_else(|| "it became available just now".into()));
    reasons.join("; ")
}

fn reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some((waiting.reason.clone(), waiting.message.clone()))
    });
    let failing = || {
        let mut conditions = status.conditions.iter().flatten();
        let failing = conditions.rfind(|condition| condition.status == "False")?;
        Some((failing.reason.clone(), failing.message.clone()))
    };
    let (reason, message) = waiting.or_else(failing)?;
    Some([reason, message].into_iter().flatten().collect::<Vec<_>>().join(": "))
}
