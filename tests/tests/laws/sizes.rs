//! How long files and functions may be: what a reader can hold.

use std::fs;

use syn::{
    Attribute, Block, ImplItemFn, ItemFn, ItemMod, TraitItemFn,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::tree::{files, root};

const FILE_P95: usize = 400;
const FILE_MAX: usize = 600;
const FUNCTION_P95: usize = 40;
const FUNCTION_MAX: usize = 80;

/// Rust sources that are no tests.
fn production() -> Vec<(String, String)> {
    files()
        .into_iter()
        .filter(|file| file.ends_with(".rs"))
        .filter(|file| {
            !file.contains("/tests/")
                || file.starts_with("tests/emulator/src")
                || file.starts_with("tests/bench/src")
        })
        .map(|file| {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            (file, text)
        })
        .collect()
}

/// Fails with the offenders unless `sizes` keep both laws.
fn hold(what: &str, mut sizes: Vec<(usize, String)>, p95: usize, max: usize) {
    sizes.sort();
    assert!(sizes.len() > 20, "too few {what} found: is the test looking at the right place?");
    let over: Vec<_> = sizes.iter().filter(|(size, _)| *size > max).collect();
    assert!(over.is_empty(), "{what} of more than {max} lines: {over:#?}");
    let at_p95 = &sizes[sizes.len() * 95 / 100];
    let longest: Vec<_> = sizes.iter().rev().take(sizes.len() / 20 + 1).collect();
    assert!(
        at_p95.0 <= p95,
        "the 95th percentile of {what} is {} lines, more than {p95}: {longest:#?}",
        at_p95.0
    );
}

#[test]
fn files_are_short() {
    let sizes = production().into_iter().map(|(file, text)| (production_lines(&text), file)).collect();
    hold("files", sizes, FILE_P95, FILE_MAX);
}

/// Lines before the file's own tests, blank ones and all.
fn production_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim_start().starts_with("#[cfg(test)]")
            && pair[1].trim_start().starts_with("mod ")
            && pair[1].ends_with('{')
    });
    tests.unwrap_or(lines.len())
}

#[test]
fn functions_are_short() {
    let mut sizes = Vec::new();
    for (file, text) in production() {
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        Functions { file: &file, sizes: &mut sizes }.visit_file(&parsed);
    }
    hold("functions", sizes, FUNCTION_P95, FUNCTION_MAX);
}

struct Functions<'a> {
    file: &'a str,
    sizes: &'a mut Vec<(usize, String)>,
}

impl Functions<'_> {
    fn add(&mut self, name: &syn::Ident, signature: proc_macro2::Span, block: &Block) {
        let (first, last) = (signature.start().line, block.span().end().line);
        self.sizes.push((last - first + 1, format!("{}:{first} {name}", self.file)));
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig.ident, function.sig.span(), &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.sig.ident, function.sig.span(), &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig.ident, function.sig.span(), block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}
