//! The routes of `productpage`: the page, signing in and out, and the same facts as JSON.

use std::time::Instant;

use axum::{
    Form, Json, Router,
    extract::{Path, Query, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{COOKIE, LOCATION, SET_COOKIE},
    },
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use crate::bookinfo::{
    call::{CallError, Callee},
    catalogue::{self, Details, Reviews},
    page::{self, Page},
    passed_on::{END_USER, passed_on},
    server::{Service, path_segment},
};

const COOKIE_NAME: &str = "user";
/// Longer names are cut.
const USER_LENGTH_MAX: usize = 32;
/// The only book there is.
const BOOK: &str = "0";

/// Who the person says to be, in a form or an address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Visitor {
    u: Option<String>,
    username: Option<String>,
}

#[derive(Debug, Serialize)]
struct Product {
    id: &'static str,
    title: &'static str,
    blurb: &'static str,
}

const PRODUCTS: [Product; 1] = [Product { id: BOOK, title: catalogue::TITLE, blurb: catalogue::BLURB }];

pub(super) fn routes() -> Router<Service> {
    Router::new()
        .route("/", get(|| async { moved("/productpage") }))
        .route("/productpage", get(show))
        .route("/login", post(sign_in))
        .route("/logout", get(sign_out))
        .route("/api/v1/products", get(|| async { Json(PRODUCTS) }))
        .route("/api/v1/products/{id}", get(product_details))
        .route("/api/v1/products/{id}/reviews", get(product_reviews))
}

async fn show(State(service): State<Service>, Query(visitor): Query<Visitor>, headers: HeaderMap) -> Response {
    let started = Instant::now();
    let named = visitor.u.as_deref().and_then(user_name);
    let user = named.clone().or_else(|| signed_in(&headers)).or_else(|| named_by_header(&headers));
    let headers = headers_for(&headers, user.as_deref());
    let (details, reviews) = tokio::join!(
        service.caller.get::<Details>(Callee::Details, "/details/0", &headers),
        service.caller.get::<Reviews>(Callee::Reviews, "/reviews/0", &headers),
    );
    let page = Page { user: user.as_deref(), details: &details, reviews: &reviews, took: started.elapsed() };
    let mut response = Html(page::render(&page)).into_response();
    if let Some(cookie) = named.as_deref().and_then(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn sign_in(Form(visitor): Form<Visitor>) -> Response {
    let mut response = moved("/productpage").into_response();
    let user = visitor.username.or(visitor.u).as_deref().and_then(user_name);
    if let Some(cookie) = user.as_deref().and_then(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn sign_out() -> Response {
    let mut response = moved("/productpage").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&format!("{COOKIE_NAME}=; Path=/; Max-Age=0; HttpOnly")) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn product_details(State(service): State<Service>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    answer::<Details>(&service, Callee::Details, &id, &headers).await
}

async fn product_reviews(State(service): State<Service>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    answer::<Reviews>(&service, Callee::Reviews, &id, &headers).await
}

async fn answer<T>(service: &Service, callee: Callee, id: &str, headers: &HeaderMap) -> Response
where
    T: Serialize + serde::de::DeserializeOwned,
{
    let Some(id) = path_segment(id) else { return StatusCode::BAD_REQUEST.into_response() };
    let user = signed_in(headers).or_else(|| named_by_header(headers));
    let path = format!("/{}/{id}", callee.name());
    let answer = service.caller.get::<T>(callee, &path, &headers_for(headers, user.as_deref())).await;
    answer.map_or_else(|error| failed(callee, &error), |found| Json(found).into_response())
}

fn failed(callee: Callee, error: &CallError) -> Response {
    let text = format!("{} cannot be had now: {error}", callee.name());
    (error.status(), Json(serde_json::json!({ "error": text }))).into_response()
}

fn moved(to: &'static str) -> (StatusCode, [(axum::http::HeaderName, &'static str); 1]) {
    (StatusCode::SEE_OTHER, [(LOCATION, to)])
}

/// The headers of the calls that are made for a request: what is passed on, and the user.
fn headers_for(received: &HeaderMap, user: Option<&str>) -> HeaderMap {
    let mut headers = passed_on(received);
    if let Some(user) = user.and_then(|user| HeaderValue::from_str(user).ok()) {
        headers.insert(END_USER, user);
    }
    headers
}

fn named_by_header(headers: &HeaderMap) -> Option<String> {
    headers.get(END_USER).and_then(|value| value.to_str().ok()).and_then(user_name)
}

fn signed_in(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).find_map(|(_, value)| user_name(value))
}

fn cookie(user: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{COOKIE_NAME}={user}; Path=/; HttpOnly; SameSite=Lax")).ok()
}

/// A name reduced to characters that may stand in a cookie and a header; `None` if nothing is left.
fn user_name(text: &str) -> Option<String> {
    let kept = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | '@');
    let name: String = text.trim().chars().filter(kept).take(USER_LENGTH_MAX).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_break_a_header_or_the_page_is_reduced() {
        assert_eq!(user_name(" jason ").as_deref(), Some("jason"));
        assert_eq!(user_name("<b>jason\r\nx: y;").as_deref(), Some("bjasonxy"));
        assert_eq!(user_name("<>"), None);
        assert_eq!(user_name(&"a".repeat(100)).map(|name| name.len()), Some(USER_LENGTH_MAX));
    }

    #[test]
    fn the_user_of_the_cookie_goes_along_with_calls() {
        let mut received = HeaderMap::new();
        received.insert(COOKIE, HeaderValue::from_static("theme=dark; user=jason"));
        let user = signed_in(&received);
        assert_eq!(headers_for(&received, user.as_deref())[END_USER], "jason");
        received.insert(COOKIE, HeaderValue::from_static("user="));
        assert_eq!(signed_in(&received), None);
    }
}
