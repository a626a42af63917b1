//! Pages of lists: how large, and where the next one begins.
//!
//! A page token is opaque and bound to the other arguments of the list: a token that was made for another list is
//! refused instead of giving a page of something else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::Failure;

const DEFAULT_SIZE: u32 = 50;
const LARGEST_SIZE: u32 = 1000;

/// One page as the caller asked for it.
#[derive(Debug)]
pub struct Page<C> {
    /// Entries at most.
    pub size: u32,
    /// Where the page begins; `None` for the first.
    pub cursor: Option<C>,
    bound_to: String,
}

impl<C: Serialize + DeserializeOwned> Page<C> {
    /// Reads `page_size` and `page_token`; `arguments` are the list's other arguments.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the token is not one of this list's.
    pub fn read(size: i32, token: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let size = match u32::try_from(size) {
            Err(_) => return Err(Failure::invalid("page_size", "must be at least 0")),
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(LARGEST_SIZE),
        };
        let bound_to = fingerprint(arguments);
        let cursor = if token.is_empty() { None } else { Some(decode(token, &bound_to)?) };
        Ok(Self { size, cursor, bound_to })
    }

    /// How many entries to ask the store for: one more than the page holds, to know whether another page follows.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// Cuts what [`Page::fetch`] brought to the page's size, and gives the next page's token: empty after the last.
    pub fn cut<T>(&self, entries: &mut Vec<T>, cursor: impl FnOnce(&T) -> C) -> String {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if entries.len() <= size {
            return String::new();
        }
        entries.truncate(size);
        entries.last().map(|last| encode(&cursor(last), &self.bound_to)).unwrap_or_default()
    }
}

fn fingerprint(arguments: &[&str]) -> String {
    let mut hash = Sha256::new();
    for argument in arguments {
        hash.update(argument.len().to_le_bytes());
        hash.update(argument);
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..8])
}

fn encode<C: Serialize>(cursor: &C, bound_to: &str) -> String {
    // A cursor is a number, a string or a pair of them: its JSON cannot fail.
    let json = serde_json::to_vec(&(bound_to, cursor)).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(json)
}

fn decode<C: DeserializeOwned>(token: &str, bound_to: &str) -> Result<C, Failure> {
    let refuse = || {
        Failure::invalid(
            "page_token",
            "must be the next_page_token of a list with the same arguments",
        )
    };
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| refuse())?;
    let (made_for, cursor): (String, C) = serde_json::from_slice(&json).map_err(|_| refuse())?;
    if made_for == bound_to { Ok(cursor) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all: Vec<i64> = (0..7).collect();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = Page::<i64>::read(3, &token, &["tea"]).unwrap();
            let from = page.cursor.map_or(0, |last| last + 1);
            let mut entries: Vec<i64> =
                all.iter().copied().filter(|entry| *entry >= from).take(4).collect();
            token = page.cut(&mut entries, |last| *last);
            seen.extend(entries);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let page = Page::<i64>::read(1, "", &["tea"]).unwrap();
        let token = page.cut(&mut vec![1, 2], |last| *last);
        assert!(Page::<i64>::read(1, &token, &["tea"]).is_ok());
        for (token, arguments) in
            [(token.as_str(), ["milk"]), ("garbage!", ["tea"]), ("AAAA", ["tea"])]
        {
            assert!(Page::<i64>::read(1, token, &arguments).is_err());
        }
    }

    #[test]
    fn sizes_have_a_default_and_a_limit() {
        assert_eq!(Page::<i64>::read(0, "", &[]).unwrap().size, 50);
        assert_eq!(Page::<i64>::read(i32::MAX, "", &[]).unwrap().size, 1000);
        assert!(Page::<i64>::read(-1, "", &[]).is_err());
    }
}
