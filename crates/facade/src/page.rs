//! Pages of lists: how large, and where the next one begins.
//!
//! A page has so many entries as its caller asks for, and no more bytes than what every client takes: an order may have a
//! hundred lines, and a thousand orders are asked for at once. A list ends where there is no token, however few entries a
//! page has.
//!
//! A page token is opaque and bound to the other arguments of the list: a token that was made for another list is
//! refused instead of giving a page of something else.

use std::convert::Infallible;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::Failure;

const DEFAULT_SIZE: u32 = 50;
const LARGEST_SIZE: u32 = 1000;
/// Bytes of a page's entries, of which there is one at least. A client takes 4 MiB where it is not told otherwise.
pub const PAGE_BYTES: usize = 1 << 20;

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

    /// Makes the page of what [`Page::fetch`] brought, each entry a cursor and a message; and the next page's token, empty
    /// after the last.
    pub fn cut<T, M: Message>(
        &self,
        found: Vec<T>,
        entry: impl FnMut(T) -> (C, M),
    ) -> (Vec<M>, String) {
        let entries = found.into_iter().map(entry).map(Ok::<_, Infallible>);
        let Ok(page) = self.fill(entries);
        page
    }

    /// As [`Page::cut`], of entries that are read one by one: those that do not fit are not asked for, but for the first.
    ///
    /// # Errors
    /// The first of an entry that is asked for.
    pub fn fill<M: Message, E>(
        &self,
        entries: impl IntoIterator<Item = Result<(C, M), E>>,
    ) -> Result<(Vec<M>, String), E> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let (mut messages, mut bytes, mut last) = (Vec::new(), 0, None);
        for entry in entries {
            let (cursor, message) = entry?;
            bytes += message.encoded_len();
            if let Some(last) = last.filter(|_| messages.len() >= size || bytes > PAGE_BYTES) {
                return Ok((messages, encode(&last, &self.bound_to)));
            }
            messages.push(message);
            last = Some(cursor);
        }
        Ok((messages, String::new()))
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
            let entries = all.iter().copied().filter(|entry| *entry >= from).take(4).collect();
            let (messages, next) = page.cut(entries, |entry| (entry, entry));
            assert!(messages.len() <= 3);
            seen.extend(messages);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let page = Page::<i64>::read(1, "", &["tea"]).unwrap();
        let (_, token) = page.cut(vec![1_i64, 2], |entry| (entry, entry));
        assert!(Page::<i64>::read(1, &token, &["tea"]).is_ok());
        for (token, arguments) in
            [(token.as_str(), ["milk"]), ("garbage!", ["tea"]), ("AAAA", ["tea"])]
        {
            assert!(Page::<i64>::read(1, token, &arguments).is_err());
        }
    }

    /// The page of these texts, and how many of them were asked for.
    fn filled(texts: &[String]) -> (usize, String, usize) {
        let mut asked = 0;
        let entries = (0_i64..).zip(texts).map(|(number, text)| {
            asked += 1;
            Ok::<_, ()>((number, text.clone()))
        });
        let (messages, token) = Page::<i64>::read(1000, "", &[]).unwrap().fill(entries).unwrap();
        (messages.len(), token, asked)
    }

    #[test]
    fn a_page_ends_before_it_has_too_many_bytes_and_asks_for_one_entry_more() {
        let (entries, token, asked) = filled(&vec!["x".repeat(PAGE_BYTES / 10); 100]);
        assert_eq!((entries, asked), (9, 10), "each has a few bytes more than its text");
        let next = Page::<i64>::read(1000, &token, &[]).unwrap();
        assert_eq!(next.cursor, Some(8));
    }

    #[test]
    fn an_entry_that_is_larger_than_a_page_has_a_page_of_its_own() {
        let (entries, token, asked) = filled(&vec!["x".repeat(PAGE_BYTES + 1); 2]);
        assert_eq!((entries, asked), (1, 2));
        assert!(!token.is_empty());
        let (entries, token, _) = filled(&["x".repeat(PAGE_BYTES + 1)]);
        assert_eq!((entries, token.as_str()), (1, ""));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_told_where_it_is_asked_for() {
        let page = Page::<i64>::read(2, "", &[]).unwrap();
        let entries = |broken: i64| {
            (0..9).map(move |one| if one == broken { Err(one) } else { Ok((one, one)) })
        };
        assert_eq!(page.fill(entries(1)), Err(1));
        assert_eq!(page.fill(entries(5)).map(|(messages, _)| messages), Ok(vec![0, 1]));
    }

    #[test]
    fn sizes_have_a_default_and_a_limit() {
        assert_eq!(Page::<i64>::read(0, "", &[]).unwrap().size, 50);
        assert_eq!(Page::<i64>::read(i32::MAX, "", &[]).unwrap().size, 1000);
        assert!(Page::<i64>::read(-1, "", &[]).is_err());
    }
}
