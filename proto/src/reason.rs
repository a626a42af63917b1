//! What the registry of reasons says of each.

use std::{collections::HashMap, fmt, sync::LazyLock};

use prost_reflect::Value;

use crate::{descriptors, facade::v1::Reason};

const PREFIX: &str = "REASON_";

struct Words {
    sentence: String,
    cure: String,
}

impl Reason {
    /// The name as it stands in `ResultInfo.code` and `ErrorInfo.reason`: without the enum's prefix.
    #[must_use]
    pub fn code(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix(PREFIX).unwrap_or(name)
    }

    /// The reason of this code; `None` for a code that is not registered.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::from_str_name(&format!("{PREFIX}{code}"))
    }

    /// What happened, in a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        registry().get(&self).map_or("", |words| &words.sentence)
    }

    /// What to do about it, in a sentence.
    #[must_use]
    pub fn cure(self) -> &'static str {
        registry().get(&self).map_or("", |words| &words.cure)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

fn registry() -> &'static HashMap<Reason, Words> {
    static REGISTRY: LazyLock<HashMap<Reason, Words>> = LazyLock::new(|| {
        let pool = descriptors();
        let reasons =
            pool.get_enum_by_name("sagamesh.facade.v1.Reason").expect("reason.proto has it");
        let extension = |name| pool.get_extension_by_name(name).expect("reason.proto has it");
        let sentence = extension("sagamesh.facade.v1.sentence");
        let cure = extension("sagamesh.facade.v1.cure");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        reasons
            .values()
            .filter_map(|value| {
                let options = value.options();
                let words = Words {
                    sentence: text(&options.get_extension(&sentence)),
                    cure: text(&options.get_extension(&cure)),
                };
                Some((Reason::try_from(value.number()).ok()?, words))
            })
            .collect()
    });
    &REGISTRY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_reason_has_a_sentence_and_a_cure() {
        for reason in (1..).map_while(|number| Reason::try_from(number).ok()) {
            assert!(reason.sentence().ends_with('.'), "{reason} has no sentence");
            assert!(reason.cure().ends_with('.'), "{reason} has no cure");
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert!(registry().len() > 30);
    }
}
