//! What a participant is called by, where that is not its address.

use std::str::FromStr;

use http::uri;
use serde::{Deserialize, Serialize};

/// The `:authority` of calls: `HOST` or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Authority(uri::Authority);

impl Authority {
    /// As it is sent.
    #[must_use]
    pub fn to_uri(&self) -> uri::Authority {
        self.0.clone()
    }
}

impl FromStr for Authority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            |why: &str| format!("{text:?} is no authority: {why}; write HOST or HOST:PORT");
        let read: uri::Authority =
            text.parse().map_err(|error: uri::InvalidUri| refuse(&error.to_string()))?;
        match text.contains('@') {
            true => Err(refuse("it names a user")),
            false => Ok(Self(read)),
        }
    }
}

impl TryFrom<String> for Authority {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Authority> for String {
    fn from(Authority(authority): Authority) -> Self {
        authority.to_string()
    }
}
