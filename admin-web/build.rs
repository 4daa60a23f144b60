//! Builds the SPA with Vite, and makes the table of its files that `embed/lib.rs` includes.
//!
//! Needs Node and npm, and the network where `package-lock.json` changed since the last build. Packages are installed
//! into `node_modules`, which other builds of this checkout use too: whoever uses it holds the lock of
//! `package-lock.json`. Where `SWITCHYARD_WEB_DIST` names a folder (from the workspace's root), the ready-made build in
//! it is taken, and neither Node nor npm is asked.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use sha2::{Digest as _, Sha256};

const READY_MADE: &str = "SWITCHYARD_WEB_DIST";
/// What the build depends on; `node_modules` follows `package-lock.json`.
const SOURCES: [&str; 9] = [
    "build.rs",
    "index.html",
    "package-lock.json",
    "package.json",
    "plugins",
    "public",
    "src",
    "tsconfig.json",
    "vite.config.ts",
];
/// Major and minor, as `package.json` asks for.
const NODE: (u32, u32) = (20, 19);
/// In `node_modules`: from which `package-lock.json` it was installed.
const STAMP: &str = ".installed-from";
/// Lines of a failed program's output that are shown.
const SHOWN_LINES: usize = 40;

const CONTENT_TYPES: [(&str, &str); 10] = [
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];

/// Why there are no admin pages.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error(
        "{program} can't be run ({source}). The admin pages are built with Node {}.{} or newer and npm: install them \
         (https://nodejs.org, or your system's packages `nodejs` and `npm`), or name a ready-made build with {READY_MADE}",
        NODE.0, NODE.1
    )]
    NoTool { program: &'static str, source: io::Error },
    #[error(
        "Node {found} is too old: the admin pages are built with {}.{} or newer (https://nodejs.org). Or name a \
         ready-made build with {READY_MADE}",
        NODE.0, NODE.1
    )]
    OldNode { found: String },
    #[error("`{command}` failed:\n{output}")]
    Failed { command: String, output: String },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0} holds no index.html, so it is no build of the admin pages")]
    NoIndex(PathBuf),
    #[error("{0}: say in admin-web/build.rs of which content type it is")]
    UnknownType(String),
    #[error("cargo did not set {0}")]
    NotSet(&'static str),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                tell(&format!("error={line}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn tell(instruction: &str) {
    // Nobody is left to be told that cargo does not listen.
    _ = writeln!(io::stdout(), "cargo::{instruction}");
}

fn run() -> Result<(), BuildError> {
    let package = variable("CARGO_MANIFEST_DIR")?;
    let out = variable("OUT_DIR")?;
    tell(&format!("rerun-if-env-changed={READY_MADE}"));
    let dist = match env::var_os(READY_MADE).filter(|folder| !folder.is_empty()) {
        Some(folder) => {
            let dist = package.parent().unwrap_or(&package).join(folder);
            tell(&format!("rerun-if-changed={}", dist.display()));
            dist
        }
        None => {
            for source in SOURCES {
                tell(&format!("rerun-if-changed={source}"));
            }
            let dist = out.join("dist");
            build(&package, &dist)?;
            dist
        }
    };
    if !dist.join("index.html").is_file() {
        return Err(BuildError::NoIndex(dist));
    }
    write(&out.join("files.rs"), table(&dist)?.as_bytes())
}

fn variable(name: &'static str) -> Result<PathBuf, BuildError> {
    env::var_os(name).map(PathBuf::from).ok_or(BuildError::NotSet(name))
}

fn build(package: &Path, dist: &Path) -> Result<(), BuildError> {
    check_tools(package)?;
    let lock = package.join("package-lock.json");
    let file = File::open(&lock).map_err(|source| BuildError::File { path: lock.clone(), source })?;
    // Ends with the file, however this ends.
    file.lock().map_err(|source| BuildError::File { path: lock.clone(), source })?;
    install(package, &lock)?;
    let mut vite = Command::new("npm");
    vite.args(["run", "build", "--", "--emptyOutDir", "--outDir"]).arg(dist);
    said_by("npm", vite.env("NODE_ENV", "production").current_dir(package)).map(drop)
}

fn check_tools(package: &Path) -> Result<(), BuildError> {
    let node = said_by("node", Command::new("node").arg("--version").current_dir(package))?;
    let mut numbers =
        node.trim().trim_start_matches('v').split('.').map(|number| number.parse().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < NODE {
        return Err(BuildError::OldNode { found: node.trim().to_owned() });
    }
    said_by("npm", Command::new("npm").arg("--version").current_dir(package)).map(drop)
}

/// Brings `node_modules` up to `package-lock.json`; does nothing where it is.
fn install(package: &Path, lock: &Path) -> Result<(), BuildError> {
    let wanted = hash(&read(lock)?);
    let stamp = package.join("node_modules").join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--include=dev", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]);
    said_by("npm", npm.current_dir(package))?;
    write(&stamp, wanted.as_bytes())
}

/// Runs to the end; gives what was written to standard output.
fn said_by(program: &'static str, command: &mut Command) -> Result<String, BuildError> {
    let output = command.output().map_err(|source| BuildError::NoTool { program, source })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let all = said + &String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = all.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    Err(BuildError::Failed { command: format!("{program} {}", arguments.join(" ")), output: shown })
}

/// The table as Rust: `static FILES`, by path.
fn table(dist: &Path) -> Result<String, BuildError> {
    let mut paths = BTreeSet::new();
    collect(dist, "", &mut paths)?;
    let mut table = String::from("static FILES: &[File] = &[\n");
    for path in paths.iter().filter(|path| !is_packed(path, &paths)) {
        let packed = |suffix: &str| {
            let packed = format!("{path}.{suffix}");
            let of = paths.contains(&packed).then(|| representation(dist, &packed)).transpose()?;
            Ok::<_, BuildError>(of.map_or_else(|| "None".to_owned(), |of| format!("Some({of})")))
        };
        // Writing to a String does not fail.
        _ = writeln!(
            table,
            "    File {{ path: {path:?}, content_type: {:?}, immutable: {}, identity: {}, brotli: {}, gzip: {} }},",
            content_type(path)?,
            // Vite names what is in there by its content.
            path.starts_with("assets/"),
            representation(dist, path)?,
            packed("br")?,
            packed("gz")?,
        );
    }
    table.push_str("];\n");
    Ok(table)
}

fn collect(folder: &Path, below: &str, paths: &mut BTreeSet<String>) -> Result<(), BuildError> {
    let unreadable = |source| BuildError::File { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), paths)?;
        } else {
            paths.insert(path);
        }
    }
    Ok(())
}

/// It stands beside the file that it is a packed form of.
fn is_packed(path: &str, paths: &BTreeSet<String>) -> bool {
    [".br", ".gz"].iter().any(|suffix| path.strip_suffix(suffix).is_some_and(|plain| paths.contains(plain)))
}

fn content_type(path: &str) -> Result<&'static str, BuildError> {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = CONTENT_TYPES.iter().find(|(known, _)| *known == extension);
    known.map(|(_, content_type)| *content_type).ok_or_else(|| BuildError::UnknownType(path.to_owned()))
}

fn representation(dist: &Path, path: &str) -> Result<String, BuildError> {
    let file = dist.join(path);
    let etag = format!("\"{}\"", hash(&read(&file)?));
    Ok(format!(
        "Representation {{ bytes: include_bytes!({:?}), etag: {etag:?} }}",
        file.display().to_string()
    ))
}

/// 128 bits in hex.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).fold(String::new(), |mut hex, byte| {
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|source| BuildError::File { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(|source| BuildError::File { path: path.to_owned(), source })
}
