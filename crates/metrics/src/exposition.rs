//! What was scraped, read again: strictly, so that what passes here is understood by every reader of OpenMetrics.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// What was scraped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// By the name that their samples begin with.
    pub families: BTreeMap<String, Family>,
}

/// A family of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// `seconds` or `bytes`; empty where there is none.
    pub unit: String,
    /// What it measures.
    pub help: String,
    /// Its values.
    pub samples: Vec<Sample>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The family's name with its suffix: `_total`, `_bucket`, `_sum`, `_count`, or none.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// The value.
    pub value: f64,
    /// The labels of the exemplar.
    pub exemplar: Option<Labels>,
}

impl Exposition {
    /// Reads what was scraped.
    ///
    /// # Errors
    /// The first line that is not as OpenMetrics has it, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
        let mut read = Self::default();
        let mut current = String::new();
        for line in body.lines() {
            let read_line = match line.strip_prefix("# ") {
                Some(said) => read.describe(said, &mut current),
                None => read.sample(line, &current),
            };
            read_line.map_err(|why| format!("{why}: {line}"))?;
        }
        read.families.iter().try_for_each(|(name, family)| family.check(name))?;
        Ok(read)
    }

    /// The sum of the samples of this name that have these labels among theirs; `None` where there is none.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            let has = |(name, value): &(&str, &str)| {
                sample.labels.get(*name).is_some_and(|own| own == value)
            };
            sample.name == name && labels.iter().all(has)
        };
        let found: Vec<f64> = self.samples().filter(has).map(|sample| sample.value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// Every sample.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.values().flat_map(|family| &family.samples)
    }

    fn describe(&mut self, said: &str, current: &mut String) -> Result<(), String> {
        let mut words = said.splitn(3, ' ');
        let (Some(what), Some(name)) = (words.next(), words.next()) else {
            return Err("it describes nothing".to_owned());
        };
        let told = words.next().unwrap_or_default().to_owned();
        if name != current {
            if self.families.contains_key(name) {
                return Err("the family is there twice".to_owned());
            }
            *current = name.to_owned();
        }
        let family = self.families.entry(name.to_owned()).or_default();
        match what {
            _ if !family.samples.is_empty() => return Err("it comes after a sample".to_owned()),
            "HELP" => family.help = told,
            "TYPE" => family.kind = told,
            "UNIT" if name.ends_with(&format!("_{told}")) => family.unit = told,
            _ => return Err("it is neither HELP nor TYPE nor the name's UNIT".to_owned()),
        }
        Ok(())
    }

    fn sample(&mut self, line: &str, current: &str) -> Result<(), String> {
        let family = self.families.get_mut(current).ok_or("it is of no family")?;
        let (sample, exemplar) = match line.split_once(" # ") {
            Some((sample, exemplar)) => (sample, Some(exemplar)),
            None => (line, None),
        };
        let (name, labels, value) = read_sample(sample)?;
        let suffix = name.strip_prefix(current).ok_or("it is of another family")?;
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[],
        };
        if !suffixes.contains(&suffix) {
            return Err(format!("a {} has no such sample", family.kind));
        }
        let exemplar = exemplar.map(|exemplar| {
            let (name, labels, _) = read_sample(exemplar)?;
            let length: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
            let fits = name.is_empty() && length <= 128 && matches!(suffix, "_total" | "_bucket");
            fits.then_some(labels).ok_or("it has no sound exemplar".to_owned())
        });
        let (name, exemplar) = (name.to_owned(), exemplar.transpose()?);
        family.samples.push(Sample { name, labels, value, exemplar });
        Ok(())
    }
}

impl Family {
    fn check(&self, name: &str) -> Result<(), String> {
        let mut series = BTreeSet::new();
        let twice =
            self.samples.iter().find(|sample| !series.insert((&sample.name, &sample.labels)));
        if let Some(Sample { name, labels, .. }) = twice {
            return Err(format!("{name} is there twice with {labels:?}"));
        }
        let mut last: Option<(Labels, f64)> = None;
        for Sample { labels, value, .. } in
            self.samples.iter().filter(|sample| sample.name.ends_with("_bucket"))
        {
            let mut rest = labels.clone();
            let bound = rest.remove("le").ok_or(format!("a bucket of {name} has no bound"))?;
            if let Some((of, below)) = &last
                && *of == rest
                && below > value
            {
                return Err(format!("the buckets of {name} do not grow at {bound}"));
            }
            last = (bound != "+Inf").then_some((rest, *value));
        }
        last.map_or(Ok(()), |_| Err(format!("the last bucket of {name} is not +Inf")))
    }
}

