//! The HTTP server of one service: which role it plays, its routes, and the headers that say who answered.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::Response,
    routing::{any, get},
};
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;

use crate::{
    bookinfo::{
        behaviour::{self, Knobs},
        call::{Callee, Caller},
        catalogue::{self, Colour, Details, Rating, Ratings, Reviews, Stock},
        passed_on::passed_on,
        productpage,
    },
    process,
};

/// Which service this program plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// The page; asks details and reviews.
    Productpage,
    /// The facts about the book.
    Details,
    /// What readers wrote; v2 and v3 ask ratings.
    Reviews,
    /// The stars.
    Ratings,
    /// A host outside the mesh: how many copies are left.
    Publisher,
}

/// The command line of one service.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service to play.
    #[arg(long)]
    pub role: Role,
    /// The version to play; it matters to reviews.
    #[arg(long, default_value = "v1")]
    pub version: String,
    /// Where to listen.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// Where calls to other services are sent: the outbound listener of the Envoy beside this service; to the services themselves if not given.
    #[arg(long, value_name = "IP:PORT")]
    pub outbound: Option<SocketAddr>,
    /// The name of the pod; ROLE-VERSION if not given.
    #[arg(long)]
    pub pod: Option<String>,
}

/// What every request of a service can use.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) pod: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) caller: Caller,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Productpage => "productpage",
            Self::Details => "details",
            Self::Reviews => "reviews",
            Self::Ratings => "ratings",
            Self::Publisher => "publisher",
        }
    }
}

/// Serves until the program is told to end, and then to the end of the requests that are under way.
///
/// # Errors
/// The address cannot be listened on.
pub async fn run(options: Options) -> Result<()> {
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("listen on {}", options.listen))?;
    let told = async {
        if process::told_to_end().await.is_err() {
            // Nobody can tell it.
            std::future::pending::<()>().await;
        }
    };
    axum::serve(listener, router(&options)).with_graceful_shutdown(told).await.context("serve")
}

/// The routes of the service that `options` describe.
fn router(options: &Options) -> Router {
    let pod = options.pod.clone().unwrap_or_else(|| format!("{}-{}", options.role.name(), options.version));
    let service = Service {
        pod: pod.into(),
        version: options.version.as_str().into(),
        caller: Caller::through(options.outbound),
    };
    let knobs = Knobs::default();
    let routes = match options.role {
        Role::Productpage => productpage::routes(),
        Role::Details => Router::new().route("/details/{id}", get(details)),
        Role::Reviews => Router::new().route("/reviews/{id}", any(reviews)),
        Role::Ratings => Router::new().route("/ratings/{id}", any(ratings)),
        Role::Publisher => Router::new().route("/stock/{id}", get(stock)),
    };
    routes
        .with_state(service.clone())
        .layer(middleware::from_fn_with_state(knobs.clone(), behaviour::misbehave))
        .route("/health", get(|| async { "well\n" }))
        .merge(knobs.router())
        .layer(middleware::from_fn_with_state(service, sign))
}

/// Says on each answer who gave it, and to which path: routes may have rewritten it.
async fn sign(State(service): State<Service>, request: Request, next: Next) -> Response {
    let path = HeaderValue::from_str(request.uri().path_and_query().map_or("/", |path| path.as_str()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [("x-app", &service.pod), ("x-version", &service.version)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Ok(path) = path {
        headers.insert("x-path", path);
    }
    response
}

async fn details(Path(id): Path<String>) -> Json<Details> {
    Json(catalogue::details(&id))
}

async fn ratings(Path(id): Path<String>) -> Json<Ratings> {
    Json(catalogue::ratings(&id))
}

async fn stock(Path(id): Path<String>) -> Json<Stock> {
    Json(catalogue::stock(&id))
}

/// Failing ratings do not fail the reviews: each then says why it has no stars.
async fn reviews(
    State(service): State<Service>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Reviews>, StatusCode> {
    let mut reviews = catalogue::reviews();
    let colour = match &*service.version {
        "v2" => Some(Colour::Black),
        "v3" => Some(Colour::Red),
        _ => None,
    };
    if let Some(colour) = colour {
        let path = format!("/ratings/{}", path_segment(&id).ok_or(StatusCode::BAD_REQUEST)?);
        let ratings = service.caller.get::<Ratings>(Callee::Ratings, &path, &passed_on(&headers)).await;
        for review in &mut reviews {
            review.rating = Some(match &ratings {
                Ok(ratings) => rating_by(&review.reviewer, ratings, colour),
                Err(error) => Rating::Unknown { error: error.to_string() },
            });
        }
    }
    Ok(Json(Reviews { id, pod: service.pod.to_string(), version: service.version.to_string(), reviews }))
}

fn rating_by(reviewer: &str, ratings: &Ratings, colour: Colour) -> Rating {
    ratings.ratings.iter().find(|stars| stars.reviewer == reviewer).map_or_else(
        || Rating::Unknown { error: "this reader gave no stars".to_owned() },
        |stars| Rating::Stars { stars: stars.stars, colour },
    )
}

/// The id of a book as it may stand in a path: short, and without characters that would have to be escaped.
pub(super) fn path_segment(id: &str) -> Option<&str> {
    const LENGTH_MAX: usize = 64;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (plain && !id.is_empty() && id.len() <= LENGTH_MAX).then_some(id)
}
