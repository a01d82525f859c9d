//! Who asks, and what they may see: the API server is asked whether it knows a caller's token, and whether the caller
//! may `get` the page as a path that is no resource's.
//!
//! A service account that may not still sees what belongs to its own namespace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use mesh::model::Namespace;
use tokio::{sync::Semaphore, time::timeout};

use super::sight::Sight;

/// The audiences of tokens that are taken, besides the API server's own, which tools such as Kiali and Prometheus send: that
/// of our command line, and that of a workload's token in Istio.
const AUDIENCES: [&str; 2] = ["mainsheet", "istio-ca"];
/// How long an answer of the API server counts: as long may a token be good that was revoked.
const ANSWER_LIFETIME: Duration = Duration::from_secs(10);
/// Answers that are kept.
const ANSWERS_MAX: usize = 1024;
/// Callers about whom the API server is asked at a time: anybody can send tokens. More wait for their turn.
const ASKED_MAX: usize = 16;
/// Time for all questions about one request, its turn included.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks, and remembers for a while.
pub struct Guard {
    client: Client,
    /// A lock, because requests come on many threads; it is not held while waiting.
    answers: Mutex<HashMap<Key, Answer>>,
    places: Semaphore,
}

/// The hash of a token, so that none is kept, and the page.
type Key = ([u8; SHA256_OUTPUT_LEN], String);

struct Answer {
    sight: Sight,
    until: Instant,
}

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("who are you? Send `Authorization: Bearer TOKEN`, the token of a service account")]
    NoToken,
    #[error("the API server does not know this token: it is for another audience, too old, or not from this cluster")]
    UnknownToken,
    #[error("the API server does not say who you are; try again")]
    NoAnswer,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

impl Guard {
    /// A guard that asks by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, answers: Mutex::default(), places: Semaphore::new(ASKED_MAX) }
    }

    async fn sight(&self, token: &str, page: &str) -> Result<Sight, Refusal> {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let key = (hash, page.to_owned());
        if let Some(sight) = self.remembered(&key) {
            return Ok(sight);
        }
        let asked = timeout(ASK_TIMEOUT, async {
            let _place = self.places.acquire().await;
            self.ask(token, page).await
        });
        let sight = match asked.await {
            Ok(Ok(sight)) => sight.ok_or(Refusal::UnknownToken)?,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the API server does not say who asks for a page, and it is not shown");
                return Err(Refusal::NoAnswer);
            }
            Err(_) => return Err(Refusal::NoAnswer),
        };
        self.remember(key, sight.clone());
        Ok(sight)
    }

    fn remembered(&self, key: &Key) -> Option<Sight> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(key).filter(|answer| Instant::now() < answer.until).map(|answer| answer.sight.clone())
    }

    fn remember(&self, key: Key, sight: Sight) {
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, answer| now < answer.until);
        }
        if answers.len() < ANSWERS_MAX {
            answers.insert(key, Answer { sight, until: now + ANSWER_LIFETIME });
        }
    }

    /// What the owner of a token may see of a page; `None` when nobody knows the token.
    async fn ask(&self, token: &str, page: &str) -> kube::Result<Option<Sight>> {
        let audiences = AUDIENCES.map(str::to_owned).to_vec();
        let user = match self.user(token, Some(audiences)).await? {
            Some(user) => user,
            None => match self.user(token, None).await? {
                Some(user) => user,
                None => return Ok(None),
            },
        };
        let namespace = user.username.as_deref().and_then(namespace_of_account);
        Ok(Some(match (self.may(user, page).await?, namespace) {
            (true, _) => Sight::Everything,
            (false, Some(namespace)) => Sight::Namespace(namespace),
            (false, None) => Sight::Nothing,
        }))
    }

    /// The owner of a token for one of these audiences; without any it is for the API server itself.
    async fn user(&self, token: &str, audiences: Option<Vec<String>>) -> kube::Result<Option<UserInfo>> {
        let spec = TokenReviewSpec { audiences, token: token.to_owned() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let known = answer.status.filter(|status| status.authenticated == Some(true));
        Ok(known.and_then(|status| status.user))
    }

    async fn may(&self, user: UserInfo, page: &str) -> kube::Result<bool> {
        let UserInfo { username, groups, uid, extra } = user;
        let page = NonResourceAttributes { path: Some(page.to_owned()), verb: Some("get".into()) };
        let spec = SubjectAccessReviewSpec {
            user: username,
            groups,
            uid,
            extra,
            non_resource_attributes: Some(page),
            resource_attributes: None,
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// Lets a request pass with what its sender may see, if the sender is anybody.
pub(super) async fn admit(
    State(guard): State<Arc<Guard>>,
    page: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let sight = match bearer(request.headers()) {
        Some(token) => guard.sight(token, page.as_str()).await,
        None => Err(Refusal::NoToken),
    };
    match sight {
        Ok(sight) => {
            request.extensions_mut().insert(sight);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Of `system:serviceaccount:NAMESPACE:NAME`, which the API server gives to service accounts alone.
fn namespace_of_account(user: &str) -> Option<Namespace> {
    let (namespace, _) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Namespace::parse(namespace).ok()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = format!("{self}\n");
        match self {
            Self::NoToken | Self::UnknownToken => {
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], text).into_response()
            }
            Self::NoAnswer => (StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_service_accounts_have_a_namespace_of_their_own() {
        let own = |user| namespace_of_account(user).map(|namespace| namespace.to_string());
        assert_eq!(own("system:serviceaccount:shop:web").as_deref(), Some("shop"));
        for user in ["jane", "system:serviceaccount:shop", "shop:web", "x:system:serviceaccount:shop:web"] {
            assert_eq!(own(user), None, "{user}");
        }
    }

    #[test]
    fn a_token_is_what_stands_behind_bearer() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of("bearer abc").as_deref(), Some("abc"));
        for text in ["Bearer ", "Basic abc", "abc", "Bearer"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