/// `name{label="value",…} 1.5`, and nothing behind it but an instant.
fn read_sample(text: &str) -> Result<(&str, Labels, f64), String> {
    let end = text.find(['{', ' ']).ok_or("it has no value")?;
    let (name, rest) = text.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None => (Labels::new(), rest),
    };
    let mut words = rest.strip_prefix(' ').ok_or("there is no space before the value")?.split(' ');
    let value = words.next().unwrap_or_default();
    let value = value.parse().map_err(|_| format!("{value:?} is no number"))?;
    match words.next().map(str::parse::<f64>) {
        None | Some(Ok(_)) => Ok((name, labels, value)),
        Some(Err(_)) => Err("what is behind the value is no instant".to_owned()),
    }
}

/// The labels up to their closing brace, and what is behind it.
fn read_labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    while !rest.starts_with('}') {
        let (name, quoted) = rest.split_once("=\"").ok_or("a label has no value")?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_part) || name.starts_with(char::is_numeric) {
            return Err(format!("{name:?} is no name of a label"));
        }
        let (value, behind) = read_value(quoted)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name} is there twice"));
        }
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Ok((labels, &rest[1..]))
}

/// A value up to its closing quote, and what is behind that.
fn read_value(quoted: &str) -> Result<(String, &str), String> {
    let (mut value, mut chars) = (String::new(), quoted.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped @ ('"' | '\\'))) => escaped,
                _ => return Err("a value has an unknown escape".to_owned()),
            }),
            c => value.push(c),
        }
    }
    Err("a value does not end".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Registry, buckets::SHORT_SECONDS};

    #[test]
    fn what_the_registry_writes_is_read_again() {
        let registry = Registry::new();
        registry.counters("a_total", "A", ["x"]).with(["one \"} 2\n"]).add(2);
        let histogram = registry.histograms("b_seconds", "B", ["x"], SHORT_SECONDS).with(["y"]);
        histogram.record_in(Duration::from_millis(3), Some("4bf9".to_owned()));
        registry.read_gauges("c_bytes", "C", ["x"]).read(|readings| readings.add(["y"], 1e10));
        let read = Exposition::parse(&registry.encode()).unwrap();
        assert_eq!(read.value("a_total", &[("x", "one \"} 2\n")]), Some(2.0));
        assert_eq!(read.value("b_seconds_count", &[]), Some(1.0));
        assert_eq!(read.value("b_seconds_sum", &[("x", "y")]), Some(0.003));
        assert_eq!(read.value("c_bytes", &[("x", "y")]), Some(1e10));
        assert_eq!(read.value("c_bytes", &[("x", "z")]), None);
        let exemplars: Vec<_> = read.samples().filter_map(|s| s.exemplar.as_ref()).collect();
        assert_eq!(exemplars, [&Labels::from([("trace_id".to_owned(), "4bf9".to_owned())])]);
        let b = &read.families["b_seconds"];
        assert_eq!(
            (b.kind.as_str(), b.unit.as_str(), b.help.as_str()),
            ("histogram", "seconds", "B.")
        );
    }

    #[test]
    fn what_is_not_openmetrics_is_told_with_its_line() {
        for (text, why) in [
            ("# TYPE a gauge\na 1\n", "# EOF"),
            ("a 1\n# EOF\n", "no family"),
            ("# TYPE a counter\na 1\n# EOF\n", "no such sample"),
            ("# TYPE a gauge\na 1\na 2\n# EOF\n", "twice"),
            ("# TYPE a gauge\n# TYPE b gauge\n# TYPE a gauge\n# EOF\n", "twice"),
            ("# TYPE a gauge\na one\n# EOF\n", "no number"),
            ("# TYPE a gauge\na{x=\"1} 1\n# EOF\n", "does not end"),
            ("# TYPE a gauge\na{1x=\"1\"} 1\n# EOF\n", "no name"),
            ("# TYPE a gauge\n# UNIT a seconds\n# EOF\n", "UNIT"),
            ("# TYPE a gauge\na 1 # {x=\"y\"} 1\n# EOF\n", "exemplar"),
            ("# TYPE a histogram\na_bucket{le=\"1\"} 1\n# EOF\n", "+Inf"),
            ("# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n", "grow"),
        ] {
            let told = Exposition::parse(text).unwrap_err();
            assert!(told.contains(why), "{told} for {text}");
        }
    }
}
