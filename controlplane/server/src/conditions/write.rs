//! One write of the conditions of one object.
//!
//! A merge patch of the list, with the version of the object as it was seen: so a write never undoes one that it does not
//! know of, be it of another leader or another controller. Server-side apply would not do, since Istio's own definitions,
//! unlike ours, have the list of conditions as one value, which an apply would take over whole.

use std::time::Duration;

use http::{StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt as _, Limited};
use kube::{
    Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    client::Body,
    core::{Request, Resource as _},
};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use super::{
    ledger::{Outcome, Wanted},
    written::merged,
};
use crate::{
    leader::{Term, WRITE_TIMEOUT},
    source::standing::Standing,
};

/// Who writes, in `metadata.managedFields`.
const FIELD_MANAGER: &str = "mainsheet-status";
/// Longest answer that is read; an object in etcd is not longer.
const ANSWER_LEN_MAX: usize = 4 << 20;
/// Longest reason of an API server that is repeated, in characters.
const REASON_LEN_MAX: usize = 300;

/// Writes what is wanted of an object, as it stands, unless the term is over. `now` is the time for those who read it.
pub(super) async fn write(client: &Client, term: &Term, standing: &Standing, wanted: &Wanted, now: &str) -> Outcome {
    let Some(request) = request(standing, wanted, now) else {
        return Outcome::Refused("the name makes no path".into());
    };
    if !term.is_held() {
        return Outcome::Fenced;
    }
    let sent = async {
        let response = client.send(request.map(Body::from)).await?;
        let (head, body) = response.into_parts();
        // Read to its end, so that the connection can be used again.
        let body = Limited::new(body, ANSWER_LEN_MAX)
            .collect()
            .await
            .map_or_else(|_| Vec::new(), |all| all.to_bytes().to_vec());
        Ok::<_, kube::Error>((head, body))
    };
    let (head, body) = match timeout(WRITE_TIMEOUT, sent).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Outcome::Unavailable(error.to_string()),
        Err(_) => return Outcome::Unavailable(format!("no answer within {WRITE_TIMEOUT:?}")),
    };
    let after =
        head.headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    match head.status {
        status if status.is_success() => Outcome::Written,
        StatusCode::CONFLICT => Outcome::Conflict,
        StatusCode::TOO_MANY_REQUESTS => Outcome::Throttled(after),
        status if status.is_server_error() && after.is_some() => Outcome::Throttled(after),
        status if status.is_server_error() => Outcome::Unavailable(reason(status, &body)),
        status => Outcome::Refused(reason(status, &body)),
    }
}

fn request(standing: &Standing, wanted: &Wanted, now: &str) -> Option<http::Request<Vec<u8>>> {
    let resource = ApiResource {
        group: standing.kind.group.into(),
        version: standing.version.to_string(),
        api_version: standing.api_version(),
        kind: standing.kind.name.into(),
        plural: standing.kind.plural.into(),
    };
    let path = DynamicObject::url_path(&resource, Some(&standing.namespace));
    let patch = Patch::Merge(json!({
        "metadata": {"resourceVersion": standing.resource_version, "uid": standing.uid},
        "status": {"conditions": merged(standing, &wanted.verdicts, wanted.generation, now)},
    }));
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    Request::new(path).patch_subresource("status", &standing.name, &params, &patch).ok()
}

fn reason(status: StatusCode, body: &[u8]) -> String {
    let message = serde_json::from_slice::<Json>(body).ok();
    let message = message.as_ref().and_then(|body| body.get("message")).and_then(Json::as_str).unwrap_or_default();
    format!("{status}: {}", message.chars().take(REASON_LEN_MAX).collect::<String>())
}
