//! Settings of a program: each is a flag, an environment variable `SWITCHYARD_…` and a TOML key, declared once with clap.
//!
//! A flag beats the environment, the environment beats the file, the file beats the default. The file is named by
//! `--config` or `SWITCHYARD_CONFIG`; its keys are the flags' names with underscores. A subcommand's flags are
//! keys too. An unknown key is an error, so that a misspelt limit is not silently without effect.

use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

use crate::secret::Secret;

/// The name of the flag that names the file.
pub const CONFIG_FLAG: &str = "config";
const CONFIG_VARIABLE: &str = "SWITCHYARD_CONFIG";

/// Why the settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Usage, help or version, as clap words it.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Without the line itself: it may hold a secret.
    #[error("line {line} of the settings file {} is not TOML: {problem}", path.display())]
    Parse { path: PathBuf, line: usize, problem: String },
    #[error("the settings file {} has the key `{key}`, which is no setting of this program", path.display())]
    UnknownKey { path: PathBuf, key: String },
    #[error("the settings file {} gives `{key}` a value that is no text, number, true or false, or list of these", path.display())]
    Value { path: PathBuf, key: String },
}

/// Reads the settings of this process.
///
/// # Errors
/// See [`SettingsError`]; `Usage` also stands for `--help` and `--version` (print it with `clap::Error::exit`).
pub fn load<T: CommandFactory + FromArgMatches>() -> Result<T, SettingsError> {
    load_from(std::env::args_os().collect(), std::env::var_os(CONFIG_VARIABLE))
}

/// [`load`] with the arguments and the value of `SWITCHYARD_CONFIG` passed in.
///
/// # Errors
/// See [`SettingsError`].
pub fn load_from<T: CommandFactory + FromArgMatches>(
    args: Vec<OsString>,
    config: Option<OsString>,
) -> Result<T, SettingsError> {
    let mut command = with_config_flag(T::command());
    if let Some(path) = config_path(&args).or_else(|| config.map(PathBuf::from)) {
        command = with_file_defaults(command, &path)?;
    }
    let matches = command.try_get_matches_from(args)?;
    Ok(T::from_arg_matches(&matches)?)
}

/// The command as [`load`] reads it, for documents and tests.
#[must_use]
pub fn with_config_flag(command: Command) -> Command {
    command.arg(
        Arg::new(CONFIG_FLAG)
            .long(CONFIG_FLAG)
            .env(CONFIG_VARIABLE)
            .value_name("FILE")
            .global(true)
            .action(ArgAction::Set)
            .help("TOML file with settings; its keys are the flags' names with underscores"),
    )
}

/// `--config` must be known before clap can be given the file's values as defaults.
fn config_path(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|arg| arg.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

fn with_file_defaults(command: Command, path: &PathBuf) -> Result<Command, SettingsError> {
    let text =
        fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.clone(), source })?;
    let table: BTreeMap<String, toml::Value> = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        SettingsError::Parse { path: path.clone(), line, problem: error.message().to_owned() }
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let texts =
            texts(&value).ok_or_else(|| SettingsError::Value { path: path.clone(), key: key.clone() })?;
        if key == CONFIG_FLAG || !has_flag(&command, &key.replace('_', "-")) {
            return Err(SettingsError::UnknownKey { path: path.clone(), key });
        }
        values.insert(key.replace('_', "-"), texts);
    }
    Ok(apply(command, &values))
}

fn texts(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Float(number) => Some(vec![number.to_string()]),
        toml::Value::Boolean(flag) => Some(vec![flag.to_string()]),
        toml::Value::Array(items) => items
            .iter()
            .map(texts)
            .collect::<Option<Vec<_>>>()
            .map(|items| items.into_iter().flatten().collect()),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn has_flag(command: &Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(flag))
        || command.get_subcommands().any(|subcommand| has_flag(subcommand, flag))
}

fn apply(mut command: Command, values: &BTreeMap<String, Vec<String>>) -> Command {
    let set: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_id().clone(), values.get(arg.get_long()?)?.clone())))
        .collect();
    for (id, texts) in set {
        command = command.mut_arg(id, |arg| arg.default_values(texts).required(false));
    }
    let names: Vec<_> =
        command.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |subcommand| apply(subcommand, values));
    }
    command
}

/// The longest duration that a setting may have: far above any use, far below where arithmetic with it overflows.
pub const MAX_DURATION: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// A clap value parser: reads `90s`, `30m`, `1h 30m`, `200ms`, from a millisecond up to [`MAX_DURATION`].
///
/// # Errors
/// What is expected instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration =
        text.parse().map_err(|_| "not a duration such as 30s, 15m or 200ms".to_owned())?;
    let duration = Duration::try_from(signed).map_err(|_| "a duration can't be negative".to_owned())?;
    if duration < Duration::from_millis(1) {
        Err("at least 1ms is needed".into())
    } else if duration > MAX_DURATION {
        Err("more than ten years".into())
    } else {
        Ok(duration)
    }
}

/// A clap value parser: any text, never shown.
///
/// # Errors
/// None.
pub fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser, PartialEq)]
    struct Settings {
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(Debug, clap::Subcommand, PartialEq)]
    enum Verb {
        Serve {
            #[arg(long, default_value = "127.0.0.1:8080")]
            listen: String,
            #[arg(long)]
            database_url: String,
            #[arg(long, default_value_t = false, action = ArgAction::Set)]
            migrate: bool,
        },
    }

    fn load_with(file: &str, args: &[&str]) -> Result<Settings, SettingsError> {
        let path = std::env::temp_dir()
            .join(format!("switchyard-settings-{}", crate::id::KeyId::new(crate::clock::Millis(0))));
        fs::File::create(&path).unwrap().write_all(file.as_bytes()).unwrap();
        let args = ["program", "serve"].iter().chain(args).map(OsString::from).collect();
        let loaded = load_from(args, Some(path.clone().into()));
        fs::remove_file(path).unwrap();
        loaded
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let Verb::Serve { listen, database_url, migrate } = load_with(
            "database_url = \"from-file\"\nmigrate = true\nlisten = \"from-file\"",
            &["--listen", "from-flag"],
        )
        .unwrap()
        .verb;
        assert_eq!((listen.as_str(), database_url.as_str(), migrate), ("from-flag", "from-file", true));
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = load_with("database_url = \"x\"\nlisen = \"typo\"", &[]).unwrap_err();
        assert!(error.to_string().contains("`lisen`"), "{error}");
    }

    #[test]
    fn a_mistake_in_the_file_is_told_without_the_secret_on_its_line() {
        let error = load_with("listen = \"x\"\ndatabase_url = hunter2", &[]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("line 2") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_no_source_gives_is_missing() {
        assert!(matches!(load_with("", &[]).unwrap_err(), SettingsError::Usage(_)));
    }

    #[test]
    fn durations_are_read_within_bounds() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        for bad in ["", "5", "-1s", "0s", "11y", "100000w", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
