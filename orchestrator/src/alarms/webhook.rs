//! The webhook: notices in line, posted one after the other, each a few times until it is taken.

use std::time::Duration;

use bytes::Bytes;
use clock::Clock;
use facade::wire::causes;
use metrics::{Counter, Registry};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{notice::Notice, post};
use crate::config::{Endpoint, Webhook};

/// Notices that wait. A webhook that is away for long loses the ones that come after them.
const MAX_WAITING: usize = 64;
/// How long one attempt may take, and how long after each that failed the next one is made.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// What came of notices.
#[derive(Clone)]
pub(super) struct Counted {
    /// It was taken.
    sent: Counter,
    /// An attempt failed.
    failed: Counter,
    /// It was given up, or had no room.
    lost: Counter,
}

impl Counted {
    pub(super) fn new(registry: &Registry) -> Self {
        let help =
            "Alarms posted to the webhook: sent, attempts that failed, and those that were lost.";
        let posts = registry.counters("sagamesh_alarm_posts_total", help, ["result"]);
        let [sent, failed, lost] = ["sent", "failed", "lost"].map(|result| posts.with([result]));
        Self { sent, failed, lost }
    }
}

/// Where notices are put for the webhook. Never waits.
pub(super) struct Outbox {
    notices: mpsc::Sender<Notice>,
    counted: Counted,
}

/// Posts what is in the outbox.
pub(super) struct Delivery {
    notices: mpsc::Receiver<Notice>,
    counted: Counted,
    webhook: Webhook,
    clock: Clock,
    node: String,
}

pub(super) fn open(
    webhook: Webhook,
    clock: Clock,
    node: String,
    counted: Counted,
) -> (Outbox, Delivery) {
    let (sender, notices) = mpsc::channel(MAX_WAITING);
    let outbox = Outbox { notices: sender, counted: counted.clone() };
    (outbox, Delivery { notices, counted, webhook, clock, node })
}

impl Outbox {
    pub(super) fn post(&self, notice: Notice) {
        if let Err(full) = self.notices.try_send(notice) {
            self.counted.lost.inc();
            let alarm = full.into_inner().reading.alarm.name();
            tracing::error!(alarm, "the alarm is not posted: too many wait for the webhook");
        }
    }
}

impl Delivery {
    /// Posts notices for as long as it is polled.
    pub(super) async fn run(mut self) {
        while let Some(notice) = self.next().await {
            self.deliver(&notice).await;
        }
        // The checker ends with the process, and so does this.
        std::future::pending().await
    }

    pub(super) async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    #[cfg(test)]
    pub(super) fn next_waiting(&mut self) -> Option<Notice> {
        self.notices.try_recv().ok()
    }

    async fn deliver(&self, notice: &Notice) {
        let alarm = notice.reading.alarm.name();
        let body: Bytes = match notice.to_json(&self.node) {
            Ok(body) => body.into(),
            Err(error) => {
                self.counted.lost.inc();
                tracing::error!(alarm, %error, "the alarm is not posted: it cannot be written as JSON");
                return;
            }
        };
        let mut pauses = PAUSES.iter();
        loop {
            let Err(why) = self.attempt(body.clone()).await else {
                self.counted.sent.inc();
                return;
            };
            self.counted.failed.inc();
            let Some(pause) = pauses.next() else {
                self.counted.lost.inc();
                tracing::error!(
                    alarm,
                    why,
                    "the alarm was not taken by the webhook and is given up"
                );
                return;
            };
            tracing::warn!(
                alarm,
                why,
                "the alarm was not taken by the webhook; it is posted again"
            );
            self.clock.sleep(*pause).await;
        }
    }

    pub(super) async fn attempt(&self, body: Bytes) -> Result<(), String> {
        let endpoint = self.endpoint().await?;
        let posted = self.clock.timeout(ATTEMPT_TIMEOUT, post::post_json(&endpoint, body)).await;
        match posted {
            Ok(posted) => posted.map_err(|error| causes(&error)),
            Err(_) => Err(format!("it did not answer within {ATTEMPT_TIMEOUT:?}")),
        }
    }

    /// Read for each attempt: a URL in a file is exchanged.
    async fn endpoint(&self) -> Result<Endpoint, String> {
        let webhook = self.webhook.clone();
        let read = spawn_blocking(move || webhook.endpoint()).await;
        read.unwrap_or_else(|_| Err("its URL could not be read".to_owned()))
    }
}
