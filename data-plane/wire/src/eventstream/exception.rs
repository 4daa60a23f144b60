//! AWS's names of errors. In a stream they come as messages of their own, long after the answer's HTTP status.

/// What stands for an error elsewhere: its HTTP status and Anthropic's word for it.
struct Meaning {
    status: u16,
    word: &'static str,
}

/// By the error's name, as `throttlingException` in streams, `ThrottlingException` in headers.
fn meaning(exception: &str) -> Meaning {
    let name = exception.get(..exception.len().saturating_sub("Exception".len()));
    let is = |known: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(known));
    let (status, word) = if is("throttling") {
        (429, "rate_limit_error")
    } else if is("modelTimeout") {
        (408, "timeout_error")
    } else if is("serviceUnavailable") {
        (503, "overloaded_error")
    } else if is("validation") {
        (400, "invalid_request_error")
    } else if is("accessDenied") {
        (403, "permission_error")
    } else {
        (500, "api_error")
    };
    Meaning { status, word }
}

pub(crate) fn status(exception: &str) -> u16 {
    meaning(exception).status
}

pub(super) fn word(exception: &str) -> &'static str {
    meaning(exception).word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_status_and_its_word() {
        let found = |name| (status(name), word(name));
        assert_eq!(found("throttlingException"), (429, "rate_limit_error"));
        assert_eq!(found("ThrottlingException"), (429, "rate_limit_error"));
        assert_eq!(found("modelTimeoutException"), (408, "timeout_error"));
        assert_eq!(found("serviceUnavailableException"), (503, "overloaded_error"));
        assert_eq!(found("validationException"), (400, "invalid_request_error"));
        assert_eq!(found("accessDeniedException"), (403, "permission_error"));
        for other in ["internalServerException", "modelStreamErrorException", "", "é", "InternalFailure"] {
            assert_eq!(found(other), (500, "api_error"));
        }
    }
}
