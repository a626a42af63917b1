//! The files that a process may have open, and how many of them its connections get.
//!
//! A connection is a file, and a process that has none left can neither accept a client nor open its own databases. So
//! connections get what the process does not need itself.

use std::{fs, num::NonZero};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Connections;

/// What a database may open beside what it has open: six connections for reading, two files each.
const OF_A_DATABASE: usize = 12;
/// For what is open for a moment: a connection that is refused, the table of files, what SQLite sorts on disk.
const IN_RESERVE: usize = 64;
/// Fewer connections to a listener than this are of no use.
const MIN_SHARE: usize = 8;
/// What is taken to be open where the system does not tell.
const OPEN_UNTOLD: usize = 128;

/// What the process needs files for, beside what it has open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) listeners: usize,
    pub(super) databases: usize,
    /// Connections to others.
    pub(super) outgoing: usize,
}

/// How many connections each listener gets, where that is less than what is set. The process may have as many files open
/// afterwards as it is allowed at most.
///
/// # Errors
/// A sentence with the cure where it is allowed too few.
pub(super) fn share(limits: &Connections, needs: Needs) -> Result<Option<NonZero<usize>>, String> {
    let Some(limit) = raised() else { return Ok(None) };
    let open = fs::read_dir("/proc/self/fd").map_or(OPEN_UNTOLD, Iterator::count);
    share_of(limit, open, limits, needs)
}

/// Raises the limit as far as the process itself may; `None` where there is none.
fn raised() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

fn share_of(
    limit: usize,
    open: usize,
    limits: &Connections,
    needs: Needs,
) -> Result<Option<NonZero<usize>>, String> {
    let Needs { listeners, databases, outgoing } = needs;
    let own = open + databases * OF_A_DATABASE + outgoing + IN_RESERVE;
    let share = limit.saturating_sub(own) / listeners.max(1);
    if share >= limits.max.get() {
        return Ok(None);
    }
    match NonZero::new(share).filter(|share| share.get() >= MIN_SHARE) {
        Some(share) => {
            tracing::warn!(
                "limits.connections.max is {} and there are {listeners} listeners, but this process may have {limit} files \
                 open and needs {own} itself: a listener takes {share} connections, and {} from one address. Allow the \
                 process more files (ulimit -n), or set fewer connections",
                limits.max,
                limits.max_per_address.get().min(share.get().div_ceil(2)),
            );
            Ok(Some(share))
        }
        None => Err(format!(
            "this process may have {limit} files open, which is too few: it needs {own} itself, and {} for connections. \
             Allow it more (ulimit -n)",
            listeners * MIN_SHARE
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { listeners: 6, databases: 5, outgoing: 4 };

    fn limits(max: usize) -> Connections {
        Connections { max: NonZero::new(max).unwrap(), ..Connections::default() }
    }

    #[test]
    fn where_there_are_files_for_all_connections_the_settings_hold() {
        assert_eq!(share_of(12_228, 100, &limits(2_000), NEEDS), Ok(None));
        assert_eq!(share_of(usize::MAX, 100, &limits(2_000), NEEDS), Ok(None));
    }

    #[test]
    fn what_the_process_needs_itself_is_kept_from_connections() {
        let share = share_of(1_024, 100, &limits(2_000), NEEDS).unwrap().unwrap().get();
        assert_eq!(share, (1_024 - 100 - 5 * OF_A_DATABASE - 4 - IN_RESERVE) / 6);
        assert!(share * 6 < 1_024 - 100);
    }

    #[test]
    fn too_few_files_are_told_with_the_cure() {
        for limit in [0, 64, 256] {
            let told = share_of(limit, 100, &limits(2_000), NEEDS).unwrap_err();
            assert!(told.contains(&format!("may have {limit} files")), "{told}");
            assert!(told.contains("ulimit -n"), "{told}");
        }
    }

    #[test]
    fn the_limit_of_this_very_process_is_raised_as_far_as_it_goes() {
        let limit = raised();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert_eq!(limit, current.map(|limit| usize::try_from(limit).unwrap()));
    }
}
