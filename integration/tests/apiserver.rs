//! The API server of the tests: real, by itself, and gone afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use integration::{
    cluster::ApiServer,
    outside::{self, Program},
};
use k8s_openapi::{
    api::{
        authentication::v1::{TokenReview, TokenReviewSpec},
        core::v1::{ConfigMap, ServiceAccount},
        rbac::v1::{Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Error,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::json;

const PROGRAMS: [Program; 2] = [Program::Etcd, Program::KubeApiServer];

fn named(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

/// The status code with which the API server refused.
fn refused<T>(answer: Result<T, Error>) -> Option<u16> {
    match answer {
        Err(Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[tokio::test]
async fn several_start_at_once_and_each_is_its_own() -> Result<()> {
    if !outside::all_present("several_start_at_once_and_each_is_its_own", &PROGRAMS)? {
        return Ok(());
    }
    let begun = Instant::now();
    let (one, other) = tokio::try_join!(ApiServer::start(), ApiServer::start())?;
    println!("two API servers were ready after {:.1} s", begun.elapsed().as_secs_f32());
    let create = async |server: &ApiServer, name: &str| -> Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(server.client().await?, "default");
        maps.create(&PostParams::default(), &named(name)).await?;
        Ok(())
    };
    create(&one, "here").await?;
    create(&other, "there").await?;
    let maps: Api<ConfigMap> = Api::namespaced(one.client_with_token(one.admin_token()).await?, "default");
    ensure!(maps.get_opt("here").await?.is_some() && maps.get_opt("there").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn who_may_do_what_is_enforced() -> Result<()> {
    if !outside::all_present("who_may_do_what_is_enforced", &PROGRAMS)? {
        return Ok(());
    }
    let server = ApiServer::start().await?;
    let anns: Api<ConfigMap> = Api::namespaced(server.client_for("ann", Some("crew")).await?, "default");
    ensure!(refused(anns.list(&ListParams::default()).await) == Some(403));
    let role = serde_json::from_value(json!({
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
    }))?;
    Api::<Role>::namespaced(server.client().await?, "default").create(&PostParams::default(), &role).await?;
    let binding = serde_json::from_value(json!({
        "metadata": {"name": "crew-reads"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "crew"}],
    }))?;
    let bindings: Api<RoleBinding> = Api::namespaced(server.client().await?, "default");
    bindings.create(&PostParams::default(), &binding).await?;
    // The authorizer learns of the binding by a watch.
    integration::wait::until("the binding to be in force", async || Ok(anns.list(&ListParams::default()).await?))
        .await?;
    ensure!(refused(anns.create(&PostParams::default(), &named("hers")).await) == Some(403));
    let stranger: Api<ConfigMap> = Api::namespaced(server.client_with_token("no-such-token").await?, "default");
    ensure!(refused(stranger.list(&ListParams::default()).await) == Some(401));
    Ok(())
}

#[tokio::test]
async fn tokens_of_service_accounts_are_for_one_audience() -> Result<()> {
    if !outside::all_present("tokens_of_service_accounts_are_for_one_audience", &PROGRAMS)? {
        return Ok(());
    }
    let server = ApiServer::start().await?;
    let client = server.client().await?;
    let mut account = ServiceAccount::default();
    account.metadata.name = Some("reviews".to_owned());
    Api::<ServiceAccount>::namespaced(client.clone(), "default").create(&PostParams::default(), &account).await?;
    let token = server.token_for("default", "reviews", "istio-ca").await?;
    let review = async |audience: &str| -> Result<Option<String>> {
        let spec = TokenReviewSpec { audiences: Some(vec![audience.to_owned()]), token: token.clone() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = Api::all(client.clone()).create(&PostParams::default(), &review).await?.status;
        let status = status.context("a review without a status")?;
        Ok(status.authenticated.unwrap_or_default().then(|| status.user.and_then(|user| user.username)).flatten())
    };
    ensure!(review("istio-ca").await? == Some("system:serviceaccount:default:reviews".to_owned()));
    ensure!(review("somebody-else").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn custom_resources_are_accepted_and_checked() -> Result<()> {
    if !outside::all_present("custom_resources_are_accepted_and_checked", &PROGRAMS)? {
        return Ok(());
    }
    let server = ApiServer::start().await?;
    let client = server.client().await?;
    let knots = json!({"type": "integer", "maximum": 40});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"knots": knots}}}});
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "boats.test.mainsheet.dev"},
        "spec": {
            "group": "test.mainsheet.dev",
            "names": {"kind": "Boat", "plural": "boats"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &definition).await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("test.mainsheet.dev", "v1", "Boat"));
    let boats: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    integration::wait::until("the resource to be served", async || Ok(boats.list(&ListParams::default()).await?))
        .await?;
    let boat = |knots: u32| DynamicObject::new("dinghy", &resource).data(json!({"spec": {"knots": knots}}));
    ensure!(refused(boats.create(&PostParams::default(), &boat(41)).await) == Some(422));
    boats.create(&PostParams::default(), &boat(7)).await?;
    Ok(())
}

#[tokio::test]
async fn a_restart_keeps_address_and_data() -> Result<()> {
    if !outside::all_present("a_restart_keeps_address_and_data", &PROGRAMS)? {
        return Ok(());
    }
    let mut server = ApiServer::start().await?;
    let maps: Api<ConfigMap> = Api::namespaced(server.client().await?, "default");
    maps.create(&PostParams::default(), &named("kept")).await?;
    server.kill();
    ensure!(maps.get("kept").await.is_err(), "a killed API server answers");
    server.restart().await?;
    maps.get("kept").await.context("after the restart, with the client from before")?;
    Ok(())
}

#[tokio::test]
async fn a_paused_server_answers_nothing_until_it_goes_on() -> Result<()> {
    if !outside::all_present("a_paused_server_answers_nothing_until_it_goes_on", &PROGRAMS)? {
        return Ok(());
    }
    let server = ApiServer::start().await?;
    let maps: Api<ConfigMap> = Api::namespaced(server.client().await?, "default");
    server.pause()?;
    let parameters = ListParams::default();
    let mut asked = Box::pin(maps.list(&parameters));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut asked).await;
    ensure!(early.is_err(), "a paused API server answered");
    server.resume()?;
    asked.await?;
    Ok(())
}

#[tokio::test]
async fn a_forgotten_history_is_gone() -> Result<()> {
    if !outside::all_present("a_forgotten_history_is_gone", &PROGRAMS)? {
        return Ok(());
    }
    let mut server = ApiServer::start().await?;
    let maps: Api<ConfigMap> = Api::namespaced(server.client().await?, "default");
    let old = maps.create(&PostParams::default(), &named("one")).await?;
    let old = old.metadata.resource_version.context("an object without a version")?;
    maps.create(&PostParams::default(), &named("two")).await?;
    let first = async || -> Result<Option<WatchEvent<ConfigMap>>> {
        let mut events = maps.watch(&WatchParams::default(), &old).await?.boxed();
        Ok(events.try_next().await?)
    };
    ensure!(matches!(first().await?, Some(WatchEvent::Added(_))), "history is there at first");
    server.forget_history().await?;
    match first().await? {
        Some(WatchEvent::Error(status)) => ensure!(status.code == 410, "{status:?}"),
        other => anyhow::bail!("410 was expected, not {other:?}"),
    }
    Ok(())
}
