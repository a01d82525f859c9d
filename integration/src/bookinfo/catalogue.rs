//! What the services know: the book, what its readers wrote, and how many stars they gave.

use serde::{Deserialize, Serialize};

/// What `details` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The number that was asked for.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// When it came out.
    pub year: u16,
    /// What kind of book it is.
    pub kind: String,
    /// How long it is.
    pub pages: u16,
    /// Who published it.
    pub publisher: String,
    /// The language it is in.
    pub language: String,
    /// Its number in the list of its publisher.
    pub catalogue_number: String,
}

/// What `reviews` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviews {
    /// The number that was asked for.
    pub id: String,
    /// The pod that answers.
    pub pod: String,
    /// Its version.
    pub version: String,
    /// What readers wrote.
    pub reviews: Vec<Review>,
}

/// One reader's opinion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who wrote it.
    pub reviewer: String,
    /// What it says.
    pub text: String,
    /// The stars, in the versions that show some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
}

/// The stars of one review, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rating {
    /// `ratings` answered.
    Stars {
        /// From 1 to [`STARS_MAX`].
        stars: u8,
        /// How they are painted.
        colour: Colour,
    },
    /// `ratings` did not.
    Unknown {
        /// Why.
        error: String,
    },
}

/// How stars are painted: what tells versions 2 and 3 of `reviews` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Version 2.
    Black,
    /// Version 3.
    Red,
}

/// What `ratings` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratings {
    /// The number that was asked for.
    pub id: String,
    /// The stars of each reviewer.
    pub ratings: Vec<Stars>,
}

/// One reader's stars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stars {
    /// Who gave them.
    pub reviewer: String,
    /// From 1 to [`STARS_MAX`].
    pub stars: u8,
}

/// What `publisher`, a host outside the mesh, answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The number that was asked for.
    pub id: String,
    /// Copies left.
    pub copies: u32,
}

/// The most stars that a reader can give.
pub const STARS_MAX: u8 = 5;
/// The title of the only book there is.
pub const TITLE: &str = "The Long Tack Home";
/// What its back cover says.
pub const BLURB: &str = "A retired sailmaker buys back the boat he lost at cards and sails it, alone and mostly \
    backwards, along the coast where everybody still owes him something. A novel about wind, debts and the art of \
    arriving late.";

const FIRST_REVIEWER: &str = "Marit O.";
const SECOND_REVIEWER: &str = "Tomás V.";

/// The details of the book.
#[must_use]
pub fn details(id: &str) -> Details {
    Details {
        id: id.to_owned(),
        author: "Ilse Arrizabal".to_owned(),
        year: 1994,
        kind: "Novel, paperback".to_owned(),
        pages: 312,
        publisher: "Leeward House".to_owned(),
        language: "English".to_owned(),
        catalogue_number: "LH 0194".to_owned(),
    }
}

/// What readers wrote, without stars.
#[must_use]
pub fn reviews() -> Vec<Review> {
    let review =
        |reviewer: &str, text: &str| Review { reviewer: reviewer.to_owned(), text: text.to_owned(), rating: None };
    vec![
        review(
            FIRST_REVIEWER,
            "I meant to read one chapter before bed and was still reading when the harbour woke up. Nobody writes a \
             calm sea with so much trouble in it.",
        ),
        review(
            SECOND_REVIEWER,
            "The sailing is right in every knot, and the jokes are drier than the decks. The middle part drifts a \
             little, but so does the boat.",
        ),
    ]
}

/// What readers gave.
#[must_use]
pub fn ratings(id: &str) -> Ratings {
    let stars = |reviewer: &str, stars| Stars { reviewer: reviewer.to_owned(), stars };
    Ratings {
        id: id.to_owned(),
        ratings: vec![stars(FIRST_REVIEWER, STARS_MAX), stars(SECOND_REVIEWER, STARS_MAX - 1)],
    }
}

/// What the publisher has left.
#[must_use]
pub fn stock(id: &str) -> Stock {
    Stock { id: id.to_owned(), copies: 1_200 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reviewer_gave_stars() {
        let given = ratings("0").ratings;
        assert!(reviews().iter().all(|review| given.iter().any(|stars| stars.reviewer == review.reviewer)));
    }

    #[test]
    fn a_rating_is_either_stars_or_an_error() {
        let stars = Rating::Stars { stars: 4, colour: Colour::Red };
        assert_eq!(serde_json::to_string(&stars).unwrap(), r#"{"stars":4,"colour":"red"}"#);
        let unknown: Rating = serde_json::from_str(r#"{"error":"late"}"#).unwrap();
        assert_eq!(unknown, Rating::Unknown { error: "late".to_owned() });
    }
}
