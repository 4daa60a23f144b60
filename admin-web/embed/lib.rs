//! The admin pages, built by Vite and embedded: the control plane serves them from memory.
//!
//! The SPA's sources are in `src/`; `build.rs` builds them and makes the table that is read here. A ready-made build is
//! taken instead where `SWITCHYARD_WEB_DIST` names its folder, so that a packager needs no Node beside Rust.

use std::fmt;

/// The page that every path of the SPA begins with.
pub const INDEX: &str = "index.html";

/// How the bytes of a file are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    /// The smallest first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Identity];

    /// As Content-Encoding names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }
}

/// A file's bytes, packed in one way.
#[derive(Clone, Copy)]
pub struct Representation {
    pub bytes: &'static [u8],
    /// Strong, with its quotes: of these bytes.
    pub etag: &'static str,
}

impl fmt::Debug for Representation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Representation").field("bytes", &self.bytes.len()).field("etag", &self.etag).finish()
    }
}

/// One file of the build.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Below the root, such as `assets/index-B2x1.js`.
    pub path: &'static str,
    pub content_type: &'static str,
    /// The name has a hash of what is in it.
    pub immutable: bool,
    identity: Representation,
    brotli: Option<Representation>,
    gzip: Option<Representation>,
}

impl File {
    /// The bytes as they are.
    #[must_use]
    pub fn identity(&self) -> Representation {
        self.identity
    }

    /// Absent: packing saves too little.
    #[must_use]
    pub fn representation(&self, encoding: Encoding) -> Option<Representation> {
        match encoding {
            Encoding::Brotli => self.brotli,
            Encoding::Gzip => self.gzip,
            Encoding::Identity => Some(self.identity),
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// All files, by path.
#[must_use]
pub fn files() -> &'static [File] {
    FILES
}

#[must_use]
pub fn file(path: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().and_then(|at| FILES.get(at))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_found_by_its_path_and_has_a_type_and_a_tag() {
        assert!(files().len() > 3, "too few: {:?}", files());
        for listed in files() {
            assert_eq!(file(listed.path).unwrap().path, listed.path);
            assert!(!listed.content_type.is_empty(), "{listed:?}");
        }
        assert_eq!(file(INDEX).unwrap().content_type, "text/html; charset=utf-8");
        for missing in ["", "/index.html", "assets", "../Cargo.toml", "index.html.br"] {
            assert!(file(missing).is_none(), "{missing}");
        }
    }

    #[test]
    fn each_representation_has_a_tag_of_its_own_and_packing_saves_something() {
        let mut tags = BTreeSet::new();
        let mut packed = 0;
        for file in files() {
            let identity = file.representation(Encoding::Identity).unwrap();
            for encoding in Encoding::ALL {
                let Some(representation) = file.representation(encoding) else { continue };
                let tag = representation.etag;
                assert!(tag.len() > 20 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
                tags.insert((file.path, tag));
                if encoding != Encoding::Identity {
                    packed += 1;
                    assert!(representation.bytes.len() < identity.bytes.len(), "{file:?}");
                }
            }
        }
        let all: usize = files()
            .iter()
            .map(|file| {
                Encoding::ALL.iter().filter(|encoding| file.representation(**encoding).is_some()).count()
            })
            .sum();
        assert_eq!(tags.len(), all);
        assert!(packed > 2);
    }

    #[test]
    fn what_is_immutable_has_a_hash_in_its_name() {
        let immutable: Vec<_> = files().iter().filter(|file| file.immutable).collect();
        assert!(!immutable.is_empty() && !file(INDEX).unwrap().immutable);
        for file in immutable {
            let (stem, _) = file.path.rsplit_once('.').unwrap();
            let hash = stem.get(stem.len().saturating_sub(9)..).unwrap();
            assert!(hash.starts_with('-') && hash[1..].bytes().all(is_of_hash), "{}", file.path);
        }
    }

    fn is_of_hash(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
    }

    #[test]
    fn the_page_has_no_script_and_no_style_of_its_own() {
        let page =
            std::str::from_utf8(file(INDEX).unwrap().representation(Encoding::Identity).unwrap().bytes);
        let page = page.unwrap().to_lowercase();
        assert!(!page.contains("<style") && !page.contains(" style="), "{page}");
        let scripts: Vec<_> = page.split("<script").skip(1).collect();
        assert!(!scripts.is_empty());
        for script in scripts {
            let (attributes, rest) = script.split_once('>').unwrap();
            assert!(attributes.contains(" src=\"/") && rest.starts_with("</script>"), "{script}");
        }
        let handlers = ["onload=", "onerror=", "onclick=", "javascript:"];
        assert!(handlers.iter().all(|handler| !page.contains(handler)), "{page}");
        let elsewhere = page.split('"').find(|text| text.starts_with("http") || text.starts_with("//"));
        assert_eq!(elsewhere, None, "the page reaches for it");
    }
}
