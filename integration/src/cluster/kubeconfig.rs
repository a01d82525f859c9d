//! How a client finds an API server and shows who it is.

use std::path::Path;

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::cluster::pki::Certified;

/// In the certificates of all API servers.
const SERVER_NAME: &str = "kubernetes";

/// How a client shows who it is.
#[derive(Clone, Debug)]
pub enum Credential {
    /// With a client certificate.
    Certificate(Certified),
    /// With a bearer token.
    Token(String),
}

/// The text of a kubeconfig with everything in it, so that it can be moved. It is JSON, which is YAML too.
#[must_use]
pub fn text(url: &str, authority_pem: &str, credential: &Credential) -> String {
    let encode = |pem: &str| BASE64_STANDARD.encode(pem);
    let user: Value = match credential {
        Credential::Certificate(Certified { certificate, key }) => {
            json!({"client-certificate-data": encode(certificate), "client-key-data": encode(key)})
        }
        Credential::Token(token) => json!({"token": token}),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority-data": encode(authority_pem)}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    format!("{config:#}\n")
}

/// The text of the kubeconfig in a file, made by [`text`], with another way to the same API server: whatever the address
/// there, the server is who it was.
///
/// # Errors
/// The file is not such.
pub fn led_by(file: &Path, url: &str) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut config: Value = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
    let cluster = config.pointer_mut("/clusters/0/cluster").context("the file names no cluster")?;
    let cluster = cluster.as_object_mut().context("the cluster is no object")?;
    cluster.insert("server".into(), url.into());
    cluster.insert("tls-server-name".into(), SERVER_NAME.into());
    Ok(config.to_string())
}

/// A client that goes by the text of a kubeconfig.
///
/// # Errors
/// The text is not such.
pub async fn client(text: &str) -> Result<Client> {
    let config = Kubeconfig::from_yaml(text).context("read the kubeconfig")?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    Client::try_from(config.context("use the kubeconfig")?).context("make a client")
}
