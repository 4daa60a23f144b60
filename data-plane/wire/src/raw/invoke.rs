//! A messages body for Bedrock's invoke, where Anthropic's models read Anthropic's own body: the model and whether to
//! stream are in the path instead, version and betas in the body instead of in headers.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::json;
use crate::raw::view::BodyError;
use crate::raw::{member::runs_out, splice::Splices};

const VERSION: &str = r#""bedrock-2023-05-31""#;
const BETA: &str = "anthropic_beta";

/// The edits for a body that [`crate::raw::view::messages`] has read: `model` and `stream` go, `anthropic_version` comes
/// unless it is there, and those of `betas` that are not there yet. The model needs no other edit: it is gone.
pub fn to_invoke<'b>(body: &[u8], betas: impl IntoIterator<Item = &'b str>) -> Result<Splices, BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8 { at: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii_start();
    let mut members = Vec::new();
    let (mut version, mut beta, mut thinking) = (None, None, None);
    let mut twice = false;
    json::object(text, |field| {
        let name = field.name();
        match &*name {
            "anthropic_version" => version = Some(field.value),
            BETA => twice |= beta.replace(field.value).is_some(),
            "thinking" => thinking = Some(field.value),
            _ => {}
        }
        members.push(Member { at: field.range_in(body), goes: matches!(&*name, "model" | "stream") });
    })
    .map_err(|error| BodyError::NotJson { problem: error.to_string() })?;
    if twice {
        return Err(BodyError::Duplicate { field: BETA });
    }
    let mut edits = Edits { body, splices: Splices::new(), added: Vec::new() };
    edits.add_version(version);
    edits.add_betas(beta, betas)?;
    edits.summarize(thinking.unwrap_or("{}"));
    let inside = json::place_in(body, text).start + 1;
    Ok(edits.finish(inside, &members))
}

/// A member of the body: from its key to its value's end.
struct Member {
    at: Range<usize>,
    goes: bool,
}

struct Edits<'a> {
    body: &'a [u8],
    splices: Splices,
    /// Members that are new, as JSON.
    added: Vec<String>,
}

