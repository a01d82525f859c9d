//! From a document to objects of the model: who an object is, whether it has the shape of its kind, what it means.

mod content;
mod identity;
mod mesh_options;

use std::sync::Arc;

use mesh::model::{Change, Config, Location, Object, ObjectId, Problem, code, endpoint::EndpointSlice};

use self::identity::Identity;
pub use self::identity::MESH_CONFIG;
use super::{
    Settings,
    finding::{Finding, Findings},
    kind::{self, Treatment},
    path::Path,
    yaml::{self, Node, Position, Value},
};

/// All that a text declares.
#[derive(Debug, Default)]
pub struct Reading {
    /// Its objects, in the order written.
    pub items: Vec<Item>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Something could not be read far enough to know which object it is; whatever is missing may be there.
    pub unreadable: bool,
}

/// An object that a text declares.
#[derive(Debug)]
pub struct Item {
    /// Which object.
    pub id: ObjectId,
    /// Where it begins, for objects from files.
    pub location: Option<Location>,
    /// What it says; `None` when there are errors in it.
    pub content: Option<Declared>,
}

/// The content of an object.
#[derive(Debug, Clone)]
pub enum Declared {
    /// An object of any kind but endpoints.
    Config(Box<Config>),
    /// An EndpointSlice.
    Endpoints(Box<Object<EndpointSlice>>),
}

impl Declared {
    /// The change that puts the object into the mesh.
    #[must_use]
    pub fn into_change(self) -> Change {
        match self {
            Self::Config(config) => Change::Set(config),
            Self::Endpoints(slice) => Change::SetEndpoints(slice),
        }
    }
}

/// Reads every object of `text`; `file` is how problems name it.
#[must_use]
pub fn read(text: &str, file: &Arc<str>, settings: &Settings) -> Reading {
    let mut reader = Reader { file: Some(file), settings, reading: Reading::default() };
    if let Some(error) = yaml::nul(text) {
        // What a crash or a copy that was cut short leaves behind: nothing of it can be believed.
        reader.broken(None, error);
        return reader.reading;
    }
    let documents = yaml::parse(text);
    // A text that ends in an error may be cut short, and more objects may be missing than the one that is broken.
    reader.reading.unreadable = documents.last().is_some_and(|last| last.error.is_some() || ends_early(last));
    for document in documents {
        let yaml::Document { root, error } = document;
        let error = error.map(|error| {
            let of_json = (is_json(file) && !error.limit).then(|| yaml::json_error(text)).flatten();
            of_json.unwrap_or(error)
        });
        match (root, error) {
            (Some(root), None) => reader.document(&root),
            (None, None) => {}
            (root, Some(error)) => reader.broken(root.as_ref(), error),
        }
    }
    reader.reading
}

/// Whether a document may be cut short though it is YAML: it ends with what an object begins with, its kind or its name,
/// which may be only the beginning of another.
fn ends_early(document: &yaml::Document) -> bool {
    let Some(root) = &document.root else { return false };
    let object = root.field("items").and_then(|items| items.items().last()).unwrap_or(root);
    let ends_so = object.entries().last().is_some_and(|last| match last.key.as_str() {
        "apiVersion" | "kind" | "metadata" => true,
        "items" => last.value.is_null(),
        _ => false,
    });
    ends_so
        && Identity::read(object).is_ok_and(|identity| match kind::treatment(&identity.api_version, &identity.kind) {
            Treatment::Unknown | Treatment::List => true,
            Treatment::Compiled(kind) => !kind::may_be_bare(kind),
            Treatment::ConfigMap | Treatment::Accepted(..) | Treatment::Checked(..) => false,
        })
}

