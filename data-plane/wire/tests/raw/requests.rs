//! Requests of any form: what is read of them, and that an edit touches nothing else.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json as tree};
use wire::raw::splice::Splices;
use wire::raw::view;

use crate::json::{self, is_insertion};

/// Fields as written: key token, white space, value token, white space.
type Fields = Vec<(String, String, String, String)>;

fn other_fields() -> impl Strategy<Value = Fields> {
    let known = ["model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "metadata"];
    let field = (json::string(), json::blank(), json::value(), json::blank());
    prop::collection::vec(field, 0..6).prop_map(move |mut fields| {
        fields.retain(|(key, ..)| {
            let key: String = serde_json::from_str(key).unwrap();
            !known.contains(&key.as_str()) && key != "prompt_cache_key"
        });
        fields
    })
}

/// `stream_options` as written, and whether it asks for usage. Empty: the field is absent.
fn stream_options() -> impl Strategy<Value = (&'static str, bool)> {
    select(vec![
        ("", false),
        ("null", false),
        ("{}", false),
        ("{ \n}", false),
        (r#"{"include_usage":true}"#, true),
        (r#"{ "include_usage" : false , "x":[1]}"#, false),
        (r#"{"x":1,"include_usage":null}"#, false),
        (r#"{"include_\u0075sage": true}"#, true),
        (r#"{"include_obfuscation":false}"#, false),
    ])
}

/// A request: the body's text, its model token, what it says of usage.
#[derive(Debug)]
struct Request {
    body: String,
    model: String,
    stream_options: &'static str,
    wants_usage: bool,
}

fn request() -> impl Strategy<Value = Request> {
    let model = json::string().prop_filter("not blank", |model| {
        let model: String = serde_json::from_str(model).unwrap();
        !model.trim().is_empty()
    });
    let places = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let key = select(vec!["\"model\"", "\"mod\\u0065l\""]);
    let around = (select(vec!["", "\u{feff}"]), json::blank(), json::blank());
    (other_fields(), model, key, stream_options(), places, around).prop_map(
        |(mut fields, model, key, (stream_options, wants_usage), places, (mark, ahead, behind))| {
            let blank = String::new;
            let place = places.0.index(fields.len() + 1);
            fields.insert(place, (key.to_owned(), ahead.clone(), model.clone(), blank()));
            if !stream_options.is_empty() {
                let field =
                    ("\"stream_options\"".to_owned(), blank(), stream_options.to_owned(), behind.clone());
                let place = places.1.index(fields.len() + 1);
                fields.insert(place, field);
            }
            let body = format!("{mark}{ahead}{}{behind}", json::object(&fields));
            Request { body, model, stream_options, wants_usage }
        },
    )
}

fn parsed(body: &[u8]) -> Value {
    let text = std::str::from_utf8(body).unwrap();
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_body_without_edits_stays_the_same_bytes(request in request()) {
        let body = Bytes::from(request.body);
        let edited = Splices::new().apply(body.clone());
        prop_assert_eq!(edited.as_ptr(), body.as_ptr());
        prop_assert_eq!(edited, body);
    }

    #[test]
    fn replacing_the_model_changes_its_token_and_nothing_else(request in request(), name in "\\PC{1,20}") {
        let view = view::chat(request.body.as_bytes()).unwrap();
        let model: String = serde_json::from_str(&request.model).unwrap();
        prop_assert_eq!(&view.model, &model);
        prop_assert_eq!(view.wants_usage, request.wants_usage);

        let mut splices = Splices::new();
        view.replace_model(&mut splices, &name);
        let edited = splices.apply(Bytes::from(request.body.clone()));
        let mut expected = parsed(request.body.as_bytes());
        expected["model"] = tree!(name);
        prop_assert_eq!(parsed(&edited), expected);

        // All bytes ahead of the token and behind it are as they were.
        let token = if name == model { request.model.clone() } else { tree!(name).to_string() };
        let edited = std::str::from_utf8(&edited).unwrap();
        let places = request.body.char_indices().map(|(at, _)| request.body.split_at(at));
        let found = places.filter_map(|(ahead, rest)| Some((ahead, rest.strip_prefix(&request.model)?)))
            .any(|(ahead, behind)| edited == format!("{ahead}{token}{behind}"));
        prop_assert!(found, "{} became {}", request.body, edited);
    }

    #[test]
    fn asking_for_usage_adds_the_question_and_nothing_else(request in request()) {
        let view = view::chat(request.body.as_bytes()).unwrap();
        let mut splices = Splices::new();
        view.ask_for_usage(&mut splices);
        let edited = splices.apply(Bytes::from(request.body.clone()));
        let mut expected = parsed(request.body.as_bytes());
        if expected["stream_options"].is_null() {
            expected["stream_options"] = tree!({});
        }
        expected["stream_options"]["include_usage"] = tree!(true);
        prop_assert_eq!(parsed(&edited), expected);

        let edited = std::str::from_utf8(&edited).unwrap();
        let longer = edited.len().checked_sub(request.body.len());
        match request.stream_options {
            _ if request.wants_usage => prop_assert_eq!(edited, request.body.as_str()),
            "null" => prop_assert_eq!(longer, Some(r#"{"include_usage":true}"#.len() - 4)),
            options if options.contains("null") => prop_assert_eq!(edited, request.body.replace(options, r#"{"x":1,"include_usage":true}"#)),
            options if options.contains("false ,") => prop_assert_eq!(edited, request.body.replace(options, r#"{ "include_usage" : true , "x":[1]}"#)),
            _ => prop_assert!(is_insertion(edited, &request.body), "{} became {}", request.body, edited),
        }
    }

    #[test]
    fn both_edits_together_are_both_edits(request in request()) {
        let view = view::chat(request.body.as_bytes()).unwrap();
        let mut splices = Splices::new();
        view.ask_for_usage(&mut splices);
        view.replace_model(&mut splices, "gpt-\"5\"");
        let edited = parsed(&splices.apply(Bytes::from(request.body)));
        prop_assert_eq!(&edited["model"], &tree!("gpt-\"5\""));
        prop_assert_eq!(&edited["stream_options"]["include_usage"], &tree!(true));
    }

    #[test]
    fn any_bytes_are_viewed_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let gemini = |body: &[u8]| view::gemini(body, "m", false);
        for read in
            [view::chat, view::embeddings, view::messages, view::count_tokens, view::responses, gemini]
        {
            prop_assert!(read(&body).is_err() || serde_json::from_slice::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn what_is_taken_is_json(request in request(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = request.body.into_bytes();
        let place = place.index(body.len());
        body[place] = byte;
        if view::messages(&body).is_ok() {
            let text = std::str::from_utf8(&body).unwrap();
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}'));
            prop_assert!(parsed.is_ok());
        }
    }
}
