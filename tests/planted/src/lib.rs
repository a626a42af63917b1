//! Bugs planted on purpose, to see that the tests would find them.
//!
//! A place that could be wrong asks [`is`]. In every build but that of `cargo xtask mutants` the answer is the constant
//! `false` and the place compiles to nothing; there, the environment variable [`VARIABLE`] names the one bug that the
//! process has. Each bug is one that a system of this kind has really had.

#[cfg(all(feature = "armed", not(debug_assertions)))]
compile_error!("planted bugs are for tests: a release build must not have them");

/// The environment variable that names the bug of an armed process.
pub const VARIABLE: &str = "SAGAMESH_PLANTED_BUG";

macro_rules! bugs {
    ($($bug:ident: $sentence:literal,)*) => {
        /// A bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $sentence] $bug,)*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// Its name, as [`VARIABLE`] holds it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => stringify!($bug),)* }
            }

            /// What is wrong, in a sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$bug => $sentence,)* }
            }
        }
    };
}

bugs! {
    StepBeforeItsTurn: "A step begins before the steps that it comes after are done.",
    UndoInWrongOrder: "A step is undone before the steps that came after it.",
    StartedStepNotUndone: "A step that started and was never answered is not undone.",
    StuckUndoHoldsAll: "One undo that needs a person holds every other undo of its saga.",
    TurnBackBehindPivot: "A saga turns back although its pivot is done.",
    BudgetNeverSpent: "A call before the pivot is tried again for ever.",
    NoTombstone: "An undo that finds no call leaves nothing that refuses the late one.",
    OkForSuperseded: "A call that comes after its undo is answered as if it had happened.",
    DeclineNotReplayed: "A decline is not stored, so a repeat is decided anew.",
    KeyReuseUnseen: "Another request under a used key gets the first one's answer.",
    ForgottenTakesEffect: "A call whose answer is not kept any more takes effect again.",
    AnswerBeforeCommit: "A caller is answered although the commit failed.",
    SynchronousOff: "A commit does not wait for the disk.",
    FreshKeyPerRetry: "Each attempt of a call has a key of its own.",
    CallBeforeJournal: "A call is made before its intent is on disk.",
    RecoveryStopsAtFirstBad: "The first saga that cannot be read ends recovery for all.",
    ChangedRecordUnseen: "A record that was changed behind the journal's back is believed.",
    CutJournalUnseen: "The last records of a journal are cut off, and what is left is believed.",
    TokenNotPerUser: "A submit token is one for all users.",
    DeclineAfterWrite: "A freeze writes before it looks, so a decline has its neighbours run again.",
    FreezeNotAllOrNone: "A freeze that lacks one line keeps the others.",
    RefundTwice: "A refund that is asked for twice pays twice.",
}

/// Whether this process has `bug`.
#[cfg(feature = "armed")]
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one bug of a process is named from outside")]
pub fn is(bug: Bug) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(bug.name())
}

/// Whether this process has `bug`: never.
#[cfg(not(feature = "armed"))]
#[must_use]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}
