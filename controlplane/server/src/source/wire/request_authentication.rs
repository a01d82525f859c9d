//! RequestAuthentication.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{rule, selector::PolicyTarget};

/// Which tokens are accepted. A request without a token passes; an AuthorizationPolicy can demand one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["selector", "targetRef", "targetRefs"]]))]
pub struct RequestAuthenticationSpec {
    /// What it is for.
    #[serde(flatten)]
    pub target: PolicyTarget,
    /// The tokens that are accepted.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub jwt_rules: Vec<JwtRule>,
}

/// Tokens of one issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["jwksUri", "jwks_uri", "jwks"]]))]
pub struct JwtRule {
    /// Who issues them, as the token says.
    #[schemars(length(min = 1))]
    pub issuer: Option<String>,
    /// For whom they are issued, any of these; anybody, when not given.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub audiences: Vec<String>,
    /// Where the issuer's public keys are fetched.
    #[schemars(length(min = 1, max = 2048), extend("x-kubernetes-validations" = [rule::HTTP_URL]))]
    pub jwks_uri: Option<String>,
    /// As `jwksUri`, in an older spelling.
    #[serde(rename = "jwks_uri")]
    #[schemars(length(min = 1, max = 2048), extend("x-kubernetes-validations" = [rule::HTTP_URL]))]
    pub jwks_uri_old: Option<String>,
    /// The issuer's public keys.
    pub jwks: Option<String>,
    /// Headers that carry the token; `authorization: Bearer`, when nothing else is said.
    #[serde(default)]
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that carry the token.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub from_params: Vec<String>,
    /// Cookies that carry the token.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub from_cookies: Vec<String>,
    /// The header in which the token's content is handed on.
    pub output_payload_to_header: Option<String>,
    /// Whether the token itself is handed on.
    pub forward_original_token: Option<bool>,
    /// Headers in which single claims are handed on.
    #[serde(default)]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// Claims that are lists, written as words with spaces between.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1)))]
    pub space_delimited_claims: Vec<String>,
    /// How long fetching the keys may take; 5s when not given.
    #[schemars(extend("x-kubernetes-validations" = [rule::DURATION]))]
    pub timeout: Option<String>,
}

/// A header that carries a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JwtHeader {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What stands before the token: `Bearer `.
    pub prefix: Option<String>,
}

/// A header in which a claim is handed on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimToHeader {
    /// The header.
    #[schemars(length(min = 1), regex(pattern = "^[-_A-Za-z0-9]+$"))]
    pub header: String,
    /// The claim.
    #[schemars(length(min = 1))]
    pub claim: String,
}
