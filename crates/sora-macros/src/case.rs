//! How names are written.

/// A way to write a name of several words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Snake,
    Camel,
    Pascal,
    ScreamingSnake,
}

impl Case {
    /// The values of `rename_all`.
    pub(crate) const NAMES: [&str; 4] =
        ["snake_case", "camelCase", "PascalCase", "SCREAMING_SNAKE_CASE"];

    /// Reads a value of `rename_all`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let cases = [Self::Snake, Self::Camel, Self::Pascal, Self::ScreamingSnake];
        Self::NAMES.iter().position(|other| *other == name).map(|at| cases[at])
    }

    /// Returns a Rust name in this case.
    pub(crate) fn apply(self, name: &str) -> String {
        let words = words(name);
        let parts = words.iter().enumerate().map(|(at, word)| match self {
            Self::Snake => word.to_lowercase(),
            Self::ScreamingSnake => word.to_uppercase(),
            Self::Camel if at == 0 => word.to_lowercase(),
            Self::Camel | Self::Pascal => capitalise(word),
        });
        let parts: Vec<String> = parts.collect();
        match self {
            Self::Snake | Self::ScreamingSnake => parts.join("_"),
            Self::Camel | Self::Pascal => parts.concat(),
        }
    }
}

/// Returns the name of the constant for a field.
pub(crate) fn constant(field: &str) -> String {
    // A name that is in snake case keeps its underscores as they are: `_x` is `_X`.
    if field.chars().any(char::is_uppercase) {
        Case::ScreamingSnake.apply(field)
    } else {
        field.to_uppercase()
    }
}

fn capitalise(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters.flat_map(char::to_lowercase)).collect()
}

/// Splits at underscores, before a capital behind a small letter or a digit, and before the last
/// capital of several: `HTTPServer` is two words.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let ends_capitals = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let starts = letter.is_uppercase()
            && before.is_some_and(|before| !before.is_uppercase() || ends_capitals);
        if starts || *letter == '_' {
            words.push(String::new());
        }
        if *letter != '_' {
            words.last_mut().expect("there is one from the start").push(*letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_their_case() {
        let check = |name: &str, expected: [&str; 4]| {
            let all = Case::NAMES.map(|case| Case::parse(case).expect("a case").apply(name));
            assert_eq!(all, expected, "{name}");
        };
        check("BlogPost", ["blog_post", "blogPost", "BlogPost", "BLOG_POST"]);
        check("created_at", ["created_at", "createdAt", "CreatedAt", "CREATED_AT"]);
        check("HTTPServer", ["http_server", "httpServer", "HttpServer", "HTTP_SERVER"]);
        check("line_2", ["line_2", "line2", "Line2", "LINE_2"]);
        check("Http2Frame", ["http2_frame", "http2Frame", "Http2Frame", "HTTP2_FRAME"]);
        check("_x", ["x", "x", "X", "X"]);
    }

    #[test]
    fn constants_are_in_capitals() {
        for (field, expected) in
            [("name", "NAME"), ("line_2", "LINE_2"), ("_x", "_X"), ("createdAt", "CREATED_AT")]
        {
            assert_eq!(constant(field), expected);
        }
    }
}
