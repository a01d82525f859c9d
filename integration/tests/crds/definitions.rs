//! What the definitions make of an API server: kinds in all their versions, columns, descriptions.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use integration::outside::{self, Program};
use serde_json::{Value, json};

use crate::api::{Served, at, condition};

const PROGRAMS: [Program; 2] = [Program::Etcd, Program::KubeApiServer];

#[tokio::test]
async fn every_definition_is_established_and_structural() -> Result<()> {
    if !outside::all_present("every_definition_is_established_and_structural", &PROGRAMS)? {
        return Ok(());
    }
    let served = Served::start().await?;
    ensure!(served.definitions.len() == 15, "{:?}", served.definitions.keys());
    for (kind, definition) in &served.definitions {
        ensure!(condition(definition, "Established").as_deref() == Some("True"), "{kind} is not established");
        ensure!(condition(definition, "NamesAccepted").as_deref() == Some("True"), "{kind}: a name is taken");
        ensure!(condition(definition, "NonStructuralSchema").is_none(), "{kind} is not structural");
        // `kubectl apply` without `--server-side` keeps the whole object in an annotation of this length.
        let mut applied = definition.clone();
        applied["status"].take();
        applied["metadata"]["managedFields"].take();
        ensure!(applied.to_string().len() < 262_144, "{kind} is too long for `kubectl apply`");
    }
    Ok(())
}

#[tokio::test]
async fn the_samples_are_taken_in_every_version_and_read_back_in_the_others() -> Result<()> {
    let name = "the_samples_are_taken_in_every_version_and_read_back_in_the_others";
    if !outside::all_present(name, &PROGRAMS)? {
        return Ok(());
    }
    let served = Served::start().await?;
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (place, mut object) in samples(&["bookinfo", "bookinfo/loopback", "tasks", "seeds"])? {
        let kind = at(&object, "/kind").to_owned();
        let versions = served.versions(&kind);
        let group = at(&object, "/apiVersion").split('/').next().unwrap_or_default().to_owned();
        for version in &versions {
            object["apiVersion"] = format!("{group}/{version}").into();
            object["metadata"]["namespace"] = "default".into();
            let name = at(&object, "/metadata/name").to_owned();
            let path = format!("{}/{name}", served.path(&kind, version)?);
            served.apply(&path, &object).await.with_context(|| format!("{place} in {version}"))?;
            for other in &versions {
                let read = served.get(&format!("{}/{name}", served.path(&kind, other)?)).await?;
                ensure!(read["spec"] == object["spec"], "{place} in {version}, read in {other}: {}", read["spec"]);
            }
            *taken.entry(kind.clone()).or_default() += 1;
        }
    }
    for kind in ["VirtualService", "DestinationRule", "ServiceEntry", "Sidecar"] {
        ensure!(taken.contains_key(kind), "no sample of {kind}: {taken:?}");
    }
    Ok(())
}

#[tokio::test]
async fn fields_in_the_wrong_place_are_refused() -> Result<()> {
    if !outside::all_present("fields_in_the_wrong_place_are_refused", &PROGRAMS)? {
        return Ok(());
    }
    let served = Served::start().await?;
    for (place, object) in samples(&["mistakes"])? {
        let kind = at(&object, "/kind");
        let path = served.path(kind, at(&object, "/apiVersion").split('/').nth(1).unwrap_or_default())?;
        let refusal = served.refusal(&path, &object).await?;
        let refusal = refusal.with_context(|| format!("{place} was taken"))?;
        ensure!(refusal.contains("unknown field") || refusal.contains("Required value"), "{place}: {refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn people_see_columns_short_names_and_descriptions() -> Result<()> {
    if !outside::all_present("people_see_columns_short_names_and_descriptions", &PROGRAMS)? {
        return Ok(());
    }
    let served = Served::start().await?;
    let path = served.path("VirtualService", "v1")?;
    let object = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"hosts": ["reviews", "reviews.test"], "gateways": ["mesh"]},
    });
    served.apply(&format!("{path}/reviews"), &object).await?;
    // The status is written beside the spec, and keeps what the definition does not know.
    let conditions = json!([{"type": "Programmed", "status": "True", "observedGeneration": 1}]);
    let mut told = object.clone();
    told["status"] = json!({"conditions": conditions, "observedGeneration": "1", "more": {"than": "known"}});
    let told = served.apply(&format!("{path}/reviews/status"), &told).await?;
    ensure!(told["status"]["more"]["than"] == "known" && told["metadata"]["generation"] == 1, "{told}");
    let table = served.table(&path).await?;
    let columns = table["columnDefinitions"].as_array().context("a table without columns")?;
    let columns: Vec<&str> = columns.iter().map(|column| at(column, "/name")).collect();
    ensure!(columns == ["Name", "Gateways", "Hosts", "Programmed", "Age"], "{columns:?}");
    let cells = &table["rows"][0]["cells"];
    let shown = [&cells[0], &cells[1], &cells[2], &cells[3]];
    ensure!(shown == ["reviews", r#"["mesh"]"#, r#"["reviews","reviews.test"]"#, "True"], "{cells}");

    let resources = served.get("/apis/networking.istio.io/v1").await?;
    let resources = resources["resources"].as_array().context("a group without resources")?;
    let resource = resources.iter().find(|resource| resource["name"] == "virtualservices").context("not listed")?;
    ensure!(resource["shortNames"] == json!(["vs"]), "{resource}");
    ensure!(resource["categories"] == json!(["istio-io", "networking-istio-io", "mesh"]), "{resource}");

    // What `kubectl explain vs.spec.http` reads.
    let described = integration::wait::until("the description of VirtualService", async || {
        let schemas = served.get("/openapi/v3/apis/networking.istio.io/v1").await?;
        let schema = schemas.pointer("/components/schemas/io.istio.networking.v1.VirtualService").cloned();
        schema.context("not among the schemas yet")
    });
    let described = described.await?;
    let http = at(&described, "/properties/spec/properties/http/description");
    ensure!(http == "The rules for HTTP; the first that matches is used.", "{http}");
    let undescribed = undescribed(&described["properties"]["spec"], "spec");
    ensure!(undescribed.is_empty(), "fields without a description: {undescribed:?}");
    Ok(())
}

/// The fields below a schema that say nothing of themselves.
fn undescribed(schema: &Value, path: &str) -> Vec<String> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<String> = fields
        .flat_map(|(name, field)| {
            let path = format!("{path}.{name}");
            let silent = at(field, "/description").is_empty().then(|| path.clone());
            silent.into_iter().chain(undescribed(field, &path))
        })
        .collect();
    for inner in ["items", "additionalProperties"] {
        found.extend(schema.get(inner).into_iter().flat_map(|inner| undescribed(inner, path)));
    }
    found
}

/// The objects of Istio's kinds in folders of `manifests/samples/`, with their files.
fn samples(folders: &[&str]) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for folder in folders {
        let folder = outside::repository().join("manifests/samples").join(folder);
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.retain(|file| file.is_file());
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file)?;
            let objects: Vec<Value> =
                serde_saphyr::from_multiple(&text).with_context(|| format!("{}", file.display()))?;
            let ours = objects.into_iter().filter(|object| at(object, "/apiVersion").contains("istio.io/"));
            found.extend(ours.map(|object| (file.display().to_string(), object)));
        }
    }
    ensure!(!found.is_empty(), "no samples in {folders:?}");
    Ok(found)
}
