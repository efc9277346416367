//! Names, checked once.

use std::fmt;

/// Bytes of a label at most, as in the DNS.
pub const MAX_LABEL_BYTES: usize = 63;

/// What an environment or a service is called: 1 to 63 of the characters `A-Z a-z 0-9 . _ -`.
///
/// So it needs no quoting in a line of a log, in a shell or in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// Why a text is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name: it takes 1 to {MAX_LABEL_BYTES} of A-Z a-z 0-9 . _ -")]
pub struct LabelError {
    text: String,
}

impl Label {
    /// Checks a text.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=MAX_LABEL_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        // What comes over the network may be long, and an error is one line.
        let text = text.chars().take(MAX_LABEL_BYTES + 1).collect();
        Err(LabelError { text })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::new(std::str::from_utf8(bytes).ok()?).ok()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service in an environment: what a client knows instead of endpoints.
///
/// The same service has one name in all environments, so that a program moves from `test` to
/// `production` by one word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Whose, such as `test` or `production`.
    pub environment: Label,
    /// Which service.
    pub service: Label,
}

impl Name {
    /// Checks both parts.
    ///
    /// # Errors
    /// When one of them is no label.
    pub fn new(environment: &str, service: &str) -> Result<Self, LabelError> {
        Ok(Self {
            environment: Label::new(environment)?,
            service: Label::new(service)?,
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in environment {}", self.service, self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_takes_what_needs_no_quoting() {
        for text in ["orders", "Orders-2", "orders.eu_1", "7", &"x".repeat(63)] {
            assert_eq!(Label::new(text).unwrap().as_str(), text);
        }
        for text in ["", " ", "a b", "a/b", "é", "a\n", &"x".repeat(64)] {
            let error = Label::new(text).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn an_error_about_a_long_text_is_short() {
        let error = Label::new(&"x".repeat(1 << 20)).unwrap_err();
        assert!(error.to_string().len() < 200);
    }
}
