//! Where in its file a field stands, for problems that were found without the text at hand.

use std::{collections::BTreeMap, fs, sync::Arc};

use mesh::model::{Location, Problem};

use super::{
    path::FieldPath,
    yaml::{self, Node},
};

/// Moves the location of each problem from the beginning of its object to its field, as far as the files still say so.
pub fn refine(problems: &mut [Problem]) {
    let mut files: BTreeMap<Arc<str>, Vec<&mut Problem>> = BTreeMap::new();
    for problem in problems {
        if let Some(location) = &problem.location
            && !problem.field.is_empty()
        {
            files.entry(Arc::clone(&location.file)).or_default().push(problem);
        }
    }
    for (file, problems) in files {
        let Ok(text) = fs::read_to_string(&*file) else { continue };
        let documents = yaml::parse(&text);
        let mut objects = BTreeMap::new();
        for root in documents.iter().filter_map(|document| document.root.as_ref()) {
            let items = root.field("items").map(Node::items).unwrap_or_default();
            for object in std::iter::once(root).chain(items) {
                objects.insert((object.position.line, object.position.column), object);
            }
        }
        for problem in problems {
            let Some(location) = &mut problem.location else { continue };
            let Some(object) = objects.get(&(location.line, location.column)) else { continue };
            let position = FieldPath::parse(&problem.field).locate(object);
            *location = Location { line: position.line, column: position.column, file: Arc::clone(&location.file) };
        }
    }
}
