//! The status of every kind: conditions and messages. It is written by controllers, so that what is not known here is
//! kept.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use schemars::JsonSchema;

use super::structural;

/// What the control plane says of the object.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", extend("x-kubernetes-preserve-unknown-fields" = true))]
#[expect(dead_code, reason = "only its schema counts")]
struct Status {
    /// What is so, and what is not.
    // One for each type, so that each who applies has entries of his own.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    conditions: Option<Vec<Condition>>,
    /// The generation of the object that all this is about.
    #[schemars(with = "Option<Generation>")]
    observed_generation: Option<i64>,
    /// What is wrong with the object.
    validation_messages: Option<Vec<ValidationMessage>>,
}

/// Something that is so, or is not.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema counts")]
struct Condition {
    /// What: `Accepted`, `Programmed`.
    #[schemars(rename = "type")]
    condition: String,
    /// `True`, `False` or `Unknown`.
    status: Option<String>,
    /// Why, in one word.
    reason: Option<String>,
    /// Why, for people.
    message: Option<String>,
    /// The generation of the object that it is about.
    #[schemars(with = "Option<Generation>")]
    observed_generation: Option<i64>,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    last_transition_time: Option<String>,
    /// When it was last looked at.
    #[schemars(extend("format" = "date-time"))]
    last_probe_time: Option<String>,
}

/// A generation, as a number or as text.
#[derive(JsonSchema)]
#[schemars(transparent, extend("x-kubernetes-int-or-string" = true))]
struct Generation(#[expect(dead_code, reason = "only its schema counts")] i64);

/// Something that is wrong with the object.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema counts")]
struct ValidationMessage {
    /// Which problem.
    #[schemars(rename = "type")]
    problem: Option<MessageType>,
    /// How bad it is.
    level: Option<Level>,
    /// Where it is explained.
    documentation_url: Option<String>,
}

/// A problem that many objects may have.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema counts")]
struct MessageType {
    /// What it is called.
    name: Option<String>,
    /// Its code.
    code: Option<String>,
}

/// How bad a problem is.
#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(dead_code, reason = "only its schema counts")]
enum Level {
    /// Not known.
    Unknown,
    /// The object is not in force.
    Error,
    /// Something will surprise.
    Warning,
    /// Good to know.
    Info,
}

/// The schema of the status.
pub(super) fn schema() -> JSONSchemaProps {
    structural::of(&structural::generator().root_schema_for::<Status>().to_value())
}
