//! The permissions that the documentation names: enough, and none too many to start with.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::outside;
use serde_json::{Value, json};

use crate::world::{World, networking, service};

pub(crate) const USER: &str = "mainsheet";

/// The objects of docs/KUBERNETES.md.
pub(crate) fn documented() -> Result<[Value; 2]> {
    documented_in("docs/KUBERNETES.md")
}

/// The objects of the first YAML in a page.
pub(crate) fn documented_in<const N: usize>(page: &str) -> Result<[Value; N]> {
    let page = std::fs::read_to_string(outside::repository().join(page))?;
    let text = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).context("no YAML there")?;
    let objects = text.split("---\n").map(serde_saphyr::from_str).collect::<Result<Vec<Value>, _>>()?;
    <[Value; N]>::try_from(objects).map_err(|objects| anyhow::anyhow!("{objects:?}"))
}

pub(crate) fn binding(kind: &str, role: &Value) -> Value {
    binding_of(kind, role, USER)
}

/// Binds a role to a user.
pub(crate) fn binding_of(kind: &str, role: &Value, user: &str) -> Value {
    let mut metadata = role["metadata"].clone();
    metadata["name"] = user.into();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role["metadata"]["name"]},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    })
}

#[tokio::test]
async fn nothing_is_served_until_every_resource_may_be_read() -> Result<()> {
    let Some(mut world) = World::prepare("nothing_is_served_until_every_resource_may_be_read", &[]).await? else {
        return Ok(());
    };
    let [everywhere, in_system] = documented()?;
    let mut without_pods = everywhere.clone();
    let resources = without_pods.pointer_mut("/rules/0/resources").and_then(Value::as_array_mut).context("rules")?;
    resources.retain(|resource| resource != "pods");
    world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})).await?;
    world.apply(networking("Sidecar", "sidecars")).await?;
    world.apply(service("web", 80)).await?;
    for object in [&without_pods, &in_system, &binding("ClusterRole", &everywhere), &binding("Role", &in_system)] {
        world.apply(object.clone()).await?;
    }
    world.become_user(USER)?;
    world.control_plane.start()?;
    let reason = "pods is forbidden: User \\\"mainsheet\\\" cannot";
    world.until_logged(reason, Duration::from_secs(20)).await?;
    ensure!(!world.is_ready().await);
    ensure!(!world.held().await?.has("Service", "web"), "what was listed first is not passed on first");
    world.apply(everywhere).await?;
    world.control_plane.ready().await?;
    ensure!(world.held().await?.has("Service", "web"));
    Ok(())
}
