//! What a proxy refuses: not sent again, said with the YAML that made it, and nobody else is affected.

use mainsheet::status::Sync;
use proto::ResourceType::Cluster;

use crate::{
    house::House,
    objects::{cluster, rule, service},
    proxy::{Delta, names},
};

#[tokio::test]
async fn a_refused_cluster_is_traced_to_its_yaml_and_not_sent_again() {
    let mut house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    house.wait_status("web", |status| status.is_some_and(|s| s.mainsheet.state == Sync::Synced)).await;

    house.set(&[service("a", &[]), service("b", &[]), rule("a", "3s")]).await;
    let response = proxy.next().await;
    proxy.nack(&response, "Error adding/updating cluster(s)\n a: no such timeout").await;
    house.wait_status("web", |status| status.is_some_and(|s| s.mainsheet.state == Sync::Nacked)).await;
    let status = house.status("web").unwrap();
    let refusal = status.mainsheet.types[0].refusal.clone().unwrap();
    assert_eq!(refusal.message, "Error adding/updating cluster(s) a: no such timeout");
    assert_eq!(refusal.resources[0].name, cluster("a"));
    let made_by = refusal.resources[0].made_by.join("\n");
    assert!(made_by.contains("DestinationRule shop/a") && made_by.contains("objects.yaml:"), "{made_by}");
    assert!(mainsheet::status::table(&[status]).contains("made by: DestinationRule shop/a"));
    proxy.expect_silence().await;

    // Other changes go on.
    house.set(&[service("a", &[]), service("b", &[]), rule("a", "3s"), rule("b", "3s")]).await;
    assert_eq!(names(&proxy.take(Cluster).await), [cluster("b")]);
    proxy.expect_silence().await;
    assert_eq!(house.status("web").unwrap().mainsheet.state, Sync::Nacked);

    // Mended, it is sent and the refusal is over.
    house.set(&[service("a", &[]), service("b", &[]), rule("a", "4s"), rule("b", "3s")]).await;
    assert_eq!(names(&proxy.take(Cluster).await), [cluster("a")]);
    house.wait_status("web", |status| status.is_some_and(|s| s.mainsheet.state == Sync::Synced)).await;
    assert_eq!(house.metric("pilot_xds_cds_reject") as u64, 1);
    assert_eq!(house.metric("pilot_total_xds_rejects{type=\"cds\"}") as u64, 1);
}

#[tokio::test]
async fn what_was_refused_together_with_a_bad_one_is_not_lost() {
    let mut house = House::start(&[service("a", &[]), service("b", &[]), service("c", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    let bad = cluster("b");
    let mut changed = vec![service("a", &[]), service("b", &[]), service("c", &[])];
    changed.extend(["a", "b", "c"].map(|name| rule(name, "3s")));
    house.set(&changed).await;
    let mut accepted: Vec<String> = Vec::new();
    // The culprit is found by asking in halves: every response with it in it is refused whole.
    for _ in 0..8 {
        if house.status("web").unwrap().mainsheet.types[0].refusal.as_ref().is_some_and(|r| r.resources.len() == 1)
            && accepted.len() == 2
        {
            break;
        }
        let response = proxy.next().await;
        if names(&response).contains(&bad.as_str()) {
            proxy.nack(&response, "a duration is bad").await;
        } else {
            accepted.extend(names(&response).into_iter().map(str::to_owned));
            proxy.ack(&response).await;
        }
        let seen = house.status("web").unwrap().mainsheet.types[0].clone();
        house
            .wait_status("web", |status| {
                let now = &status.unwrap().mainsheet.types[0];
                now != &seen || now.version_sent == now.version_acked || now.refusal.is_some()
            })
            .await;
    }
    accepted.sort();
    assert_eq!(accepted, [cluster("a"), cluster("c")]);
    proxy.expect_silence().await;
}

#[tokio::test]
async fn one_proxy_that_refuses_does_not_keep_another_from_it() {
    let mut house = House::start(&[service("a", &[])]).await;
    let mut sulky = Delta::connect(&house, "sulky").await;
    let mut calm = Delta::connect(&house, "calm").await;
    for proxy in [&mut sulky, &mut calm] {
        proxy.subscribe(Cluster, &[]).await;
        proxy.take(Cluster).await;
    }
    house.set(&[service("a", &[]), rule("a", "3s")]).await;
    let response = sulky.next().await;
    sulky.nack(&response, "no").await;
    assert_eq!(names(&calm.take(Cluster).await), [cluster("a")]);
    house.wait_status("calm", |status| status.is_some_and(|s| s.mainsheet.state == Sync::Synced)).await;
    house.wait_status("sulky", |status| status.is_some_and(|s| s.mainsheet.state == Sync::Nacked)).await;
}
