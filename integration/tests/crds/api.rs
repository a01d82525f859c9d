//! An API server with our definitions, spoken to as `kubectl` does.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use integration::{cluster::ApiServer, outside, wait};
use kube::Client;
use serde_json::Value;

/// An API server that serves our definitions.
pub(crate) struct Served {
    client: Client,
    /// The definitions, by kind.
    pub(crate) definitions: BTreeMap<String, Value>,
    _server: ApiServer,
}

impl Served {
    /// Starts it, applies the files in `manifests/crds/`, and waits until all of them are served.
    pub(crate) async fn start() -> Result<Self> {
        let server = ApiServer::start().await?;
        let client = server.client().await?;
        let mut it = Self { client, definitions: BTreeMap::new(), _server: server };
        for definition in definitions()? {
            let name = at(&definition, "/metadata/name").to_owned();
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            it.apply(&path, &definition).await?;
            let what = format!("{name} to be established");
            let served = wait::until(&what, async || {
                let definition = it.get(&path).await?;
                let established = condition(&definition, "Established");
                ensure!(established.as_deref() == Some("True"), "{:?}", definition["status"]);
                Ok(definition)
            });
            let served = served.await?;
            it.definitions.insert(at(&served, "/spec/names/kind").to_owned(), served);
        }
        Ok(it)
    }

    /// What `kubectl apply --server-side --validate=strict` sends. An error is the message of the API server.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let path = format!("{path}?fieldManager=test&fieldValidation=Strict&force=true");
        let request = http::Request::patch(path).header("content-type", "application/apply-patch+yaml");
        Ok(self.client.request(request.body(serde_json::to_vec(object)?)?).await?)
    }

    /// What `kubectl create --dry-run=server --validate=strict` sends: `None` when it is taken, or the message.
    pub(crate) async fn refusal(&self, path: &str, object: &Value) -> Result<Option<String>> {
        let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(object)?)?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.client.request(http::Request::get(path).body(Vec::new())?).await?)
    }

    /// The rows that `kubectl get` shows, as one text with the names of the columns.
    pub(crate) async fn table(&self, path: &str) -> Result<Value> {
        let request = http::Request::get(path).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        Ok(self.client.request(request.body(Vec::new())?).await?)
    }

    /// Where the objects of a kind are, in namespace `default`.
    pub(crate) fn path(&self, kind: &str, version: &str) -> Result<String> {
        let definition = self.definitions.get(kind).with_context(|| format!("no definition of {kind}"))?;
        let (group, plural) = (at(definition, "/spec/group"), at(definition, "/spec/names/plural"));
        Ok(format!("/apis/{group}/{version}/namespaces/default/{plural}"))
    }

    /// The versions that a kind is served in, the one that is stored first.
    pub(crate) fn versions(&self, kind: &str) -> Vec<&str> {
        let versions = self.definitions.get(kind).and_then(|definition| definition["spec"]["versions"].as_array());
        versions.into_iter().flatten().map(|version| at(version, "/name")).collect()
    }
}

/// The status of a condition.
pub(crate) fn condition(object: &Value, name: &str) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == name)?;
    Some(condition["status"].as_str()?.to_owned())
}

/// The text at a place; empty when there is none.
pub(crate) fn at<'a>(value: &'a Value, place: &str) -> &'a str {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

fn definitions() -> Result<Vec<Value>> {
    let mut files: Vec<_> = fs::read_dir(outside::repository().join("manifests/crds"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let definition = |file: PathBuf| {
        let text = fs::read_to_string(&file)?;
        serde_saphyr::from_str(&text).with_context(|| format!("{}", file.display()))
    };
    files.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "yaml")).map(definition).collect()
}
