//! The page as HTML: the book, what readers wrote, and plain words where a service failed.

use std::{fmt::Write, time::Duration};

use crate::bookinfo::{
    call::CallError,
    catalogue::{self, Colour, Details, Rating, Review, Reviews, STARS_MAX},
};

const STYLE: &str = include_str!("page.css");
/// The cover, drawn.
const COVER: &str = include_str!("cover.svg");

/// Shown where the details would be.
pub const NO_DETAILS: &str = "The facts about this book did not reach us. Please look in again in a moment.";
/// Shown where the reviews would be.
pub const NO_REVIEWS: &str = "What readers wrote did not reach us. Please look in again in a moment.";
/// Shown where the stars would be.
pub const NO_RATINGS: &str = "The stars did not reach us.";

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Who is signed in.
    pub user: Option<&'a str>,
    /// What `details` answered.
    pub details: &'a Result<Details, CallError>,
    /// What `reviews` answered.
    pub reviews: &'a Result<Reviews, CallError>,
    /// How long both took.
    pub took: Duration,
}

/// The whole page.
#[must_use]
pub fn render(page: &Page<'_>) -> String {
    let title = escaped(catalogue::TITLE);
    let blurb = escaped(catalogue::BLURB);
    let author =
        page.details.as_ref().map(|details| format!("<p class=\"author\">by {}</p>", escaped(&details.author)));
    format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>{title} · Bookinfo</title>
<style>
{STYLE}</style>
</head>
<body>
<header><a class=\"brand\" href=\"/productpage\">Bookinfo</a>{visitor}</header>
<main>
<section class=\"book\">
{COVER}<div>
<h1>{title}</h1>
{author}
<p class=\"blurb\">{blurb}</p>
{details}
</div>
</section>
<section class=\"reviews\">
<h2>What readers say</h2>
{reviews}
</section>
</main>
<footer>{footer}</footer>
</body>
</html>
",
        author = author.unwrap_or_default(),
        visitor = visitor(page.user),
        details = page.details.as_ref().map_or_else(|error| sorry(NO_DETAILS, &error.to_string()), details),
        reviews = page.reviews.as_ref().map_or_else(|error| sorry(NO_REVIEWS, &error.to_string()), reviews),
        footer = footer(page),
    )
}

fn visitor(user: Option<&str>) -> String {
    match user {
        Some(user) => {
            format!("<p class=\"visitor\">Signed in as <b>{}</b> <a href=\"/logout\">Sign out</a></p>", escaped(user))
        }
        None => "<form class=\"visitor\" method=\"post\" action=\"/login\">\
            <label for=\"username\">Sign in as</label>\
            <input id=\"username\" name=\"username\" placeholder=\"jason\" maxlength=\"32\" required>\
            <button>Go</button></form>"
            .to_owned(),
    }
}

fn details(details: &Details) -> String {
    let rows = [
        ("Kind", details.kind.clone()),
        ("Pages", details.pages.to_string()),
        ("Published", format!("{}, {}", details.publisher, details.year)),
        ("Language", details.language.clone()),
        ("List number", details.catalogue_number.clone()),
    ];
    let mut html = "<dl>\n".to_owned();
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value));
    }
    html + "</dl>"
}

fn reviews(reviews: &Reviews) -> String {
    let cards: String = reviews.reviews.iter().map(review).collect();
    format!("<div class=\"cards\">\n{cards}</div>")
}

fn review(review: &Review) -> String {
    let rating = review.rating.as_ref().map(rating).unwrap_or_default();
    format!(
        "<figure>\n{rating}<blockquote>{}</blockquote>\n<figcaption>{}</figcaption>\n</figure>\n",
        escaped(&review.text),
        escaped(&review.reviewer)
    )
}

fn rating(rating: &Rating) -> String {
    match rating {
        Rating::Stars { stars, colour } => {
            let class = match colour {
                Colour::Black => "black",
                Colour::Red => "red",
            };
            let full = usize::from((*stars).min(STARS_MAX));
            let empty = usize::from(STARS_MAX) - full;
            format!(
                "<p class=\"stars {class}\" role=\"img\" aria-label=\"{full} of {STARS_MAX} stars\">{}<i>{}</i></p>\n",
                "★".repeat(full),
                "★".repeat(empty)
            )
        }
        Rating::Unknown { error } => sorry(NO_RATINGS, error) + "\n",
    }
}

fn sorry(what: &str, why: &str) -> String {
    format!("<p class=\"sorry\" role=\"alert\"><b>{}</b> <small>{}</small></p>", escaped(what), escaped(why))
}

fn footer(page: &Page<'_>) -> String {
    let by = page.reviews.as_ref().map(|reviews| format!("Reviews by <b>{}</b> · ", escaped(&reviews.pod)));
    format!("{}services answered in {} ms", by.unwrap_or_default(), page.took.as_millis())
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            plain => html.push(plain),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(rating: Option<Rating>) -> String {
        let mut all = catalogue::reviews();
        all.iter_mut().for_each(|review| review.rating.clone_from(&rating));
        let reviews = Reviews { id: "0".into(), pod: "reviews-v9".into(), version: "v9".into(), reviews: all };
        let details = Ok(catalogue::details("0"));
        render(&Page { user: None, details: &details, reviews: &Ok(reviews), took: Duration::ZERO })
    }

    #[test]
    fn stars_are_black_red_or_absent() {
        let black = rendered(Some(Rating::Stars { stars: 4, colour: Colour::Black }));
        assert!(black.contains("class=\"stars black\"") && black.contains("★★★★<i>★</i>"), "{black}");
        assert!(rendered(Some(Rating::Stars { stars: 5, colour: Colour::Red })).contains("class=\"stars red\""));
        let none = rendered(None);
        assert!(!none.contains('★') && none.contains("Marit O.") && none.contains("reviews-v9"), "{none}");
    }

    #[test]
    fn a_service_that_failed_leaves_words_in_its_place_and_the_rest_stands() {
        let failed = rendered(Some(Rating::Unknown { error: "it answered <503>".to_owned() }));
        assert!(failed.contains(NO_RATINGS) && failed.contains("it answered &lt;503&gt;"), "{failed}");
        let gone = CallError::Broken("refused".to_owned());
        let page =
            Page { user: Some("<jason>"), details: &Err(gone.clone()), reviews: &Err(gone), took: Duration::ZERO };
        let html = render(&page);
        assert!(html.contains(NO_DETAILS) && html.contains(NO_REVIEWS) && html.contains(catalogue::TITLE), "{html}");
        assert!(html.contains("&lt;jason&gt;") && !html.contains("<jason>"), "{html}");
    }
}
