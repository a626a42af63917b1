//! Schemas: each counts its own migrations, so that a service's and the inbox's are brought up to date apart.

use std::{borrow::Cow, iter, path::Path};

use sqlx::{
    SqlSafeStr, SqliteConnection,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use crate::sqlite::{open::Error, stamps};

/// Of the schema that a database is there for.
const OWN_TABLE: &str = "_sqlx_migrations";

/// Migrations that belong together, and the table in which it is kept which of them were applied.
///
/// Append to the list only: what has been applied is never changed, and a database that it does not fit is refused.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The table; of no other schema in the same database.
    pub table: &'static str,
    /// Description and SQL of each, in the order in which they are applied, numbered from 1.
    pub migrations: &'static [(&'static str, &'static str)],
}

impl Schema {
    /// The schema that a database is there for.
    #[must_use]
    pub const fn own(migrations: &'static [(&'static str, &'static str)]) -> Self {
        Self { table: OWN_TABLE, migrations }
    }

    pub(super) fn is_own(&self) -> bool {
        self.table == OWN_TABLE
    }

    /// How many migrations it has had once it is up to date.
    pub(super) fn version(&self) -> usize {
        self.migrations.len()
    }

    fn migrator(self) -> Migrator {
        let numbered = (1..).zip(self.migrations).map(|(version, (description, sql))| {
            Migration::new(
                version,
                Cow::Borrowed(*description),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        });
        let mut migrator = Migrator::with_migrations(numbered.collect());
        migrator.dangerous_set_table_name(self.table);
        migrator
    }
}

/// What the schemas of a database are to become, the store's own first.
pub(super) struct Plan(Vec<Migrator>);

impl Plan {
    pub(super) fn of(schemas: &[Schema]) -> Self {
        let all = iter::once(&stamps::SCHEMA).chain(schemas);
        Self(all.map(|schema| schema.migrator()).collect())
    }

    /// Refuses a database that this program's migrations do not lead to. Changes nothing.
    pub(super) async fn refuse_unknown(
        &self,
        connection: &mut SqliteConnection,
        path: &Path,
    ) -> Result<(), Error> {
        for migrator in &self.0 {
            refuse_unknown(connection, migrator, path).await?;
        }
        Ok(())
    }

    /// Brings all schemas up to date; only after [`Plan::refuse_unknown`] has let them pass.
    pub(super) async fn run(
        &self,
        connection: &mut SqliteConnection,
        path: &Path,
    ) -> Result<(), Error> {
        for migrator in &self.0 {
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
