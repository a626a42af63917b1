//! When people are told of compensations that do not go well, and how.

use std::{fmt, str::FromStr, time::Duration};

use facade::config::{Problem, duration};
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// When people are told of compensations that do not go well, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alarms {
    /// Where an alarm is posted to as JSON when it fires, is repeated or is over: `http://HOST:PORT/PATH`, or
    /// `{ file: PATH }` with the file that holds the URL. Shown and logged nowhere, since its path may be a secret. Alarms are
    /// logged and measured in any case.
    #[schemars(with = "Option<String>")]
    pub webhook: Option<Webhook>,
    /// `compensation_success` fires where less than so many percent of the window's compensations succeeded; never with 0.
    pub success_below: u8,
    /// It needs so many compensations in the window.
    pub success_of_at_least: u64,
    /// `manual_backlog` fires where more sagas than that are in ATTENTION, also those that go forward.
    pub backlog_above: u64,
    /// `compensation_slow` fires where a compensation of the window took longer, or one that has not ended does.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub longer_than: Duration,
    /// How often alarms are looked at; `1s` or more.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// How far back compensations are looked at that have ended; no shorter than the interval.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub window: Duration,
    /// After how long an alarm that still holds is told again; no shorter than the interval.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub repeat: Duration,
}

impl Default for Alarms {
    fn default() -> Self {
        Self {
            webhook: None,
            success_below: 90,
            success_of_at_least: 10,
            backlog_above: 10,
            longer_than: Duration::from_mins(5),
            interval: Duration::from_mins(1),
            window: Duration::from_hours(1),
            repeat: Duration::from_hours(1),
        }
    }
}

impl Alarms {
    /// What is wrong with it, where it stands at `alarms`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let Self { webhook, success_below, success_of_at_least, interval, window, repeat, .. } =
            self;
        let hasty = "is too short: it must be 1s or more";
        let short = "is too short: it must be no shorter than alarms.interval";
        let wrong = [
            (
                "success_below",
                *success_below > 100,
                format!("{success_below} is no percentage: it must be from 0 to 100"),
            ),
            (
                "success_of_at_least",
                *success_of_at_least == 0,
                "0 is too few: it must be 1 or more".to_owned(),
            ),
            ("interval", *interval < Duration::from_secs(1), format!("{interval:?} {hasty}")),
            ("window", window < interval, format!("{window:?} {short}")),
            ("repeat", repeat < interval, format!("{repeat:?} {short}")),
        ];
        let wrong = wrong.into_iter().filter(|(_, is_wrong, _)| *is_wrong);
        let mut problems: Vec<Problem> = wrong
            .map(|(name, _, message)| Problem::new(format!("alarms.{name}"), message))
            .collect();
        if let Some(Webhook(Secret::Text(url))) = webhook
            && let Err(why) = url.parse::<Endpoint>()
        {
            problems.push(Problem::new("alarms.webhook", why));
        }
        problems
    }
}

/// The URL that alarms are posted to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Webhook(Secret);

impl Webhook {
    /// Where that is. A file is read.
    ///
    /// # Errors
    /// A sentence that does not tell the URL.
    pub fn endpoint(&self) -> Result<Endpoint, String> {
        self.0.read()?.parse()
    }
}

