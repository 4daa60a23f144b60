//! The refusals that calls have in common, by what a call takes and by who may make it: so that each operation's document
//! lists every status that it answers, without each handler repeating them. What a handler says itself stands.

use http::Method;
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
    path::{Operation, Parameter, ParameterIn},
};

use crate::{
    rest::{Access, access},
    words::role::Role,
};

const PROBLEM: &str = "application/problem+json";
const RETRY_AFTER: &str = "retry-after";

/// Completes every operation.
pub(super) fn document(openapi: &mut OpenApi) {
    for (path, item) in &mut openapi.paths.paths {
        let operations = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            for (status, description) in common(&method, path, operation) {
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(Response::new(description)));
            }
            operation
                .responses
                .responses
                .iter_mut()
                .for_each(|(status, response)| complete(status, response));
        }
    }
}

/// Statuses with what they mean, for all that has nothing of its own to say.
fn common(method: &Method, path: &str, operation: &Operation) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![
        ("500", "`internal`: something failed inside; the log says what"),
        ("503", "`database_busy`, `database_unavailable` or `timeout`: try again"),
    ];
    let access = access(method, path);
    let is_public = access == Some(Access::Public);
    if !is_public {
        all.push(("401", "`not_signed_in`, `token_expired`, `token_invalid` or `session_ended`"));
    }
    // Of others' things everybody's calls take notice as well, by the path or by a parameter.
    let is_own = access == Some(Access::Least(Role::User));
    let parameters = || operation.parameters.iter().flatten().filter_map(stated);
    let of_key = is_own && parameters().any(|parameter| parameter.name == "key_id");
    let of_thing = path.contains('{');
    if !is_public && (!is_own || of_thing && *method != Method::GET) {
        all.push(("403", "`forbidden`: the caller's role does not allow it"));
    }
    if of_thing || of_key {
        all.push(("404", "`not_found`: there is no such thing, or it is not the caller's"));
    }
    let has = |place: ParameterIn| parameters().any(|parameter| parameter.parameter_in == place);
    if has(ParameterIn::Query) {
        all.push(("422", "`invalid_fields`: a parameter is not valid, or is none of these"));
    }
    if has(ParameterIn::Header) {
        all.push(("412", "`stale_revision`: it was changed meanwhile"));
        all.push(("428", "`if_match_required`"));
    }
    if *method == Method::GET {
        return all;
    }
    if !is_public {
        all.push(("429", "`too_many_changes`"));
    }
    // Of every call the body is read, whatever it is for.
    all.push(("400", "`invalid_json`, or `body_unreadable`: it broke off"));
    all.push(("408", "`body_timeout`"));
    all.push(("413", "`body_too_large`"));
    if operation.request_body.is_some() {
        all.push(("409", "`conflict`: a value is taken that must be unique; or `missing_reference`"));
        all.push(("415", "`json_expected`"));
        all.push(("422", "`invalid_fields`: the fields at fault are named"));
    }
    all
}

fn stated(parameter: &RefOr<Parameter>) -> Option<&Parameter> {
    match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    }
}

/// Every refusal has the same body; some say when to come again.
fn complete(status: &str, response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    if !status.starts_with(['4', '5']) || !response.content.is_empty() {
        return;
    }
    let description = std::mem::take(&mut response.description);
    let mut builder = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM, Content::new(Some(Ref::from_schema_name("Problem"))));
    if ["429", "503"].contains(&status) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer);
        let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait")).build();
        builder = builder.header(RETRY_AFTER, header);
    }
    *response = builder.build();
}
