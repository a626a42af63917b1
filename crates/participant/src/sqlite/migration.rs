//! Schemas: the service's own, and the inbox's beside it.

use std::{borrow::Cow, path::Path};

use sqlx::{
    SqlSafeStr, SqliteConnection,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use crate::sqlite::open::Error;

/// A table of its own, so that the inbox's migrations and a service's count apart.
const INBOX_TABLE: &str = "_inbox_migrations";

const INBOX: &[(&str, &str)] = &[("inbox", include_str!("../../migrations/sqlite/0001_inbox.sql"))];

/// A service's migrations, (description, SQL) in the order in which they are applied, numbered from 1.
///
/// Append to the list only: what has been applied is never changed, and a database that it does not fit is
/// refused.
#[must_use]
pub fn migrations(steps: &[(&'static str, &'static str)]) -> Migrator {
    let numbered = (1..).zip(steps).map(|(version, (description, sql))| {
        Migration::new(
            version,
            Cow::Borrowed(*description),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(numbered.collect())
}

/// What both schemas are to become.
pub(super) struct Plan<'m> {
    inbox: Migrator,
    service: &'m Migrator,
}

impl<'m> Plan<'m> {
    pub(super) fn of(service: &'m Migrator) -> Self {
        let mut inbox = migrations(INBOX);
        inbox.dangerous_set_table_name(INBOX_TABLE);
        Self { inbox, service }
    }

    /// Refuses a database that this program's migrations do not lead to. Changes nothing.
    pub(super) async fn refuse_unknown(
        &self,
        connection: &mut SqliteConnection,
        path: &Path,
    ) -> Result<(), Error> {
        for migrator in [&self.inbox, self.service] {
            refuse_unknown(connection, migrator, path).await?;
        }
        Ok(())
    }

    /// Brings both schemas up to date; only after [`Plan::refuse_unknown`] has let both pass.
    pub(super) async fn run(
        &self,
        connection: &mut SqliteConnection,
        path: &Path,
    ) -> Result<(), Error> {
        for migrator in [&self.inbox, self.service] {
            migrator
                .run_direct(None, connection, false)
                .await
                .map_err(|source| Error::Migration { path: path.to_owned(), source })?;
        }
        Ok(())
    }
}

async fn refuse_unknown(
    connection: &mut SqliteConnection,
    migrator: &Migrator,
    path: &Path,
) -> Result<(), Error> {
    let failed = |source| Error::Migration { path: path.to_owned(), source };
    let table = &*migrator.table_name;
    if !exists(connection, table).await.map_err(|cause| failed(MigrateError::Execute(cause)))? {
        return Ok(());
    }
    for applied in connection.list_applied_migrations(table).await.map_err(failed)? {
        let known = migrator.iter().find(|known| known.version == applied.version);
        match known {
            None => return Err(Error::Newer { path: path.to_owned(), version: applied.version }),
            Some(known) if known.checksum != applied.checksum => {
                return Err(Error::Foreign { path: path.to_owned(), version: applied.version });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

async fn exists(connection: &mut SqliteConnection, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select 1 from sqlite_schema where name = $1)")
        .bind(table)
        .fetch_one(connection)
        .await
}