/// What a webhook's URL leads to. Not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host, a name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `HOST:PORT` as the URL has it.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl FromStr for Endpoint {
    type Err = String;

    /// No error tells any of the text.
    fn from_str(text: &str) -> Result<Self, String> {
        const CURE: &str = "write http://HOST:PORT/PATH";
        let url: Uri = text.parse().map_err(|_| format!("it is no URL: {CURE}"))?;
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "https:// needs TLS, which is not there yet: post to a relay on this host or network by http://"
                        .to_owned(),
                );
            }
            _ => return Err(format!("it is no URL of http: {CURE}")),
        }
        let authority = url.authority().ok_or_else(|| format!("it has no host: {CURE}"))?;
        if authority.as_str().contains('@') {
            return Err(format!("it names a user, which is not sent: {CURE}"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let has_bad_port = authority.port_u16().is_none() && authority.as_str() != authority.host();
        if host.is_empty() || has_bad_port {
            return Err(format!("it has no host, or no port that there can be: {CURE}"));
        }
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(80),
            authority: authority.to_string(),
            path: url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use facade::config::Sources;

    use super::*;
    use crate::config::Config;

    #[test]
    fn thresholds_that_make_no_sense_are_told_by_their_names() {
        assert_eq!(Alarms::default().problems(), []);
        let paths = |alarms: Alarms| -> Vec<String> {
            alarms.problems().into_iter().map(|problem| problem.path).collect()
        };
        let fine = Alarms::default;
        assert_eq!(paths(Alarms { success_below: 101, ..fine() }), ["alarms.success_below"]);
        assert_eq!(
            paths(Alarms { success_of_at_least: 0, ..fine() }),
            ["alarms.success_of_at_least"]
        );
        let interval = Duration::from_millis(999);
        assert_eq!(paths(Alarms { interval, ..fine() }), ["alarms.interval"]);
        let interval = Duration::from_hours(2);
        assert_eq!(paths(Alarms { interval, ..fine() }), ["alarms.window", "alarms.repeat"]);
    }

    #[test]
    fn a_url_is_read_or_refused_with_the_cure_and_is_told_by_no_error() {
        let read = |text: &str| text.parse::<Endpoint>();
        let endpoint = read("http://[::1]:9093/hooks/s3cr3t?token=s3cr3t").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 9093));
        assert_eq!(endpoint.path, "/hooks/s3cr3t?token=s3cr3t");
        assert!(!format!("{endpoint:?}").contains("s3cr3t"));
        assert_eq!(read("http://relay").unwrap().port, 80);
        for (text, cure) in [
            ("https://relay/s3cr3t", "TLS"),
            ("ftp://relay/s3cr3t", "http://HOST:PORT/PATH"),
            ("relay/s3cr3t", "http://HOST:PORT/PATH"),
            ("http://ada:s3cr3t@relay/", "a user"),
            ("http://relay:s3cr3t/", "http://HOST:PORT/PATH"),
            ("http://relay:99999/s3cr3t", "http://HOST:PORT/PATH"),
            ("http://:80/s3cr3t", "http://HOST:PORT/PATH"),
            ("http://relay/s3cr3t here", "http://HOST:PORT/PATH"),
            ("", "http://HOST:PORT/PATH"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(cure) && !why.contains("s3cr3t"), "{text}: {why}");
        }
    }

    /// The settings of a config file with this webhook, or what is wrong with it.
    fn loaded(webhook: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.yaml");
        std::fs::write(&file, format!("alarms:\n  webhook: {webhook}\n")).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        Ok(format!("{:?}", sources.load(&Config::default())?.settings))
    }

    #[test]
    fn the_webhook_is_hidden_wherever_settings_are_shown() {
        let shown = loaded("http://relay/s3cr3t").unwrap();
        assert!(shown.contains("(hidden)") && !shown.contains("s3cr3t"), "{shown}");
        let shown = loaded("{ file: /run/secrets/webhook }").unwrap();
        assert!(shown.contains("/run/secrets/webhook"), "{shown}");
        let why = loaded("https://relay/s3cr3t").unwrap_err();
        assert!(why.contains("alarms.webhook") && why.contains("TLS"), "{why}");
        assert!(!why.contains("s3cr3t"), "{why}");
    }

    #[test]
    fn the_url_is_read_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("webhook");
        std::fs::write(&file, "http://relay:9/x\n").unwrap();
        let webhook: Webhook = serde_json::from_value(serde_json::json!({ "file": file })).unwrap();
        assert_eq!(webhook.endpoint().unwrap().path, "/x");
        std::fs::remove_file(&file).unwrap();
        assert!(webhook.endpoint().unwrap_err().contains("cannot read the file"));
    }
}
