//! The verdict on one object: a pure function of the request and the mesh.

use mesh::{
    compile::check::check_object,
    model::{Problem, Severity},
    store::Mesh,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::source::{
    Settings,
    document::{self, Declared},
    istio,
    yaml::Node,
};

/// Most warnings of one answer, and most reasons of one refusal.
const LINES_MAX: usize = 16;
/// Longest warning, in characters: API servers cut longer ones off.
const WARNING_LEN_MAX: usize = 256;
/// What API servers keep of all warnings together, in characters.
const WARNINGS_LEN_MAX: usize = 4096;

/// What the API server asks. Of its many fields these count.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    /// Repeated in the answer.
    uid: String,
    operation: String,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    object: Json,
}

/// What is said of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Its resource, `virtualservices`, when it is one that is judged.
    pub(super) resource: Option<&'static str>,
    /// Why it is refused, if it is.
    pub(super) refusal: Option<String>,
    /// What is shown to whoever applies it.
    pub(super) warnings: Vec<String>,
}

impl Request {
    /// The answer for the API server.
    pub(super) fn answer(&self, verdict: &Verdict) -> Json {
        let Verdict { resource: _, refusal, warnings } = verdict;
        let status = refusal.as_ref().map(|message| json!({"code": 422, "reason": "Invalid", "message": message}));
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": self.uid, "allowed": refusal.is_none(), "status": status, "warnings": warnings},
        })
    }
}

/// Judges the object of a request as `mainsheet analyze` would: errors refuse it, all else is a warning. What the object
/// and others say of each other counts when the `mesh` is known.
///
/// Whatever is no object of Istio's kinds passes, and so does one that is being deleted: an object of before this
/// webhook must be able to lose its finalizers.
pub(super) fn review(mut object: Json, request: &Judged, mesh: Option<&Mesh>, settings: &Settings) -> Verdict {
    let Judged { resource } = *request;
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        // Who wrote what of it is long and says nothing to us.
        metadata.remove("managedFields");
    }
    let reading = document::read_object(&Node::from_json(object), settings);
    let mut problems = reading.problems;
    let declared = reading.items.into_iter().find_map(|item| item.content);
    if let (Some(mesh), Some(Declared::Config(config))) = (mesh, declared) {
        problems.extend(check_object(mesh, &config));
    }
    let (errors, others): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    Verdict { resource: Some(resource), refusal: refusal(&errors), warnings: warnings(&others) }
}

/// That an object is judged, as an object of this resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    resource: &'static str,
}

impl Judged {
    /// Takes the object to be judged out of a request; `None` when it passes unseen.
    pub(super) fn of(request: &mut Request) -> Option<(Self, Json)> {
        let changes = matches!(request.operation.as_str(), "CREATE" | "UPDATE") && request.sub_resource.is_empty();
        let object = changes.then(|| request.object.take())?;
        let text = |field| object.get(field).and_then(Json::as_str);
        let (group, version) = text("apiVersion")?.split_once('/')?;
        let kind = istio::find(group, text("kind")?).filter(|kind| kind.versions.contains(&version))?;
        let deleted = object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        (!deleted).then_some((Self { resource: kind.plural }, object))
    }
}

fn refusal(errors: &[Problem]) -> Option<String> {
    let mut lines: Vec<String> = errors.iter().take(LINES_MAX).map(line).collect();
    if let Some(more) = more(errors.len()) {
        lines.push(more);
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn warnings(problems: &[Problem]) -> Vec<String> {
    // Room for the last one, which says that there are more.
    let mut left = WARNINGS_LEN_MAX - WARNING_LEN_MAX;
    let mut warnings = Vec::new();
    for problem in problems.iter().take(LINES_MAX) {
        let warning = cut(line(problem));
        let Some(rest) = left.checked_sub(warning.chars().count()) else { break };
        left = rest;
        warnings.push(warning);
    }
    if let Some(more) = problems.len().checked_sub(warnings.len()).filter(|more| *more > 0) {
        warnings.push(and_more(more));
    }
    warnings
}

fn more(count: usize) -> Option<String> {
    count.checked_sub(LINES_MAX).filter(|more| *more > 0).map(and_more)
}

fn and_more(count: usize) -> String {
    format!("and {count} more: mainsheet analyze shows all")
}

/// The code first, since the end may be cut off. Problems are without control characters, as headers must be.
fn line(problem: &Problem) -> String {
    let Problem { severity: _, code, object, field, location: _, reason, remedy } = problem;
    let mut line = format!("{code} {object}: ");
    if !field.is_empty() {
        line.push_str(field);
        line.push_str(": ");
    }
    line.push_str(reason);
    if !remedy.is_empty() {
        line.push_str(&format!(" ({remedy})"));
    }
    line
}

fn cut(text: String) -> String {
    if text.chars().count() <= WARNING_LEN_MAX {
        return text;
    }
    text.chars().take(WARNING_LEN_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
