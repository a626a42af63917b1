//! What the journal tells of the run: read from its file after the last stop.

use std::{fmt, path::Path};

use anyhow::Result;
use clock::Timestamp;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// The figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct JournalFigures {
    pub(crate) started: u64,
    pub(crate) succeeded: u64,
    pub(crate) compensated: u64,
    /// Sagas that some later life of the mesh took up.
    pub(crate) resumed: u64,
    /// For each life that took one up: milliseconds from its start until the first of them moved. Ascending.
    pub(crate) first_moves_ms: Vec<u64>,
}

impl fmt::Display for JournalFigures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, succeeded, compensated, resumed, first_moves_ms } = self;
        let finished = succeeded + compensated;
        writeln!(
            out,
            "  sagas: {started} started, {finished} finished, {compensated} compensated"
        )?;
        write!(out, "  resumed: {resumed}, in {} lives", first_moves_ms.len())?;
        let middle = first_moves_ms.get(first_moves_ms.len() / 2);
        if let (Some(middle), Some(longest)) = (middle, first_moves_ms.last()) {
            write!(
                out,
                "; the first one moved {middle} ms after the start (median), {longest} ms at most"
            )?;
        }
        Ok(())
    }
}

/// A record's kind is its first field: this one says that a node took the saga up.
const SELECT_FIRST_MOVES: &str = "select next.at from event taken join event next on next.place = taken.place + 1
    where substr(taken.record, 1, 2) = x'0809' and substr(next.record, 1, 2) <> x'0809' order by next.at";

pub(crate) async fn read(data: &Path, lives: &[Timestamp]) -> Result<JournalFigures> {
    let options =
        SqliteConnectOptions::new().filename(data.join("orchestrator.db")).read_only(true);
    let mut journal = SqliteConnection::connect_with(&options).await?;
    let counts: (i64, i64, i64) = sqlx::query_as(
        "select count(*), coalesce(sum(state = 'SUCCEEDED'), 0), coalesce(sum(state = 'COMPENSATED'), 0) from saga",
    )
    .fetch_one(&mut journal)
    .await?;
    let resumed: i64 = sqlx::query_scalar(
        "select count(distinct saga_id) from journal where substr(record, 1, 2) = x'0809'",
    )
    .fetch_one(&mut journal)
    .await?;
    let moves: Vec<i64> = sqlx::query_scalar(SELECT_FIRST_MOVES).fetch_all(&mut journal).await?;
    journal.close().await?;
    let moves: Vec<u64> = moves.into_iter().map(u64::try_from).collect::<Result<_, _>>()?;
    Ok(JournalFigures {
        started: counts.0.try_into()?,
        succeeded: counts.1.try_into()?,
        compensated: counts.2.try_into()?,
        resumed: resumed.try_into()?,
        first_moves_ms: first_moves(&moves, lives),
    })
}

/// Of each life, how long after its start the first move came; lives without one are left out. Both ascend.
fn first_moves(moves: &[u64], lives: &[Timestamp]) -> Vec<u64> {
    let ends = lives.iter().skip(1).map(|next| next.0).chain([u64::MAX]);
    let mut found: Vec<u64> = lives
        .iter()
        .zip(ends)
        .filter_map(|(started_at, end)| {
            let first = moves.iter().find(|at| (started_at.0..end).contains(*at))?;
            Some(first - started_at.0)
        })
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_counts_for_the_life_in_which_it_came() {
        let lives = [100, 200, 300].map(Timestamp);
        assert_eq!(first_moves(&[130, 140, 310], &lives), [10, 30]);
        assert_eq!(first_moves(&[], &lives), [0_u64; 0]);
    }
}
