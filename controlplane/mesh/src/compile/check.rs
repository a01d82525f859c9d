//! What the objects of a mesh say of each other that cannot be right: names that resolve to nothing, rules that are
//! never reached, behaviour that surprises.
//!
//! What is wrong with an object by itself was said when it was read. Here no object is refused: all are in force as
//! they are.

mod destinations;
mod names;
mod reach;
mod rules;
mod services;
mod sidecars;
mod virtual_services;

use crate::{
    model::{Object, Problem, code::Code},
    store::Mesh,
};

/// Most problems that are said of one mesh.
pub const PROBLEMS_MAX: usize = 10_000;

/// For so many hosts that name nothing it is guessed what was meant: each guess looks at every service.
const GUESSES_MAX: usize = 100;

/// All that is wrong between the objects of `mesh`, object by object.
#[must_use]
pub fn check(mesh: &Mesh) -> Vec<Problem> {
    let mut checker = Checker { mesh, problems: Vec::new(), guesses_left: GUESSES_MAX };
    checker.virtual_services();
    checker.destination_rules();
    checker.sidecars();
    checker.services();
    checker.service_entries();
    let mut problems = checker.problems;
    problems.sort();
    problems.dedup();
    problems.sort_by(|a, b| (&a.location, &a.object, a.severity).cmp(&(&b.location, &b.object, b.severity)));
    problems
}

struct Checker<'m> {
    mesh: &'m Mesh,
    problems: Vec<Problem>,
    guesses_left: usize,
}

impl Checker<'_> {
    fn say<T>(&mut self, code: Code, object: &Object<T>, field: &str, reason: String, remedy: String) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let problem = Problem {
            severity: code.severity,
            code: code.id,
            object: object.id.to_string(),
            field: field.to_owned(),
            location: self.mesh.object_location(&object.id).cloned(),
            reason,
            remedy,
        };
        self.problems.push(problem.in_one_line());
    }
}
