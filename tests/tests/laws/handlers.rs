//! REST handlers parse, call `ops` and render: none of them has a way to the database of its own.

use std::{collections::BTreeSet, fs};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    File, Item, Macro, Member, UseTree,
    visit::{self, Visit},
};

use super::{
    circles::is_of_tests,
    tree::{files, root},
};

/// What a file may name of the store, though it is no way to the database.
const ALLOWED: [(&str, &str); 1] = [("control-plane/src/rest/error.rs", "StoreError")];

#[test]
fn handlers_leave_the_database_to_ops() {
    let mut checked = 0;
    let mut found = BTreeSet::new();
    for file in files() {
        let is_handler = file == "control-plane/src/rest.rs" || file.starts_with("control-plane/src/rest/");
        let is_test = file.contains("/tests/") || file.ends_with("/tests.rs");
        if !is_handler || is_test || !file.ends_with(".rs") {
            continue;
        }
        checked += 1;
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let mut ways = ways(&syn::parse_file(&text).unwrap());
        ways.retain(|way| !ALLOWED.contains(&(file.as_str(), way.as_str())));
        if !ways.is_empty() {
            found.insert(file);
        }
    }
    assert!(checked > 20, "too few handlers found");
    assert_eq!(found, BTreeSet::new(), "files that go to the database by themselves");
}

/// What the file names of the store, and `.store` where it takes the database itself.
fn ways(file: &File) -> BTreeSet<String> {
    let mut ways = Ways::default();
    ways.visit_file(file);
    ways.0
}

#[derive(Default)]
struct Ways(BTreeSet<String>);

impl Ways {
    /// `path`: the names of a path, its last one the thing.
    fn note(&mut self, path: &[String]) {
        if let ([first, second, ..], Some(last)) = (path, path.last())
            && first == "crate"
            && second == "store"
        {
            self.0.insert(last.clone());
        }
    }

    fn uses(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.uses(&with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => self.note(&with(name.ident.to_string())),
            UseTree::Rename(name) => self.note(&with(name.ident.to_string())),
            UseTree::Glob(_) => self.note(&with("*".to_owned())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.uses(before, tree)),
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(name) if name == "store" => self.note_database(),
                _ => {}
            }
        }
    }

    fn note_database(&mut self) {
        self.0.insert(".store".to_owned());
    }
}

impl<'ast> Visit<'ast> for Ways {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if attributes.iter().any(is_of_tests) {
            return;
        }
        match item {
            Item::Use(item) => self.uses(&[], &item.tree),
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&names);
        visit::visit_path(self, path);
    }

    fn visit_member(&mut self, member: &'ast Member) {
        if matches!(member, Member::Named(name) if name == "store") {
            self.note_database();
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

#[test]
fn a_way_to_the_database_is_found_however_it_is_written() {
    let found = |text: &str| ways(&syn::parse_file(text).unwrap()).into_iter().collect::<Vec<_>>();
    assert_eq!(found("async fn f(app: App) { app.store.begin().await }"), [".store"]);
    assert_eq!(found("fn f(app: App) { let Inner { store: database, .. } = app; }"), [".store"]);
    assert_eq!(found("fn f(app: App) { select! { tx = app.store.read() => {} } }"), [".store"]);
    assert_eq!(found("use crate::{app::App, store::{Tx, users as people}};"), ["Tx", "users"]);
    assert_eq!(found("use crate::store;"), ["store"]);
    assert_eq!(found("use crate::store::*;"), ["*"]);
    assert_eq!(found("fn f(tx: &mut crate::store::Tx) {}"), ["Tx"]);
    assert_eq!(found("fn f() { crate::store::users::get() }"), ["get"]);
    assert_eq!(found("/// [`crate::store`]\nuse crate::ops::Refusal;"), [""; 0]);
    assert_eq!(found("#[cfg(test)] mod tests { use crate::store::Tx; }"), [""; 0]);
}
