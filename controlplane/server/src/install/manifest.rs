//! The objects of an installation, with what the caller chose in them.

use serde_json::Value;

use super::{InstallError, Object};

const MANIFEST: &str = include_str!("../../../../manifests/install.yaml");
/// The namespace that the manifest is written for.
const NAMESPACE: &str = "istio-system";
/// Begins the names of objects that no namespace holds: they carry that of the installation.
const CLUSTER_NAME: &str = "mainsheet-istio-system";

/// What of the manifest a caller may choose; what is not given stays as it is written there.
#[derive(Debug, Clone)]
pub struct Choices {
    /// The namespace of the control plane.
    pub namespace: String,
    /// The image of the control plane.
    pub image: Option<String>,
    /// How many control planes run.
    pub replicas: Option<u16>,
}

/// All objects in the order in which they are to be applied.
///
/// # Errors
/// The manifest is not what it should be, which its tests rule out.
pub fn objects(choices: &Choices) -> Result<Vec<Object>, InstallError> {
    let mut objects = Vec::new();
    // Document by document: the parser's limits are for one.
    for document in MANIFEST.split("\n---\n") {
        let value: Value =
            serde_saphyr::from_str(document).map_err(|error| InstallError::Manifest(error.to_string()))?;
        let mut object = Object::new(value);
        if !object.is_definition() {
            rename(object.json_mut(), &choices.namespace);
        }
        if object.kind() == "Deployment" {
            choose(object.json_mut(), choices).ok_or_else(|| InstallError::Manifest("no container there".into()))?;
        }
        objects.push(object);
    }
    Ok(objects)
}

/// Puts the namespace wherever the manifest names its own: as a whole value, or in the name of an object that no namespace holds.
fn rename(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) if text == NAMESPACE => namespace.clone_into(text),
        Value::String(text) => {
            if let Some(rest) = text.strip_prefix(CLUSTER_NAME) {
                *text = format!("mainsheet-{namespace}{rest}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, namespace)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, namespace)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn choose(deployment: &mut Value, choices: &Choices) -> Option<()> {
    if let Some(replicas) = choices.replicas {
        *deployment.pointer_mut("/spec/replicas")? = replicas.into();
    }
    if let Some(image) = &choices.image {
        *deployment.pointer_mut("/spec/template/spec/containers/0/image")? = image.as_str().into();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(namespace: &str) -> Vec<Object> {
        let image = Some("registry.test/mainsheet:2".to_owned());
        objects(&Choices { namespace: namespace.to_owned(), image, replicas: Some(3) }).unwrap()
    }

    #[test]
    fn what_others_need_comes_first() {
        let objects = all("mesh");
        let last = |is: &dyn Fn(&Object) -> bool| objects.iter().rposition(is).unwrap();
        let first = |is: &dyn Fn(&Object) -> bool| objects.iter().position(is).unwrap();
        assert_eq!(last(&Object::is_namespace), 0);
        assert_eq!(first(&Object::is_definition), 1);
        assert!(last(&Object::is_definition) < first(&|object| object.kind() == "ServiceAccount"));
        assert!(
            last(&|object| object.kind().ends_with("RoleBinding")) < first(&|object| object.kind() == "Deployment")
        );
    }

    #[test]
    fn choices_are_in_their_places_and_the_default_namespace_in_none() {
        let objects = all("mesh");
        let deployment = objects.iter().find(|object| object.kind() == "Deployment").unwrap().json();
        assert_eq!(deployment["spec"]["replicas"], 3);
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "registry.test/mainsheet:2");
        for object in objects.iter().filter(|object| !object.is_definition()) {
            assert!(!object.json().to_string().contains(NAMESPACE), "{}", object.title());
        }
        let names: Vec<&str> = objects.iter().map(Object::name).collect();
        assert!(names.contains(&"mesh") && names.contains(&"mainsheet-mesh-writer"), "{names:?}");
    }
}
