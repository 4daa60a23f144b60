//! From a model's name to who may serve it.

use shared::{
    account::AccountType,
    model::{platform_of, split_account_type},
    wire::Platform,
};

use crate::snapshot::Snapshot;

/// What a path prefix asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    Platform(Platform),
    Type(AccountType),
}

/// Which accounts fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub platform: Platform,
    /// `None`: any type of the platform.
    pub account_type: Option<AccountType>,
}

/// A model's name, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routed<'a> {
    pub target: Target,
    /// Without the account type in front, and after the mapping that holds for all accounts.
    pub model: &'a str,
}

/// Why a model's name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    #[error(
        "no platform is known for the model `{0}`: check its name; operators can add a model route for it"
    )]
    UnknownModel(Box<str>),
    #[error("the account type in front of the model's name is not the one that the path asks for")]
    OtherTypePinned,
}

/// Reads the name that a client asks for. The operators' routes win over the name's prefix; a pinned platform wins
/// over both.
///
/// # Errors
/// See [`Unroutable`].
pub fn route<'a>(snapshot: &'a Snapshot, pin: Option<Pin>, asked: &'a str) -> Result<Routed<'a>, Unroutable> {
    let (type_asked, bare) = split_account_type(asked);
    let renamed = snapshot.mappings.get(bare).map_or(bare, String::as_str);
    let (type_renamed, model) = split_account_type(renamed);
    let named = type_asked.or(type_renamed);
    let matching = || {
        let find = |name: &str| snapshot.routes.iter().find(|route| route.pattern.matches(name));
        find(bare).or_else(|| if model == bare { None } else { find(model) })
    };
    let target = match (pin, named) {
        (Some(Pin::Type(pinned)), Some(named)) if pinned != named => return Err(Unroutable::OtherTypePinned),
        (Some(Pin::Type(exact)), _) | (None, Some(exact)) => {
            Target { platform: exact.platform(), account_type: Some(exact) }
        }
        (Some(Pin::Platform(platform)), Some(exact)) => Target { platform, account_type: Some(exact) },
        (Some(Pin::Platform(platform)), None) => {
            let route = matching().filter(|route| route.platform == platform);
            Target { platform, account_type: route.and_then(|route| route.account_type) }
        }
        (None, None) => match matching() {
            Some(route) => Target { platform: route.platform, account_type: route.account_type },
            None => {
                let platform = platform_of(model).ok_or_else(|| Unroutable::UnknownModel(model.into()))?;
                Target { platform, account_type: None }
            }
        },
    };
    Ok(Routed { target, model })
}

#[cfg(test)]
mod tests {
    use shared::model::ModelPattern;

    use super::*;
    use crate::snapshot::ModelRoute;

    fn snapshot() -> Snapshot {
        let route = |pattern: &str, platform, account_type| ModelRoute {
            pattern: ModelPattern::new(pattern).unwrap(),
            platform,
            account_type,
        };
        Snapshot {
            routes: vec![
                route("gpt-local-*", Platform::Claude, Some(AccountType::Ccr)),
                route("llama*", Platform::OpenAi, None),
            ],
            mappings: [
                ("opus".into(), "claude-opus-5".into()),
                ("router".into(), "ccr,claude-opus-5".into()),
            ]
            .into(),
            ..Snapshot::default()
        }
    }

    fn routed(pin: Option<Pin>, asked: &str) -> Result<(Platform, Option<AccountType>, String), Unroutable> {
        let snapshot = snapshot();
        let routed = route(&snapshot, pin, asked)?;
        Ok((routed.target.platform, routed.target.account_type, routed.model.into()))
    }

    #[test]
    fn routes_come_before_the_prefix() {
        assert_eq!(routed(None, "gpt-5"), Ok((Platform::OpenAi, None, "gpt-5".into())));
        let local = Ok((Platform::Claude, Some(AccountType::Ccr), "gpt-local-1".into()));
        assert_eq!(routed(None, "gpt-local-1"), local);
        assert_eq!(routed(None, "llama-4"), Ok((Platform::OpenAi, None, "llama-4".into())));
        assert_eq!(routed(None, "mystery"), Err(Unroutable::UnknownModel("mystery".into())));
    }

    #[test]
    fn the_mapping_for_all_accounts_comes_before_the_prefix() {
        assert_eq!(routed(None, "opus"), Ok((Platform::Claude, None, "claude-opus-5".into())));
        let ccr = Ok((Platform::Claude, Some(AccountType::Ccr), "claude-opus-5".into()));
        assert_eq!(routed(None, "router"), ccr);
    }

    #[test]
    fn a_type_in_front_of_the_name_or_a_prefix_of_the_path_wins() {
        let ccr = Ok((Platform::Claude, Some(AccountType::Ccr), "claude-opus-5".into()));
        assert_eq!(routed(None, "ccr,opus"), ccr);
        let azure = Some(Pin::Type(AccountType::AzureOpenai));
        assert_eq!(routed(azure, "x"), Ok((Platform::OpenAi, Some(AccountType::AzureOpenai), "x".into())));
        assert_eq!(routed(azure, "ccr,x"), Err(Unroutable::OtherTypePinned));
        let claude = Some(Pin::Platform(Platform::Claude));
        assert_eq!(routed(claude, "mystery"), Ok((Platform::Claude, None, "mystery".into())));
        assert_eq!(routed(claude, "llama-4"), Ok((Platform::Claude, None, "llama-4".into())));
    }
}