impl Edits<'_> {
    fn add_version(&mut self, version: Option<&str>) {
        match version {
            None => self.added.push(format!(r#""anthropic_version":{VERSION}"#)),
            Some(null @ "null") => self.splices.replace(json::place_in(self.body, null), VERSION),
            Some(_) => {}
        }
    }

    /// Updates on thoughts are a beta that is not to be had there; what comes nearest is their summary.
    fn summarize(&mut self, thinking: &str) {
        // What is no object is for the provider to refuse.
        let _ = json::object(thinking, |field| {
            if field.name() == "display" && field.value == "\"updates\"" {
                self.splices.replace(json::place_in(self.body, field.value), "\"summarized\"");
            }
        });
    }

    fn add_betas<'b>(
        &mut self,
        list: Option<&str>,
        betas: impl IntoIterator<Item = &'b str>,
    ) -> Result<(), BodyError> {
        let list_of = list.filter(|list| *list != "null").unwrap_or("[]");
        let mut known: HashSet<_> = names(list_of)?.into_iter().collect();
        let mut written = String::new();
        for beta in betas {
            let comma = if known.is_empty() { "" } else { "," };
            if known.insert(Cow::Borrowed(beta)) {
                written += comma;
                written += &serde_json::Value::from(beta).to_string();
            }
        }
        if written.is_empty() {
            return Ok(());
        }
        match list {
            None => self.added.push(format!(r#""{BETA}":[{written}]"#)),
            Some(null @ "null") => {
                self.splices.replace(json::place_in(self.body, null), format!("[{written}]"));
            }
            Some(list) => {
                let end = json::place_in(self.body, list).end - 1;
                self.splices.replace(end..end, written);
            }
        }
        Ok(())
    }

    /// `inside` is behind the object's brace.
    fn finish(mut self, inside: usize, members: &[Member]) -> Splices {
        if !self.added.is_empty() {
            let mut text = self.added.join(",");
            if members.iter().any(|member| !member.goes) {
                text.push(',');
            }
            self.splices.replace(inside..inside, text);
        }
        let members: Vec<_> = members.iter().map(|member| (member.at.clone(), member.goes)).collect();
        for range in runs_out(&members) {
            self.splices.replace(range, "");
        }
        self.splices
    }
}

fn names(list: &str) -> Result<Vec<Cow<'_, str>>, BodyError> {
    let unfit = BodyError::Unfit { field: BETA, expected: "an array of strings" };
    let mut names = Vec::new();
    let mut is_fit = true;
    let read = json::array(list, |item| match json::string(item) {
        Some(name) => names.push(name),
        None => is_fit = false,
    });
    if read.is_ok() && is_fit { Ok(names) } else { Err(unfit) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn edited(body: &str, betas: &[&str]) -> String {
        let splices = to_invoke(body.as_bytes(), betas.iter().copied()).unwrap();
        String::from_utf8(splices.apply(Bytes::copy_from_slice(body.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn updates_on_thoughts_become_a_summary() {
        let body = r#"{"thinking":{"type":"adaptive","display": "updates"}}"#;
        assert!(edited(body, &[]).ends_with(r#""thinking":{"type":"adaptive","display": "summarized"}}"#));
    }

    const VERSION_MEMBER: &str = r#""anthropic_version":"bedrock-2023-05-31""#;

    #[test]
    fn model_and_stream_go_wherever_they_stand() {
        let rest = r#""max_tokens": 9 , "messages":[]"#;
        let expected = format!("{{{VERSION_MEMBER},{rest} }}");
        for body in [
            format!(r#"{{"model":"m","stream":true,{rest} }}"#),
            format!(r#"{{"model":"m", {rest} , "stream" : true }}"#),
            format!(r#"{{{rest},"stream":true,"model":"m" }}"#),
            format!(r#"{{"model":"m","stream":true,"model":"n",{rest} }}"#),
        ] {
            assert_eq!(edited(&body, &[]), expected, "{body}");
        }
        let between = r#"{ "max_tokens": 9 , "model":"m","stream":true,"messages":[]}"#;
        assert_eq!(edited(between, &[]), format!(r#"{{{VERSION_MEMBER}, "max_tokens": 9,"messages":[]}}"#));
    }

    #[test]
    fn a_body_of_nothing_else_is_left_with_what_comes() {
        assert_eq!(edited(r#"{"model":"m"}"#, &[]), format!("{{{VERSION_MEMBER}}}"));
        assert_eq!(edited("\u{feff} { }", &[]), format!("\u{feff} {{{VERSION_MEMBER} }}"));
    }

    #[test]
    fn a_version_that_is_there_stays() {
        let body = r#"{"anthropic_version":"bedrock-2024-01-01","max_tokens":9}"#;
        assert_eq!(edited(body, &[]), body);
        let null = r#"{"anthropic_version":null,"max_tokens":9}"#;
        assert_eq!(edited(null, &[]), format!(r#"{{{VERSION_MEMBER},"max_tokens":9}}"#));
    }

    #[test]
    fn betas_are_added_once() {
        let betas = |body: &str| {
            let edited: Value = serde_json::from_str(&edited(body, &["a", "b\"", "a"])).unwrap();
            edited["anthropic_beta"].clone()
        };
        assert_eq!(betas("{}"), json!(["a", "b\""]));
        assert_eq!(betas(r#"{"anthropic_beta":null}"#), json!(["a", "b\""]));
        assert_eq!(betas(r#"{"anthropic_beta":[ ]}"#), json!(["a", "b\""]));
        assert_eq!(betas(r#"{"anthropic_beta":["\u0061", "c"]}"#), json!(["a", "c", "b\""]));
        let whole = r#"{"anthropic_version":"v","anthropic_beta": [ "b\"","a" ]}"#;
        assert_eq!(edited(whole, &["a", "b\""]), whole);
    }

    #[test]
    fn what_is_no_list_of_betas_is_refused() {
        let problem = |body: &str| to_invoke(body.as_bytes(), []).expect_err("must be refused").to_string();
        assert_eq!(problem(r#"{"anthropic_beta":"a"}"#), "`anthropic_beta` must be an array of strings");
        assert_eq!(problem(r#"{"anthropic_beta":[1]}"#), "`anthropic_beta` must be an array of strings");
        let twice = r#"{"anthropic_beta":[],"anthropic_beta":[]}"#;
        assert_eq!(problem(twice), "`anthropic_beta` appears more than once; send it once");
        assert!(matches!(to_invoke(b"[]", []), Err(BodyError::NotJson { .. })));
        assert!(matches!(to_invoke(b"{\xff}", []), Err(BodyError::NotUtf8 { at: 1 })));
    }

    /// A body's members in any order, with any white space, as text.
    fn any_body() -> impl Strategy<Value = String> {
        let member = prop::sample::select(
            &[
                r#""model":"claude-x""#,
                r#""stream" : false"#,
                r#""str\u0065am":true"#,
                r#""max_tokens":9"#,
                r#""messages":[{"role":"user","content":"\"model\":1,"}]"#,
                r#""metadata":{"model":1,"stream":2}"#,
                r#""anthropic_version": "x""#,
                r#""anthropic_version":null"#,
                r#""anthropic_beta":["x"]"#,
                r#""anthropic_beta":null"#,
            ][..],
        );
        let members = prop::collection::vec((member, "[ \n]{0,2}", "[ \n]{0,2}"), 0..8);
        (members, "[ \n]{0,2}").prop_map(|(members, space)| {
            let members: Vec<String> =
                members.iter().map(|(member, before, behind)| format!("{before}{member}{behind}")).collect();
            format!("{space}{{{}{space}}}{space}", members.join(","))
        })
    }

    proptest! {
        #[test]
        fn all_else_parses_to_the_same(body in any_body(), betas in prop::collection::vec("[a-z\"]{1,3}", 0..3)) {
            let betas: Vec<&str> = betas.iter().map(String::as_str).collect();
            let Ok(splices) = to_invoke(body.as_bytes(), betas.iter().copied()) else {
                prop_assert!(body.matches(BETA).count() > 1);
                return Ok(());
            };
            let edited = splices.apply(Bytes::copy_from_slice(body.as_bytes()));
            let mut edited: Value = serde_json::from_slice(&edited).unwrap();
            let mut before: Value = serde_json::from_str(&body).unwrap();
            let (edited, before) = (edited.as_object_mut().unwrap(), before.as_object_mut().unwrap());
            prop_assert!(!edited.contains_key("model") && !edited.contains_key("stream"));
            let had = before.remove("anthropic_version").filter(|version| !version.is_null());
            let version = edited.remove("anthropic_version").unwrap();
            prop_assert_eq!(version, had.unwrap_or(json!("bedrock-2023-05-31")));
            let had = before.remove(BETA).unwrap_or_default();
            let list = edited.remove(BETA).unwrap_or_default();
            let found: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            prop_assert!(betas.iter().all(|beta| found.contains(beta)));
            let kept = had.as_array().into_iter().flatten().filter_map(Value::as_str);
            prop_assert!(found.iter().zip(kept).all(|(found, kept)| *found == kept));
            before.remove("model");
            before.remove("stream");
            prop_assert_eq!(edited, before);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = to_invoke(&bytes, ["a"]);
        }
    }
}
