//! What the objects of a mesh say of each other that cannot be right: names that resolve to nothing, rules that are
//! never reached, behaviour that surprises.
//!
//! What is wrong with an object by itself was said when it was read. Here no object is refused: all are in force as
//! they are.

mod authentications;
mod destinations;
mod limits;
mod names;
mod reach;
mod rules;
mod services;
mod sidecars;
mod virtual_services;

use crate::{
    model::{Config, Object, ObjectId, Problem, code::Code},
    store::Mesh,
};

/// Most problems that are said of one mesh.
pub const PROBLEMS_MAX: usize = 10_000;

/// For so many hosts that name nothing it is guessed what was meant: each guess looks at every service.
const GUESSES_MAX: usize = 100;

/// All that is wrong between the objects of `mesh`, object by object.
#[must_use]
pub fn check(mesh: &Mesh) -> Vec<Problem> {
    let mut checker = Checker::new(mesh);
    checker.virtual_services();
    checker.destination_rules();
    checker.sidecars();
    checker.peer_authentications();
    checker.services();
    checker.service_entries();
    checker.limits();
    checker.finish()
}

/// What would be wrong between `object` and the others of `mesh`, were it one of them in the place of what is there by
/// its name. Kinds that only others refer to have nothing said of them here.
#[must_use]
pub fn check_object(mesh: &Mesh, object: &Config) -> Vec<Problem> {
    let mut checker = Checker::new(mesh);
    match object {
        Config::VirtualService(object) => checker.candidate_virtual_service(object),
        Config::DestinationRule(object) => checker.candidate_rule(object),
        Config::Sidecar(object) => checker.sidecar(object),
        Config::PeerAuthentication(object) => checker.peer_authentication(object),
        Config::MeshConfig(_)
        | Config::Namespace(_)
        | Config::Node(_)
        | Config::ServiceAccount(_)
        | Config::Pod(_)
        | Config::Service(_)
        | Config::ServiceEntry(_)
        | Config::WorkloadEntry(_) => {}
    }
    let title = object.id().to_string();
    checker.problems.retain(|problem| problem.object == title);
    checker.finish()
}

struct Checker<'m> {
    mesh: &'m Mesh,
    problems: Vec<Problem>,
    guesses_left: usize,
}

impl<'m> Checker<'m> {
    fn new(mesh: &'m Mesh) -> Self {
        Self { mesh, problems: Vec::new(), guesses_left: GUESSES_MAX }
    }

    fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.sort();
        problems.dedup();
        problems.sort_by(|a, b| (&a.location, &a.object, a.severity).cmp(&(&b.location, &b.object, b.severity)));
        problems
    }

    fn say<T>(&mut self, code: Code, object: &Object<T>, field: &str, reason: String, remedy: String) {
        self.say_of(code, &object.id, field, reason, remedy);
    }

    fn say_of(&mut self, code: Code, object: &ObjectId, field: &str, reason: String, remedy: String) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let problem = Problem {
            severity: code.severity,
            code: code.id,
            object: object.to_string(),
            field: field.to_owned(),
            location: self.mesh.object_location(object).cloned(),
            reason,
            remedy,
        };
        self.problems.push(problem.in_one_line());
    }
}