/// Whether a file is JSON by its name. JSON is read as YAML, which it is; only what is wrong with it has other words.
fn is_json(file: &str) -> bool {
    std::path::Path::new(file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Reads one object that is no file's.
#[must_use]
pub fn read_object(root: &Node, settings: &Settings) -> Reading {
    let mut reader = Reader { file: None, settings, reading: Reading::default() };
    reader.document(root);
    reader.reading
}

struct Reader<'a> {
    file: Option<&'a Arc<str>>,
    settings: &'a Settings,
    reading: Reading,
}

impl Reader<'_> {
    /// A document with a syntax error: its object keeps its last good form, if what stands before the error says which
    /// object it is.
    fn broken(&mut self, root: Option<&Node>, error: yaml::SyntaxError) {
        let identity = root.and_then(|root| Identity::read(root).ok());
        let id = identity.as_ref().and_then(|identity| identity.object_id(self.settings));
        let code = if error.limit { code::LIMIT } else { code::SYNTAX };
        let problem = Problem {
            severity: code.severity,
            code: code.id,
            object: identity.map(|identity| identity.title(self.settings)).unwrap_or_default(),
            field: String::new(),
            location: self.locate(error.position),
            reason: error.reason,
            remedy: error.remedy.to_owned(),
        };
        self.reading.problems.push(problem.in_one_line());
        match (id, root) {
            (Some(id), Some(root)) => {
                let location = self.locate(root.position);
                self.reading.items.push(Item { id, location, content: None });
            }
            (None, _) | (_, None) => self.reading.unreadable = true,
        }
    }

    fn document(&mut self, root: &Node) {
        let identity = match Identity::read(root) {
            Ok(identity) => identity,
            Err(finding) => {
                self.problem(finding, "", root);
                self.reading.unreadable = true;
                return;
            }
        };
        match kind::treatment(&identity.api_version, &identity.kind) {
            Treatment::List => self.list(root),
            Treatment::Compiled(_) => self.object(root, &identity),
            Treatment::ConfigMap if identity.is_mesh_config(self.settings) => self.object(root, &identity),
            Treatment::ConfigMap if identity.is_misplaced_mesh_config(self.settings) => {
                let finding = Finding {
                    code: code::WRONG_NAMESPACE,
                    path: Path::root().field("metadata").to_owned().with("namespace"),
                    position: None,
                    reason: "is not read: the configuration of the mesh stands in another namespace".into(),
                    remedy: format!("did you mean namespace {}?", self.settings.system_namespace),
                };
                self.problem(finding, &identity.title(self.settings), root);
            }
            Treatment::ConfigMap => self.say(root, &identity, code::PLAIN_KIND, "has no part in the mesh"),
            Treatment::Accepted(code, reason) => self.say(root, &identity, code, reason),
            Treatment::Checked(kind, code, reason) => {
                let mut findings = Findings::default();
                content::check(kind.schema(), root, &mut findings);
                let title = identity.title(self.settings);
                for finding in findings.into_list() {
                    self.problem(finding, &title, root);
                }
                self.say(root, &identity, code, reason);
            }
            Treatment::Unknown => {
                let finding = Finding {
                    code: code::UNKNOWN_KIND,
                    path: Path::root().field("kind").to_owned(),
                    position: None,
                    reason: format!("the kind {} of {} is not known", identity.kind, identity.api_version),
                    remedy: kind::meant(&identity.api_version, &identity.kind).unwrap_or_default(),
                };
                self.problem(finding, &identity.title(self.settings), root);
            }
        }
    }

    /// What is to be said of an object that is not compiled.
    fn say(&mut self, root: &Node, identity: &Identity, code: code::Code, reason: &str) {
        let finding = Finding {
            code,
            path: Path::root().to_owned(),
            position: None,
            reason: reason.to_owned(),
            remedy: String::new(),
        };
        self.problem(finding, &identity.title(self.settings), root);
    }

    fn problem(&mut self, finding: Finding, title: &str, root: &Node) {
        self.reading.problems.push(finding.into_problem(title, self.file.map(|file| (file, root))));
    }

    /// The items of a list are objects like others.
    fn list(&mut self, root: &Node) {
        match root.field("items").map(|items| &items.value) {
            None | Some(Value::Null) => {}
            Some(Value::List(items)) => {
                for item in items {
                    // Lists within lists are left alone: Kubernetes has none.
                    let nested = Identity::read(item)
                        .is_ok_and(|inner| matches!(kind::treatment(&inner.api_version, &inner.kind), Treatment::List));
                    if !nested {
                        self.document(item);
                    }
                }
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_)) => {
                let finding = Finding {
                    code: code::WRONG_TYPE,
                    path: Path::root().field("items").to_owned(),
                    position: None,
                    reason: "expected a list".into(),
                    remedy: String::new(),
                };
                self.problem(finding, "", root);
                self.reading.unreadable = true;
            }
        }
    }

    fn object(&mut self, root: &Node, identity: &Identity) {
        let mut findings = Findings::default();
        let location = self.locate(root.position);
        let id = identity.object_id(self.settings);
        if id.is_none() {
            identity.explain(&mut findings);
        }
        let content =
            id.as_ref().and_then(|id| content::read(root, id, location.as_ref(), self.settings, &mut findings));
        let failed = findings.has_errors();
        let title = identity.title(self.settings);
        for finding in findings.into_list() {
            self.problem(finding, &title, root);
        }
        match id {
            None => self.reading.unreadable = true,
            Some(id) if failed => self.reading.items.push(Item { id, location, content: None }),
            // Some objects, such as slices of no Service, declare nothing.
            Some(id) => {
                if let Some(content) = content {
                    self.reading.items.push(Item { id, location, content: Some(content) });
                }
            }
        }
    }

    fn locate(&self, position: Position) -> Option<Location> {
        self.file.map(|file| Location { file: Arc::clone(file), line: position.line, column: position.column })
    }
}

#[cfg(test)]
mod tests;
