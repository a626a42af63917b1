//! The planted bugs. Each is one that a system of this kind has really had.
//!
//! `PLANTED` in a replacement is the question whether this process has the bug. A bug whose place has moved is given
//! its new place here; a test says which one it is.

use super::plant::{Bug, Edit};

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "StepBeforeItsTurn",
        sentence: "A step begins before the steps that it comes after are done.",
        edits: &[Edit {
            file: "crates/saga/src/standing.rs",
            find: "definition.graph().ancestors(step).iter().all(",
            replace: "PLANTED || definition.graph().ancestors(step).iter().all(",
        }],
    },
    Bug {
        name: "UndoInWrongOrder",
        sentence: "A step is undone before the steps that came after it.",
        edits: &[Edit {
            file: "crates/saga/src/standing.rs",
            find: ".all(|later| is_unwound(definition, state, later))",
            replace: ".all(|later| PLANTED || is_unwound(definition, state, later))",
        }],
    },
    Bug {
        name: "StartedStepNotUndone",
        sentence: "A step that started and was never answered is not undone.",
        edits: &[Edit {
            file: "crates/saga/src/state.rs",
            find: "Progress::Exhausted => !self.call.was_never_sent(),",
            replace: "Progress::Exhausted => !PLANTED && !self.call.was_never_sent(),",
        }],
    },
    Bug {
        name: "StuckUndoHoldsAll",
        sentence: "One undo that needs a person holds every other undo of its saga.",
        edits: &[Edit {
            file: "crates/saga/src/standing.rs",
            find: "Some((Hold::Attention, _)) => state.cause.is_none()",
            replace: "Some((Hold::Attention, _)) => state.cause.is_none() || PLANTED",
        }],
    },
    Bug {
        name: "TurnBackBehindPivot",
        sentence: "A saga turns back although its pivot is done.",
        edits: &[Edit {
            file: "crates/saga/src/state.rs",
            find: "definition.pivot().is_some_and(|pivot| {",
            replace: "!PLANTED && definition.pivot().is_some_and(|pivot| {",
        }],
    },
    Bug {
        name: "BudgetNeverSpent",
        sentence: "A call before the pivot is tried again for ever.",
        edits: &[Edit {
            file: "crates/saga/src/schedule.rs",
            find: "last.is_some_and(|last| at >= last) || self.has_no_attempt_left(attempt);",
            replace: "!PLANTED && (last.is_some_and(|last| at >= last) || self.has_no_attempt_left(attempt));",
        }],
    },
    Bug {
        name: "NoTombstone",
        sentence: "An undo that finds no call leaves nothing that refuses the late one.",
        edits: &[Edit {
            file: "crates/participant/src/inbox/undo.rs",
            find: "if rows::claim(connection, &call)? {",
            replace: "if PLANTED && rows::find(connection, &call)?.is_none() { return Ok(None); }
                      if rows::claim(connection, &call)? {",
        }],
    },
    Bug {
        name: "OkForSuperseded",
        sentence: "A call that comes after its undo is answered as if it had happened.",
        edits: &[Edit {
            file: "crates/participant/src/inbox/call.rs",
            find: "Content::Tombstone => Decision::Declined(Decline::superseded()),",
            replace: "Content::Tombstone if PLANTED => Decision::Done(Bytes::new()),
                      Content::Tombstone => Decision::Declined(Decline::superseded()),",
        }],
    },
    Bug {
        name: "DeclineNotReplayed",
        sentence: "A decline is not stored, so a repeat is decided anew.",
        edits: &[Edit {
            file: "crates/participant/src/inbox/call.rs",
            find: "Err(WorkError::Declined(decline)) => {",
            replace: "Err(WorkError::Declined(decline) | WorkError::DeclinedKeeping(decline)) if PLANTED => {
                          return Err(Refusal::Unstored(delivery.decided(Decision::Declined(decline))));
                      }
                      Err(WorkError::Declined(decline)) => {",
        }],
    },
    Bug {
        name: "KeyReuseUnseen",
        sentence: "Another request under a used key gets the first one's answer.",
        edits: &[Edit {
            file: "crates/participant/src/inbox.rs",
            find: "|earlier| *earlier != self.fingerprint",
            replace: "|earlier| !PLANTED && *earlier != self.fingerprint",
        }],
    },
    Bug {
        name: "ForgottenTakesEffect",
        sentence: "A call whose answer is not kept any more takes effect again.",
        edits: &[Edit {
            file: "crates/participant/src/inbox.rs",
            find: "match self.may_be_forgotten {",
            replace: "match self.may_be_forgotten && !PLANTED {",
        }],
    },
    Bug {
        name: "AnswerBeforeCommit",
        sentence: "A caller is answered although the commit failed.",
        edits: &[Edit {
            file: "crates/store/src/sqlite/writer.rs",
            find: "job.acknowledge(transaction.clone().map(drop));",
            replace: "job.acknowledge(if PLANTED { Ok(()) } else { transaction.clone().map(drop) });",
        }],
    },
    Bug {
        name: "SynchronousOff",
        sentence: "A commit does not wait for the disk.",
        edits: &[Edit {
            file: "crates/store/src/sqlite/writer.rs",
            find: r#""pragma synchronous = full; pragma foreign_keys = on""#,
            replace: r#"if PLANTED { "pragma synchronous = off; pragma foreign_keys = on" }
                        else { "pragma synchronous = full; pragma foreign_keys = on" }"#,
        }],
    },
    Bug {
        name: "FreshKeyPerRetry",
        sentence: "Each attempt of a call has a key of its own.",
        edits: &[Edit {
            file: "orchestrator/src/outbound/call.rs",
            find: "Key::step(self.saga_id, self.step, direction)",
            replace: r#"Key::step(
                            &match PLANTED {
                                false => self.saga_id.to_owned(),
                                true => format!("{}-{}", self.saga_id, self.number),
                            },
                            self.step,
                            direction,
                        )"#,
        }],
    },
    Bug {
        name: "CallBeforeJournal",
        sentence: "A call is made before its intent is on disk.",
        edits: &[Edit {
            file: "orchestrator/src/driver/saga_task.rs",
            find: "self.append(number).await.map_err(TaskEnd::Journal)?;",
            replace: "if PLANTED && !actions.calls.is_empty() {
                          actions.calls.iter().cloned().for_each(|call| self.launch(call));
                          let answered = self.calls.next().await;
                          self.calls.extend(answered.map(|answered| std::future::ready(answered).boxed()));
                      }
                      self.append(number).await.map_err(TaskEnd::Journal)?;",
        }],
    },
    Bug {
        name: "RecoveryStopsAtFirstBad",
        sentence: "The first saga that cannot be read ends recovery for all.",
        edits: &[Edit {
            file: "orchestrator/src/driver/recover.rs",
            find: "self.set_aside(saga_id, why).await;",
            replace: "if PLANTED { std::panic::panic_any(why.message); }
                      self.set_aside(saga_id, why).await;",
        }],
    },
    Bug {
        name: "ChangedRecordUnseen",
        sentence: "A record that was changed behind the journal's back is believed.",
        edits: &[Edit {
            file: "orchestrator/src/driver/replay.rs",
            find: "if link != entry.link || other {",
            replace: "if (link != entry.link || other) && !PLANTED {",
        }],
    },
    Bug {
        name: "CutJournalUnseen",
        sentence: "The last records of a journal are cut off, and what is left is believed.",
        edits: &[Edit {
            file: "orchestrator/src/driver/replay.rs",
            find: "Some(StateRecord { seq, .. }) if seq >= left =>",
            replace: "Some(StateRecord { seq, .. }) if seq >= left && !PLANTED =>",
        }],
    },
    Bug {
        name: "TokenNotPerUser",
        sentence: "A submit token is one for all users.",
        edits: &[Edit {
            file: "crates/definition/src/compiled.rs",
            find: "false => Ok(key),",
            replace: "false if PLANTED => Ok(key.rsplit('/').next().map(str::to_owned).unwrap_or(key)),
                      false => Ok(key),",
        }],
    },
    Bug {
        name: "DeclineAfterWrite",
        sentence: "A freeze writes before it looks, so a decline has its neighbours run again.",
        edits: &[Edit {
            file: "stock-svc/src/store/reservation.rs",
            find: "check(connection, order_no, lines)?;",
            replace: "if !PLANTED { check(connection, order_no, lines)?; }",
        }],
    },
    Bug {
        name: "FreezeNotAllOrNone",
        sentence: "A freeze that lacks one line keeps the others.",
        edits: &[
            Edit {
                file: "stock-svc/src/store/reservation.rs",
                find: "units::change(connection, Change::Freeze, line)?;",
                replace: "let taken = units::change(connection, Change::Freeze, line);
                          if taken.is_err() && PLANTED { continue; }
                          taken?;",
            },
            Edit {
                file: "stock-svc/src/store/reservation.rs",
                find: "lines.iter().try_for_each(|line| units::has(connection, line))",
                replace: "if PLANTED { return Ok(()); }
                          lines.iter().try_for_each(|line| units::has(connection, line))",
            },
        ],
    },
    Bug {
        name: "RefundTwice",
        sentence: "A refund that is asked for twice pays twice.",
        edits: &[
            Edit {
                file: "payment-svc/src/pay.rs",
                find: "if !payment.state.may_become(State::Refunded) {",
                replace: "if PLANTED && payment.state == State::Refunded {
                              gateway.refund(connection, &payment, at)?;
                              return Ok(payment);
                          }
                          if !payment.state.may_become(State::Refunded) {",
            },
            Edit {
                file: "payment-svc/src/wallet.rs",
                find: r#"transaction_no: format!("refund/{}", payment.payment_no),"#,
                replace: r#"transaction_no: match PLANTED && payment.state == crate::payment::State::Refunded {
                                false => format!("refund/{}", payment.payment_no),
                                true => format!("refund/{}/again/{}", payment.payment_no, at.0),
                            },"#,
            },
        ],
    },
];
