//! Which resources of Istio the API server serves, and in which version: from the CustomResourceDefinitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, Resource as _, core::PartialObjectMeta, runtime::watcher::Event};
use serde::Deserialize;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use super::{
    arrived::Arrived,
    events::Events,
    pulse::Pulse,
    resource::{DEFINITIONS, VERSIONS},
};

/// Pause before a definition that could not be read is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a resource is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// That was not asked yet.
    Unknown,
    /// It is not.
    Absent,
    /// It is, and in this version it is best watched.
    At(&'static str),
}

/// Tells each of `resources`, by the names of their definitions, how they are served. Never ends.
pub(super) async fn follow(client: Client, pulse: Arc<Pulse>, resources: BTreeMap<String, watch::Sender<Served>>) {
    // Only the metadata is watched: the schemas of all definitions of a cluster are many megabytes.
    let api = Api::<Arrived<PartialObjectMeta<CustomResourceDefinition>>>::all(client.clone());
    let mut events = Events::new(api, DEFINITIONS, None, Arc::clone(&pulse));
    let mut listed = BTreeSet::new();
    let mut asking = Asking::default();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            Some((name, served)) = asking.answer() => {
                if let Some(resource) = resources.get(&name) {
                    tell(resource, served);
                }
                continue;
            }
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(definition) | Event::Apply(definition) => {
                let name = definition.meta().name.clone().unwrap_or_default();
                if resources.contains_key(&name) {
                    asking.ask(name.clone(), served(client.clone(), Arc::clone(&pulse), name.clone()));
                    listed.insert(name);
                }
            }
            Event::InitDone => {
                for (name, resource) in resources.iter().filter(|(name, _)| !listed.contains(*name)) {
                    asking.forget(name);
                    tell(resource, Served::Absent);
                }
            }
            Event::Delete(definition) => {
                let name = definition.meta().name.clone().unwrap_or_default();
                if let Some(resource) = resources.get(&name) {
                    asking.forget(&name);
                    tell(resource, Served::Absent);
                }
            }
        }
    }
}

/// The definitions that are being asked for, each by a task of its own: one that cannot be had holds no other up.
#[derive(Default)]
struct Asking {
    tasks: JoinSet<(String, Served)>,
    /// The task of each definition; the answer of any other is out of date.
    latest: BTreeMap<String, AbortHandle>,
}

impl Asking {
    fn ask(&mut self, name: String, question: impl Future<Output = Served> + Send + 'static) {
        self.forget(&name);
        let answered = name.clone();
        let task = self.tasks.spawn(async move { (answered, question.await) });
        self.latest.insert(name, task);
    }

    fn forget(&mut self, name: &str) {
        if let Some(task) = self.latest.remove(name) {
            task.abort();
        }
    }

    /// The next answer that still counts; `None` when nothing more is asked. May be cancelled without loss.
    async fn answer(&mut self) -> Option<(String, Served)> {
        loop {
            if let Ok((id, (name, served))) = self.tasks.join_next_with_id().await?
                && self.latest.get(&name).is_some_and(|task| task.id() == id)
            {
                self.latest.remove(&name);
                return Some((name, served));
            }
        }
    }
}

fn tell(resource: &watch::Sender<Served>, served: Served) {
    resource.send_if_modified(|before| std::mem::replace(before, served) != served);
}

/// Asks until there is an answer.
async fn served(client: Client, pulse: Arc<Pulse>, name: String) -> Served {
    loop {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let answer = match http::Request::get(path).body(Vec::new()) {
            Ok(request) => client.request::<Definition>(request).await,
            Err(error) => Err(kube::Error::HttpError(error)),
        };
        match answer {
            Ok(definition) => return definition.served(),
            Err(kube::Error::Api(status)) if status.code == 404 => return Served::Absent,
            Err(error) => pulse.failed(DEFINITIONS, &error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What counts of a CustomResourceDefinition; its schemas are skipped.
#[derive(Debug, Deserialize)]
struct Definition {
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Spec {
    versions: Vec<Version>,
}

#[derive(Debug, Deserialize)]
struct Version {
    name: String,
    served: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    /// New definitions have `null` for a moment.
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

impl Definition {
    fn served(&self) -> Served {
        let established = self
            .status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.r#type == "Established" && condition.status == "True");
        let serves = |wanted: &&str| self.spec.versions.iter().any(|version| version.served && version.name == *wanted);
        match VERSIONS.into_iter().find(serves) {
            Some(version) if established => Served::At(version),
            Some(_) | None => Served::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(versions: &[(&str, bool)], established: &str) -> Definition {
        let versions: Vec<_> = versions
            .iter()
            .map(|(name, served)| serde_json::json!({"name": name, "served": served, "schema": {}}))
            .collect();
        serde_json::from_value(serde_json::json!({
            "spec": {"versions": versions},
            "status": {"conditions": [{"type": "Established", "status": established}]},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_holds_no_other_up() {
        let mut asking = Asking::default();
        asking.ask("a".into(), std::future::pending());
        asking.ask("b".into(), std::future::ready(Served::At("v1")));
        assert_eq!(asking.answer().await, Some(("b".into(), Served::At("v1"))));
        asking.ask("a".into(), std::future::ready(Served::Absent));
        assert_eq!(asking.answer().await, Some(("a".into(), Served::Absent)));
        assert_eq!(asking.answer().await, None);
    }

    #[tokio::test]
    async fn an_answer_about_a_definition_that_is_gone_does_not_count() {
        let mut asking = Asking::default();
        asking.ask("a".into(), std::future::ready(Served::At("v1")));
        tokio::task::yield_now().await;
        asking.forget("a");
        assert_eq!(asking.answer().await, None);
    }

    #[test]
    fn the_newest_version_that_is_served_is_watched() {
        let all = [("v1alpha3", true), ("v1beta1", true), ("v1", true)];
        assert_eq!(definition(&all, "True").served(), Served::At("v1"));
        assert_eq!(
            definition(&[("v1alpha3", true), ("v1beta1", true), ("v1", false)], "True").served(),
            Served::At("v1beta1")
        );
        assert_eq!(definition(&[("v1alpha3", true)], "True").served(), Served::At("v1alpha3"));
        assert_eq!(definition(&[("v2", true)], "True").served(), Served::Absent);
    }

    #[test]
    fn a_definition_that_is_not_established_serves_nothing() {
        assert_eq!(definition(&[("v1", true)], "False").served(), Served::Absent);
        for status in ["", r#", "status": {}"#, r#", "status": {"conditions": null}"#] {
            let text = format!(r#"{{"spec": {{"versions": [{{"name": "v1", "served": true}}]}}{status}}}"#);
            let new: Definition = serde_json::from_str(&text).unwrap();
            assert_eq!(new.served(), Served::Absent, "{text}");
        }
    }
}
