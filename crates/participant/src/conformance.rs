//! The conformance suite of the inbox: what must hold on every database, written once.
//!
//! A database's own tests implement [`TestStore`] and name it to the macro, which expands to one test per case:
//!
//! ```text
//! participant::conformance!(Sqlite);
//! ```
//!
//! The crate that does so depends on `tokio` with its macros and its multi-threaded runtime: cases that race are
//! worth little on one thread. each case opens a store of its own.

pub mod cancel;
pub mod decline;
pub mod failure;
pub mod forget;
pub mod race;
pub mod repeat;
pub mod reuse;
pub mod undo;

mod service;

use std::{future::Future, time::Duration};

use clock::Clock;
use store::{Connection, Database};

use crate::decision::WorkError;

/// Far above what a case takes: past it, something waits for what will never come.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

/// A database under test, with a table of effects beside its inbox.
pub trait TestStore: Send + Sync + Sized + 'static {
    /// A store with an empty database of its own.
    fn open() -> impl Future<Output = Self> + Send;

    /// The database.
    fn database(&self) -> &Database;

    /// Writes one more effect under `label`, in the connection's transaction.
    ///
    /// # Errors
    /// The database's.
    fn add(connection: &Connection, label: &str) -> Result<(), WorkError>;

    /// Lets the connection's transaction go on and its commit fail.
    ///
    /// # Errors
    /// The database's.
    fn fail_commit(connection: &Connection) -> Result<(), WorkError>;

    /// How many effects there are under `label`, as a connection sees it that takes part in no transaction.
    fn count(&self, label: &str) -> impl Future<Output = i64> + Send;
}

/// Runs a case to its end; one that hangs fails.
#[doc(hidden)]
pub async fn run_case(case: impl Future<Output = ()>) {
    let outcome = Clock::system().timeout(CASE_TIMEOUT, case).await;
    outcome.expect("the case ends: a delivery waits for what never comes");
}

/// Expands to a test for each case of the [conformance suite](mod@crate::conformance) on the given
/// [`TestStore`].
#[macro_export]
macro_rules! conformance {
    ($test_store:ty) => {
        $crate::conformance!(@cases $test_store:
            repeat:
                a_repeat_gets_the_first_answer_byte_for_byte_and_runs_nothing,
                sixty_four_at_once_take_effect_once_and_get_the_same_answer,
                a_request_outside_a_saga_takes_effect_once,
                the_request_id_of_one_user_is_nobody_elses,
                a_request_from_before_keys_named_users_is_answered_to_its_user_alone,
                another_saga_or_step_is_another_key,
                an_answer_comes_after_the_commit,
                a_repeat_that_meets_its_call_still_running_waits_for_it_and_gets_its_answer;
            undo:
                an_undo_takes_effect_once_and_is_given_its_calls_response,
                a_repeat_of_a_call_that_was_undone_gets_its_answer_and_no_effect,
                an_undo_without_a_call_has_nothing_to_undo_and_so_has_its_repeat,
                a_call_after_its_undo_is_superseded_and_has_no_effect,
                an_undo_of_a_declined_call_has_nothing_to_undo,
                an_undo_that_declines_keeps_nothing_and_its_repeat_can_succeed,
                an_undo_that_fails_keeps_nothing_and_its_repeat_can_succeed,
                an_undo_that_meets_a_running_call_waits_for_it_and_undoes_it;
            race:
                a_call_that_races_its_undo_is_undone_or_superseded,
                many_calls_that_race_many_undos_agree_on_what_happened;
            reuse:
                a_call_with_another_request_is_refused_and_the_first_answer_stays,
                a_declined_call_with_another_request_is_refused,
                an_undo_with_another_request_is_refused_and_the_first_answer_stays,
                a_direction_that_the_method_does_not_take_is_refused_and_leaves_nothing;
            decline:
                a_decline_is_replayed_though_the_business_would_accept_by_now,
                a_decline_leaves_no_effect_of_its_work,
                a_decline_that_keeps_its_writes_keeps_them_once,
                calls_at_once_that_end_in_every_way_leave_each_other_alone;
            failure:
                a_technical_failure_stores_nothing_and_the_repeat_succeeds,
                a_call_that_failed_and_was_undone_is_superseded,
                work_that_panics_leaves_nothing_and_the_repeat_succeeds,
                a_failed_commit_gives_no_answer_and_the_repeat_succeeds,
                an_undo_whose_commit_failed_can_be_repeated;
            forget:
                a_delivery_of_a_saga_that_may_be_forgotten_is_refused_and_leaves_nothing,
                what_is_still_kept_is_answered_by_however_old_its_saga_is,
                old_rows_are_removed_and_no_call_takes_effect_again;
            cancel:
                a_caller_who_leaves_after_any_poll_leaves_all_or_nothing,
                a_caller_who_leaves_an_undo_after_any_poll_leaves_all_or_nothing,
                work_goes_on_when_its_caller_leaves_while_it_waits,
                an_undos_work_goes_on_when_its_caller_leaves_while_it_waits;
        );
    };
    (@cases $test_store:ty: $($area:ident: $($case:ident),+;)+) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let test_store = <$test_store as $crate::conformance::TestStore>::open().await;
            $crate::conformance::run_case($crate::conformance::$area::$case(&test_store)).await;
        }
    )+)+};
}
