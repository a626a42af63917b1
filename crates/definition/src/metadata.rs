//! Metadata that goes with a step's calls beside what the orchestrator sends itself: `metadata`, by expressions; and what
//! any entry must be like, wherever it is configured.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{ErrorKind, EvaluationError, UnlocatedError};
use super::expression::Expression;
use super::facts::Facts;
use super::problem::Problems;
use super::scope::Scope;
use super::yaml::{Kind, Node};

/// Bytes of the entries of one call, names and 32 for each included, as HTTP/2 counts them: what servers commonly take.
pub const MAX_METADATA: usize = 8 << 10;

/// What gRPC and HTTP say of a call, and the orchestrator of its saga.
const RESERVED: [&str; 13] = [
    "te",
    "content-type",
    "content-length",
    "connection",
    "host",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "trailer",
    "idempotency-key",
    "traceparent",
    "tracestate",
];
const RESERVED_PREFIXES: [&str; 3] = ["saga-", "grpc-", ":"];
/// The end of a name whose value is bytes.
const BINARY: &str = "-bin";

/// Base64 as gRPC writes it; with padding it is read too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is no name of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    /// What is wrong, without a full stop.
    pub what: String,
    /// What to do about it.
    pub cure: &'static str,
}

/// Reads the name of an entry.
///
/// # Errors
/// When it is none, or one that the orchestrator or gRPC writes itself.
pub fn name(text: &str) -> Result<HeaderName, BadName> {
    let is_reserved =
        RESERVED.contains(&text) || RESERVED_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
    if is_reserved {
        let what = format!("`{text}` is written by the orchestrator or by gRPC");
        return Err(BadName { what, cure: "use a name of your own, such as `x-tenant`" });
    }
    let form =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    let read = HeaderName::from_bytes(text.as_bytes()).ok();
    read.filter(|_| text.bytes().all(form)).ok_or_else(|| BadName {
        what: format!("`{text}` is no name of metadata"),
        cure: "write small letters, digits, dashes, underscores and dots",
    })
}

/// The value of an entry: a text of printable ASCII, or of a name that ends with `-bin` its bytes in base64. It is kept out of
/// what is logged, and out of the table of headers that both ends keep.
///
/// # Errors
/// A sentence that says what is wrong, and does not tell the value.
pub fn value(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    if is_binary(name) {
        let bytes = BASE64.decode(text);
        return Ok(binary(&bytes.map_err(|_| format!("the value of `{name}` is no base64"))?));
    }
    match text.chars().enumerate().find(|(_, char)| !matches!(char, ' '..='~')) {
        Some((place, _)) => Err(format!(
            "the value of `{name}` has a character at place {} that is no printable ASCII; a name that ends with -bin takes any bytes",
            place + 1
        )),
        None => HeaderValue::from_str(text)
            .map(secret)
            .map_err(|error| format!("the value of `{name}`: {error}")),
    }
}

/// How much of [`MAX_METADATA`] the entries take.
#[must_use]
pub fn size(entries: &HeaderMap) -> usize {
    entries.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

fn binary(bytes: &[u8]) -> HeaderValue {
    // Base64 is always a header's value.
    let value = HeaderValue::try_from(BASE64.encode(bytes));
    secret(value.unwrap_or_else(|_| HeaderValue::from_static("")))
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn is_binary(name: &HeaderName) -> bool {
    name.as_str().ends_with(BINARY)
}

/// A compiled `metadata`.
#[derive(Debug, Default)]
pub(super) struct Metadata(Vec<(HeaderName, Expression)>);

impl Metadata {
    /// What the values are.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Compiles `node`; every mistake becomes a problem.
    pub(super) fn compile(node: &Node, scope: &Scope<'_>, problems: &mut Problems) -> Self {
        let Kind::Map(written) = &node.kind else {
            let what = format!("`metadata` is {}, not a mapping", node.describe());
            problems.add(node.at, what, "write `metadata: { x-tenant: request.tenant }`");
            return Self::default();
        };
        let mut entries = Vec::with_capacity(written.len());
        for (key, node) in written {
            let name =
                name(&key.value).map_err(|BadName { what, cure }| problems.add(key.at, what, cure));
            let Some(text) = node.text() else {
                let what = format!("`{}` is {}, not an expression", key.value, node.describe());
                problems.add(node.at, what, "write one expression that gives its value");
                continue;
            };
            let is_binary = key.value.ends_with(BINARY);
            let value = match is_binary {
                true => Expression::compile_bytes(&key.value, text, scope, problems),
                false => Expression::compile_text(&key.value, text, scope, problems),
            };
            if let (Ok(name), Some(value)) = (name, value) {
                entries.push((name, value));
            }
        }
        Self(entries)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// When an expression cannot be evaluated, or gives what cannot be sent.
    pub(super) fn build(
        &self,
        facts: &Facts<'_>,
        file: &str,
    ) -> Result<HeaderMap, EvaluationError> {
        let mut headers = HeaderMap::with_capacity(self.0.len());
        for (name, expression) in &self.0 {
            let unfit = |what| UnlocatedError::new(ErrorKind::Conversion, what);
            let built = match is_binary(name) {
                true => expression.to_text_or_bytes(facts).and_then(|found| match found {
                    Ok(text) => value(name, &text).map_err(unfit),
                    Err(bytes) => Ok(binary(&bytes)),
                }),
                false => {
                    expression.to_text(facts).and_then(|text| value(name, &text).map_err(unfit))
                }
            };
            let fault = |failure| expression.fault(failure, file);
            headers.insert(name, built.map_err(fault)?);
            if size(&headers) > MAX_METADATA {
                let what = format!("with this the metadata have more than {MAX_METADATA} bytes");
                return Err(fault(unfit(what)));
            }
        }
        Ok(headers)
    }
}
