//! Pages of the project that tests make.

use std::{env, fs, path::Path};

/// Holds a page, whose path is within the project, to what it should be; with `UPDATE_MATRIX` set, writes it.
///
/// # Panics
/// The page is another.
pub fn check_page(path: &str, page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
    if env::var_os("UPDATE_MATRIX").is_some() {
        fs::write(file, page).unwrap();
        return;
    }
    let kept = fs::read_to_string(file).unwrap_or_default();
    assert!(kept == page, "{path} is not what is stated; run this test with UPDATE_MATRIX=1");
}
