//! Passwords that guessers try first.

/// Of 12 characters or more, in lower case: one a line.
const COMMON: &str = include_str!("common.txt");
/// A password that is made of a piece of so many characters over and over is no better than the piece.
const LONGEST_PIECE: usize = 4;

/// Whether it is one of the list, a sequence, or the same few characters over and over.
pub(super) fn is_common(password: &str) -> bool {
    let password = password.to_lowercase();
    let characters: Vec<char> = password.chars().collect();
    COMMON.lines().any(|common| common == password) || repeats(&characters) || is_sequence(&characters)
}

/// Whether it is the name, in any case and however often, with nothing else than digits and marks.
pub(super) fn is_name(password: &str, name: &str) -> bool {
    let (password, name) = (password.to_lowercase(), name.to_lowercase());
    !name.is_empty()
        && password.contains(&name)
        && !password.replace(&name, "").chars().any(char::is_alphabetic)
}

fn repeats(characters: &[char]) -> bool {
    (1..=LONGEST_PIECE)
        .any(|piece| characters.iter().zip(characters.iter().skip(piece)).all(|(one, next)| one == next))
}

/// Up or down by one each, digits in a circle: `abcdefghijkl`, `123456789012`, `987654321098`.
fn is_sequence(characters: &[char]) -> bool {
    let follows = |one: char, next: char| match (one.to_digit(10), next.to_digit(10)) {
        (Some(one), Some(next)) => (one + 1) % 10 == next,
        _ => u32::from(one) + 1 == u32::from(next),
    };
    let pairs = || characters.iter().copied().zip(characters.iter().copied().skip(1));
    pairs().all(|(one, next)| follows(one, next)) || pairs().all(|(one, next)| follows(next, one))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_holds_what_nothing_else_refuses() {
        let all: Vec<_> = COMMON.lines().collect();
        assert!(all.len() > 300, "{}", all.len());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "twice");
        for common in all {
            let characters: Vec<_> = common.chars().collect();
            assert!(characters.len() >= super::super::MIN_CHARACTERS, "{common} is short");
            assert_eq!(common.to_lowercase(), common);
            assert!(
                !repeats(&characters) && !is_sequence(&characters),
                "{common} is refused without the list"
            );
        }
    }

    #[test]
    fn patterns_are_found() {
        for common in [
            "            ",
            "abababababab",
            "123123123123",
            "abcdabcdabcda",
            "1234567890123",
            "098765432109",
            "lkjihgfedcba",
            "ABCDEFGHIJKLM",
            "密密密密密密密密密密密密",
        ] {
            assert!(is_common(common), "{common}");
        }
        for good in ["abcdeabcdeabcde", "1234567890124", "abcdefghijkm", "correct horse"] {
            assert!(!is_common(good), "{good}");
        }
    }
}
