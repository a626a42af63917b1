//! What the journal counts of compensations, held against its sagas. No rule of the books, which are read of older
//! databases too.

use std::path::Path;

use sqlx::{Connection, Error, SqliteConnection, sqlite::SqliteConnectOptions};

/// What is wrong, and a query that gives a text for each row that shows it.
const RULES: [(&str, &str); 3] = [
    (
        "a saga is undoing and its compensation is not under way",
        "select id from saga where state = 'COMPENSATING' and number not in (select saga from compensation)",
    ),
    (
        "a compensation is under way and its saga is not undoing",
        "select 'number ' || saga from compensation where saga not in
         (select number from saga where state in ('COMPENSATING', 'ATTENTION', 'PAUSED'))",
    ),
    (
        // Counts are kept for longer than sagas.
        "not every compensation of a definition is counted, or one that is none",
        "select definition || ': ' || undone || ' and ' || counted from (
             select definition, sum(state = 'COMPENSATED') as undone, sum(state = 'RESOLVED') as resolved,
                    (select coalesce(sum(succeeded + failed), 0) from compensation_count as of_day
                     where span = 86400000 and of_day.definition = saga.definition) as counted,
                    (select count(*) < max(number) from saga) as has_removed
             from saga group by definition)
         where counted < undone or (counted > undone + resolved and not has_removed)",
    ),
];

/// What is wrong in the journal of the mesh whose databases are in `data`.
pub(crate) async fn wrong(data: &Path) -> Result<Vec<String>, Error> {
    let options =
        SqliteConnectOptions::new().filename(data.join("orchestrator.db")).create_if_missing(false);
    let mut journal = SqliteConnection::connect_with(&options).await?;
    let mut wrong = Vec::new();
    for (sentence, query) in RULES {
        let rows: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut journal).await?;
        wrong.extend(rows.into_iter().map(|row| format!("{sentence}: {row}")));
    }
    journal.close().await?;
    Ok(wrong)
}
