//! Imports go one way: no circle among the folders of a package, and none among the stages of a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use syn::{
    Attribute, File, Item, UseTree,
    visit::{self, Visit},
};

use super::tree::{files, root};

/// Who imports whom.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Circles that there are still. One that is gone goes out of this list; none comes in.
const LEFT: [(&str, &[&[&str]]); 1] = [(
    "data-plane/wire/src",
    &[&[
        "canonical",
        "chat",
        "codec",
        "converse",
        "convert",
        "error",
        "gemini",
        "messages",
        "raw",
        "responses",
    ]],
)];

#[test]
fn folders_make_no_circle() {
    for package in ["data-plane/src", "control-plane/src", "data-plane/wire/src", "shared/src"] {
        let left = LEFT.iter().find(|(name, _)| *name == package).map_or(&[][..], |(_, left)| left);
        let left: BTreeSet<BTreeSet<String>> =
            left.iter().map(|circle| circle.iter().map(|name| (*name).to_owned()).collect()).collect();
        let imports = imports(package, "crate");
        assert!(imports.len() > 5, "too few modules found in {package}");
        assert_eq!(circles(&imports), left, "circles in {package}");
    }
}

#[test]
fn the_stages_of_a_request_make_no_circle() {
    let imports = imports("data-plane/src/pipeline", "super");
    assert!(imports.len() > 20 && imports["forward"].contains("selection"), "{imports:?}");
    assert_eq!(circles(&imports), BTreeSet::new());
}

/// Of the modules in a folder: each is a file, or a folder of that name with all that is in it. `from`: what a path to
/// another one of them begins with.
fn imports(folder: &str, from: &str) -> Imports {
    let mut imports = Imports::new();
    for file in files() {
        let Some(inside) = file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let name = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        let is_test = inside.contains("tests/") || inside.ends_with("tests.rs");
        if !inside.ends_with(".rs") || is_test || ["lib", "main"].contains(&name) {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).unwrap();
        imports.entry(name.to_owned()).or_default().extend(named(&syn::parse_file(&text).unwrap(), from));
    }
    let names: BTreeSet<String> = imports.keys().cloned().collect();
    for (name, theirs) in &mut imports {
        theirs.retain(|other| other != name && names.contains(other));
    }
    imports
}

/// What stands behind `from` in the file's paths.
fn named(file: &File, from: &str) -> BTreeSet<String> {
    let mut paths = Paths { from: from.to_owned(), found: BTreeSet::new() };
    paths.visit_file(file);
    paths.found
}

struct Paths {
    from: String,
    found: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !attributes.iter().any(is_of_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        if let UseTree::Path(path) = tree
            && path.ident == self.from
        {
            self.found.extend(first_of(&path.tree));
            return;
        }
        visit::visit_use_tree(self, tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == self.from)
            && let Some(second) = segments.next()
        {
            self.found.insert(second.ident.to_string());
        }
        visit::visit_path(self, path);
    }
}

pub(super) fn is_of_tests(attribute: &Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else { return false };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

/// The first names of a tree.
fn first_of(tree: &UseTree) -> Vec<String> {
    match tree {
        UseTree::Path(path) => vec![path.ident.to_string()],
        UseTree::Name(name) => vec![name.ident.to_string()],
        UseTree::Rename(name) => vec![name.ident.to_string()],
        UseTree::Glob(_) => Vec::new(),
        UseTree::Group(group) => group.items.iter().flat_map(first_of).collect(),
    }
}

/// Sets of modules each of which reaches all the others.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|name| (name, reached_from(imports, name))).collect();
    let circle_of = |name: &String| -> BTreeSet<String> {
        let back = |other: &&&String| reached.get(**other).is_some_and(|theirs| theirs.contains(name));
        reached[name].iter().filter(back).map(|other| (*other).clone()).collect()
    };
    imports.keys().map(circle_of).filter(|circle| !circle.is_empty()).collect()
}

fn reached_from<'a>(imports: &'a Imports, name: &str) -> BTreeSet<&'a String> {
    let (mut reached, mut next) = (BTreeSet::new(), imports[name].iter().collect::<Vec<_>>());
    while let Some(name) = next.pop() {
        if reached.insert(name) {
            next.extend(imports.get(name).into_iter().flatten());
        }
    }
    reached
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let one_way =
        |text: &str| named(&syn::parse_file(text).unwrap(), "crate").into_iter().collect::<Vec<_>>();
    assert_eq!(one_way("use crate::{a::X, b, c as d};"), ["a", "b", "c"]);
    assert_eq!(one_way("fn f(x: crate::a::X) { crate::b::g(x) }"), ["a", "b"]);
    assert_eq!(one_way("#[cfg(test)] mod tests { use crate::a; } /// [`crate::b`]\nfn f() {}"), [""; 0]);
    let to = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut imports: Imports = [("a", to(&["b"])), ("b", to(&["c"])), ("c", to(&["d"])), ("d", to(&[]))]
        .map(|(name, theirs)| (name.to_owned(), theirs))
        .into();
    assert_eq!(circles(&imports), BTreeSet::new());
    imports.insert("d".to_owned(), to(&["b"]));
    assert_eq!(circles(&imports), [to(&["b", "c", "d"])].into());
}
